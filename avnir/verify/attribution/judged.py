"""How good a deployment is on some of the examples, beside another.

Decisions are few and noisy. One of two deployments is worse if more of its samples are decided unlike the
model and chance does not explain it: by the sign test on those samples that only one of the two decides
unlike the model (Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
percentages", Psychometrika 12(2), 1947, in its exact form) at the level CHANCE. A class that rounding gets
right by chance is unlike the model, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.compile import Compiled
from avnir.decision import output_units
from avnir.ir.graph import Graph
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.trace import Trace
from avnir.verify.attribution.loss import Loss, Measure

CHANCE = 0.05
Run = Callable[[Program, Mapping[str, Array]], Trace]


@dataclass(frozen=True)
class Samples:
    """Some of the examples, `[T, B, *shape]`, and what to measure a run over them by."""

    inputs: Mapping[str, Array]
    measure: Measure
    run: Run

    @classmethod
    def of(
        cls, graph: Graph, program: Program, inputs: Mapping[str, Array], labels: Array | None, run: Run
    ) -> Samples:
        """`graph` is the traced one, `labels` int `[B]`."""
        return cls(inputs, Measure(interpret_real(graph, inputs), program.decision, labels), run)

    def judged(self, compiled: Compiled) -> Judged:
        """What a deployment loses on them."""
        program = compiled.program
        trace = self.run(program, self.inputs)
        units = output_units(program.graph)
        labels = self.measure.labels
        classes = self.measure.decision.classes(trace, units)
        accuracy = None if labels is None else float(np.mean(classes == labels))
        unlike = tuple(int(sample) for sample in np.flatnonzero(classes != self.measure.classes))
        differ = self.measure.by_layer(trace)
        return Judged(self.measure(trace, units), differ, unlike, accuracy, compiled.placement.cores)

    @property
    def accuracy(self) -> float | None:
        """The model's own, None without labels."""
        labels = self.measure.labels
        return None if labels is None else float(np.mean(self.measure.classes == labels))


@dataclass(frozen=True)
class Judged:
    """What a deployment loses on some samples, the slots of each layer that differ, and what it takes.

    `unlike` are the samples that it decides unlike the model; `accuracy` is its own, None without labels.
    """

    lost: Loss
    differ: Mapping[str, int]
    unlike: tuple[int, ...]
    accuracy: float | None
    cores: int

    def surely_worse(self, than: Judged) -> bool:
        """Whether more samples are decided unlike the model, beyond chance."""
        mine, theirs = set(self.unlike) - set(than.unlike), set(than.unlike) - set(self.unlike)
        apart = len(mine) + len(theirs)
        ways = sum(math.comb(apart, count) for count in range(len(mine), apart + 1))
        return ways < CHANCE * 2**apart

    def record(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **self.lost.record(),
            "layers": dict(self.differ),
            "accuracy": self.accuracy,
            "cores": self.cores,
        }
