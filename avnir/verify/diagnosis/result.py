"""What a diagnosis says: the layers where a difference enters, and what explains it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Explanation:
    """A cause that was tried at a layer, in words, and which share of the differing slots it explains.

    `steps` are the steps in which it can be judged, of those in the window; `others` are further details
    under which the same cause explains as much.
    """

    layer: str
    name: str
    sentence: str
    detail: str
    remedy: str
    share: float
    steps: tuple[int, int]
    others: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether it gives every slot that can be judged."""
        return self.share == 1.0

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return {**vars(self), "steps": list(self.steps), "others": list(self.others), "exact": self.exact}


@dataclass(frozen=True)
class Entry:
    """A layer where a difference enters: the first slot, and what explains it, the simplest first.

    `place` is (step, sample, neuron); `slots` differ in what is sent, `values` in registers that were
    recorded. Where nothing explains all of it, `explanations` holds what explains most. `recorded_only`:
    the layers behind it got our spikes, so that only its recording is at fault.
    """

    layer: str
    place: tuple[int, int, tuple[int, ...]]
    slots: int
    values: int
    explanations: tuple[Explanation, ...]
    recorded_only: bool = False

    @property
    def named(self) -> bool:
        """Whether a cause was found."""
        return any(explanation.exact for explanation in self.explanations)

    def record(self) -> dict[str, Any]:
        """JSON values."""
        step, sample, neuron = self.place
        return {
            "layer": self.layer,
            "step": step,
            "sample": sample,
            "neuron": list(neuron),
            "slots": self.slots,
            "values": self.values,
            "named": self.named,
            "recorded_only": self.recorded_only,
            "explanations": [explanation.record() for explanation in self.explanations],
        }


@dataclass(frozen=True)
class Diagnosis:
    """Why a recording differs from ours.

    `equal`: layers without a difference; `entries`: layers that answer otherwise to the same input, in the
    order in which their first differences come; `passed_on`: layers that differ only by what they got;
    `recording`: what explains the whole recording; `unexamined`: further layers where a difference enters.
    """

    equal: tuple[str, ...]
    passed_on: tuple[str, ...]
    entries: tuple[Entry, ...]
    recording: tuple[Explanation, ...] = ()
    unexamined: tuple[str, ...] = ()

    @cached_property
    def causes(self) -> tuple[Explanation, ...]:
        """All that explains: of the whole recording if there is such a cause, else of each layer."""
        exact = (e for entry in self.entries for e in entry.explanations if e.exact)
        return self.recording or tuple(exact)

    @property
    def named(self) -> bool:
        """Whether every difference has a cause, or there is none."""
        found = all(entry.named for entry in self.entries) and not self.unexamined
        return bool(self.recording) or found

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "named": self.named,
            "equal": list(self.equal),
            "passed_on": list(self.passed_on),
            "recording": [explanation.record() for explanation in self.recording],
            "entries": [entry.record() for entry in self.entries],
            "unexamined": list(self.unexamined),
        }
