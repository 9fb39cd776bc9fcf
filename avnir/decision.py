"""How the host reads one class for each sample from what a network sends.

Most networks decide by the largest sum over the window: the most spikes, or the largest sum of potentials. A
network with read-out attention sends a score beside the classes in every step, and the steps are weighed by
their softmax over the window:

    s = softmax_t(score_t),     decision = argmax_k sum_t s_t class_tk

The softmax is done on the host: `costs` says how much that is. Its denominator, the same for every class, is
left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.errors import DataError
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.numerics import fixed
from avnir.trace import Trace


@dataclass(frozen=True)
class Decision:
    """`output` is what the classes are read from, the first by default; `scores` names the steps' score."""

    output: str | None = None
    scores: str | None = None

    def read(self, outputs: Iterable[str]) -> str:
        """Which of a network's outputs the classes are read from."""
        return self.output or next(iter(outputs))

    def classes(self, trace: Trace, units: Mapping[str, float] | None = None) -> Array:
        """The class of each sample, int64 `[B]`; the lowest of equals.

        `units` says what one step of an integer output is in the model (`output_units`).
        """
        if self.scores is None:
            return trace.decisions(self.output)
        values = trace.outputs[self.read(trace.outputs)]
        score = trace.outputs[self.scores] * (units or {}).get(self.scores, 1.0)
        weights = np.exp(score - score.max(axis=0))
        weighed = (values.reshape(*values.shape[:2], -1) * weights.reshape(*score.shape[:2], 1)).sum(axis=0)
        return np.asarray(weighed.argmax(axis=1))

    def check(self, graph: Graph) -> None:
        """Raise DataError where the graph has no such outputs."""
        shapes = {node.name: graph.shapes[node.name] for node in graph.outputs}
        for name in filter(None, (self.output, self.scores)):
            if name not in shapes:
                raise DataError(f"the decision reads {name!r}, but the outputs are {', '.join(shapes)}")
        if self.scores is not None and np.prod(shapes[self.scores]) != 1:
            raise DataError(f"{self.scores!r} is {shapes[self.scores]}, but a score is one number a step")

    def costs(self, classes: int, steps: int) -> Mapping[str, int]:
        """What the host does for a sample: operations by name, besides the search for the largest."""
        added = {"additions": steps * classes}
        if self.scores is None:
            return added
        return {"exponentials": steps, "multiplications": steps * classes, **added}

    def record(self) -> dict[str, Any]:
        """JSON values, empty for the usual one."""
        given = {"output": self.output, "scores": self.scores}
        return {name: value for name, value in given.items() if value is not None}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Decision:
        """Read what `record` gave; DataError where it is something else."""
        surplus = sorted(record.keys() - {"output", "scores"})
        if surplus or not all(isinstance(value, str) for value in record.values()):
            raise DataError(f"{dict(record)!r} is no decision; it has an output and scores, both names")
        return cls(record.get("output"), record.get("scores"))


def output_units(graph: Graph) -> Mapping[str, float]:
    """What one step of each output of an integer graph is in the model, where a read-out sends it."""
    behind = {node.name: graph[node.inputs[0]].op for node in graph.outputs}
    return {
        name: 1 / (float(op.scale.max()) * (1 << fixed.ALIGN))  # type: ignore[attr-defined]
        for name, op in behind.items()
        if op.kind == "Readout"
    }
