"""What a run of a deployment loses against the model: spike slots and decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from avnir.decision import Decision
from avnir.ir.operation import Array
from avnir.trace import Trace


@dataclass(frozen=True)
class Loss:
    """What a run loses against the model: `slots` that differ, and samples that are decided as another class.

    `right` says how many samples fewer are decided right; None without labels.
    """

    slots: int = 0
    decisions: int = 0
    right: int | None = None

    def __sub__(self, other: Loss) -> Loss:
        right = None
        if self.right is not None and other.right is not None:
            right = self.right - other.right
        return Loss(self.slots - other.slots, self.decisions - other.decisions, right)

    @property
    def nothing(self) -> bool:
        """Whether no slot and no decision differs."""
        return not (self.slots or self.decisions or self.right)

    def record(self) -> dict[str, Any]:
        """Plain values."""
        return {"slots": self.slots, "decisions": self.decisions, "right": self.right}


@dataclass(frozen=True)
class Measure:
    """Counts what a trace loses against `wanted`, the model's; `labels` `[B]` or None."""

    wanted: Trace
    decision: Decision
    labels: Array | None = None

    @cached_property
    def classes(self) -> Array:
        """What the model decides, `[B]`."""
        return self.decision.classes(self.wanted)

    def __call__(self, trace: Trace, units: Mapping[str, float]) -> Loss:
        """`units` says what 1 of each output is in the model."""
        classes, modelled = self.decision.classes(trace, units), self.classes
        right = None
        if self.labels is not None:
            right = int((modelled == self.labels).sum()) - int((classes == self.labels).sum())
        return Loss(sum(self.by_layer(trace).values()), int((classes != modelled).sum()), right)

    def by_layer(self, trace: Trace, other: Trace | None = None) -> dict[str, int]:
        """Slots that differ from the model's, or from another run's, of each layer that the model has."""
        against = (other or self.wanted).spikes
        return {
            name: int(np.count_nonzero(trace.spikes[name] != against[name])) for name in self.wanted.spikes
        }
