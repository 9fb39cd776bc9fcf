"""What was measured of one program: the engine, and everything that it was timed beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avnir.speed.turns import Spread

ENGINE, EVENTS = "avnir", "avnir-events"
"""The engine as it is, and as it is where a processor has no products of tiles."""
ROWS = {"ceiling-cache": "row additions, from cache", "ceiling-memory": "row additions, from memory"}
CEILINGS = {**ROWS, "ceiling-tiles": "products of tiles, from cache"}
"""The kernels of `avnir.hardware.ceiling`, by where their operands come from."""
PEER_GOAL = 10.0
GOALS: Mapping[tuple[str, str], float] = {
    ("dense", "lava-runtime"): 1500.0,
    ("conv", "lava-runtime"): 5000.0,
    ("dense", "snntorch"): 25.0,
    ("conv", "snntorch"): 25.0,
    ("dense", "best other"): PEER_GOAL,
    ("conv", "best other"): PEER_GOAL,
    ("single", "snntorch"): 10.0,
    ("s-cmrl", "snntorch"): 15.0,
    ("layer", "ceiling-cache"): 0.6,
}
"""By program and what it is timed beside: at least how many times the engine's time the other should take; of
the ceiling, which part of the engine's."""
NOT_OTHER = (EVENTS, "snntorch", "lava", "lava-runtime", *CEILINGS)
"""What has no part in the best of the others."""


@dataclass(frozen=True)
class Timing:
    """How one runner did: seconds a step of a sample, and by round the multiple of the engine's time.

    how: what was run. agreement: the share of its spike slots that are the integers' (None: it has none or
    kept none), and whether it is meant to be 1. versions: of what ran.
    """

    name: str
    title: str
    seconds: Spread
    ratio: Spread
    how: str
    agreement: float | None = None
    exact: bool = False
    versions: Mapping[str, str] | None = None

    def record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "seconds_per_sample_step": self.seconds.record(),
            "ratio": self.ratio.record(),
            "how": self.how,
            "agreement": self.agreement,
            "exact": self.exact,
            "versions": dict(self.versions or {}),
        }


@dataclass(frozen=True)
class Result:
    """One program: `timings` with the engine first, and by layer the share of its slots that spike.

    absent: who was left out, and why. full: whether it was run at its full size, which the goals are for.
    """

    name: str
    title: str
    samples: int
    steps: int
    activity: Mapping[str, float]
    timings: tuple[Timing, ...]
    absent: Mapping[str, str]
    full: bool = True

    @property
    def goals(self) -> dict[str, tuple[float, bool]]:
        """By runner's name the goal and whether it is reached; of other simulators the fastest has one."""
        if not self.full:
            return {}
        best = min((t for t in self.timings[1:] if t.name not in NOT_OTHER), key=_ratio, default=None)
        found = {}
        for timing in self.timings:
            goal = GOALS.get((self.name, "best other" if timing is best else timing.name))
            if goal is not None:
                found[timing.name] = (goal, timing.ratio.median >= goal)
        return found

    def record(self) -> dict[str, Any]:
        return {
            "program": self.name,
            "title": self.title,
            "samples": self.samples,
            "steps": self.steps,
            "activity": dict(self.activity),
            "timings": [timing.record() for timing in self.timings],
            "goals": {name: {"goal": goal, "reached": met} for name, (goal, met) in self.goals.items()},
            "left_out": dict(self.absent),
        }


def size_text(samples: int, steps: int) -> str:
    """A number of samples and of steps, in words."""
    return f"{samples} sample{'s' * (samples != 1)} x {steps} steps"


def _ratio(timing: Timing) -> float:
    return timing.ratio.median
