"""Timing several runners by turns, so that what else the machine does meets them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEAST_SECONDS = 0.1
"""A turn is a mean over runs of at least this long together."""
MOST_RUNS = 1000

Run = Callable[[], tuple[float, int]]
"""One run: its seconds, and how many steps of one sample it made."""


@dataclass(frozen=True)
class Spread:
    """Of several measurements the median and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
        return cls(float(median), float(low), float(high))

    def record(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high}


def take_turns(runs: Mapping[str, Run], repeats: int, told: Callable[[], None]) -> dict[str, list[float]]:
    """Seconds a step of a sample of each, once for each of `repeats` rounds, in which everybody has a turn.

    Each is run once beforehand, which does not count. `told` is called after each turn.
    """
    for run in runs.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            found[name].append(_turn(run))
            told()
    return found


def _turn(run: Run) -> float:
    seconds, steps, runs = 0.0, 0, 0
    while seconds < LEAST_SECONDS and runs < MOST_RUNS:
        more = run()
        seconds, steps, runs = seconds + more[0], steps + more[1], runs + 1
    return seconds / steps
