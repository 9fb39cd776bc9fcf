"""What Lava's process models cannot take, found before Lava starts: Lava itself validates nothing.

Ranges of single values (weights, thresholds, decays, biases) are checked where the integer operations are
made; here is what depends on Lava 0.10.0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avnir.errors import Finding, UnsupportedError
from avnir.ir.graph import Graph, Node

DENSE_LIMIT = 1 << 30
"""Lava sums a Dense's weights doubled, in 32 bits (`proc/dense/models.py: AbstractPyDenseModelBitAcc`)."""
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
    for node in graph.select(lambda op: op.kind in ("Dense", "Conv")):
        op, dense = node.op, node.op.kind == "Dense"
        magnitude = np.abs(op.weight.astype(np.int64)).reshape(len(op.weight), -1).sum(axis=1)  # type: ignore[attr-defined]
        message = sum(_largest_message(graph[name]) for name in node.inputs)
        worst = int(magnitude.max()) * message << (0 if dense else op.exponent)  # type: ignore[attr-defined]
        limit = DENSE_LIMIT if dense else CONV_LIMIT
        if worst >= limit:
            remedy = "Use fewer message bits or smaller weights"
            yield Finding(node.name, f"its sum can reach {worst}, but Lava's holds below {limit}", remedy)


def _largest_message(source: Node) -> int:
    bits = getattr(source.op, "message_bits", 0)
    return 1 << (bits - 1) if bits else 1


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
