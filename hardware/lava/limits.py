"""What Lava's process models cannot take, found before Lava starts: Lava itself validates nothing.

Ranges of single values (weights, thresholds, decays, biases) are checked where the integer operations are
made; here is what depends on Lava 0.10.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from avnir.errors import Finding, UnsupportedError
from avnir.ir.graph import Graph
from avnir.ir.message_bounds import gain, largest_values
from avnir.ir.operation import Operation

DENSE_LIMIT = 1 << 30
"""Lava sums the weights of a Dense or Sparse doubled, in 32 bits (`proc/dense/models.py:
AbstractPyDenseModelBitAcc`, `proc/sparse/models.py`). With an exponent, which is then a shift to the left,
the bits lost are those that 32 bits lose anyway; only without one are they missed."""
CONV_LIMIT = 1 << 31
"""Lava's Conv casts its sum to 32 bits before it wraps it at 24 (`proc/conv/utils.py: conv`)."""
CONV_BYTE = 127
"""Lava keeps kernel size, stride, padding, dilation and groups in int8 (`proc/conv/models.py`)."""


def check(graph: Graph, backend: str) -> None:
    """Raise UnsupportedError with everything in an integer graph that Lava would compute otherwise."""
    findings = [*_sum_findings(graph), *_window_findings(graph)]
    if findings:
        raise UnsupportedError(f"the backend {backend} cannot run this program exactly", findings)


def _sum_findings(graph: Graph) -> Iterator[Finding]:
    largest = largest_values(graph)
    for node in graph.select(_connects):
        op: Any = node.op
        conv = op.kind == "Conv"
        worst = gain(op) * sum(largest[name] for name in node.inputs) << op.exponent
        limit = CONV_LIMIT if conv else DENSE_LIMIT
        if worst >= limit and (conv or not op.exponent):
            remedy = "Use fewer message bits or smaller weights"
            yield Finding(node.name, f"its sum can reach {worst}, but Lava's holds below {limit}", remedy)


def _connects(op: Operation) -> bool:
    return bool(getattr(op, "connection", False))


def _window_findings(graph: Graph) -> Iterator[Finding]:
    for node in graph.select(lambda op: op.kind == "Conv"):
        op = node.op
        values = {
            "kernel": max(op.weight.shape[2:]),  # type: ignore[attr-defined]
            "stride": max(op.stride),  # type: ignore[attr-defined]
            "padding": max(op.padding),  # type: ignore[attr-defined]
            "dilation": max(op.dilation),  # type: ignore[attr-defined]
            "groups": op.groups,  # type: ignore[attr-defined]
        }
        for what, value in values.items():
            if value > CONV_BYTE:
                yield Finding(
                    node.name, f"{what} is {value}, but Lava's Conv holds up to {CONV_BYTE}", "Use Dense"
                )
