"""What makes a chip step as long as it is, and how the steps of a window add up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avnir.cost.costs import Costs
from avnir.cost.latency import BOUNDARY, NOT_TIMED, TERMS, Latency, figure_rows
from avnir.report.figures import DASH, Table, counted, duration, rounded, table

ROWS = 40
"""Bars of the waterfall at most; of a longer window each stands for several steps."""
TICKS = 4
MEANING = {
    "neurons": "updates and spikes of the core with the most",
    "synapses": "synaptic operations of the core with the most",
    "link": "messages on the busiest link of the mesh",
    "barrier": "the barrier at the end of a step, over the tiles in use",
}


@dataclass(frozen=True)
class TermRow:
    """One term: its mean time in a step, as a bar in percent, and how often it is the longest."""

    term: str
    meaning: str
    mean: str
    width: float
    binds: str


@dataclass(frozen=True)
class StepRow:
    """One bar of the waterfall, from `start` on, in percent of the window."""

    steps: str
    time: str
    term: str
    start: float
    width: float
    first_output: bool


@dataclass(frozen=True)
class LatencyView:
    """The terms, the waterfall, `ticks` of its axis in percent, and the prices behind it."""

    summary: tuple[str, ...]
    terms: tuple[TermRow, ...]
    steps: tuple[StepRow, ...]
    ticks: tuple[tuple[float, str], ...]
    figures: Table
    covers: str
    left_out: str


def latency_view(costs: Costs) -> LatencyView:
    """All of it, in means over the samples."""
    timed = costs.timed
    program = costs.compiled.program
    return LatencyView(
        tuple(_summary(costs)),
        tuple(_terms(timed)),
        tuple(_steps(timed, program.latency)),
        tuple(_ticks(float(timed.windows.mean()))),
        table("The prices in it", ("time of one", "value", "grade", "source"), figure_rows(timed)),
        BOUNDARY,
        NOT_TIMED,
    )


def _summary(costs: Costs) -> Iterator[str]:
    timed = costs.timed
    longest = max(timed.binds, key=lambda name: timed.binds[name])
    yield (
        f"A window takes {duration(float(timed.windows.mean()))} in the mean over "
        f"{counted(costs.samples, 'sample')} and at most "
        f"{duration(float(timed.windows.max()))}: {counted(len(timed.steps), 'chip step')} of "
        f"{duration(float(timed.steps.mean()))} in the mean. A step takes as long as the longest of four "
        f"terms; in {rounded(timed.binds[longest])} of the steps that is {longest}."
    )
    shown = f", as the window is shown {costs.presentations} times" if costs.presentations > 1 else ""
    yield (
        f"The first answer comes {counted(costs.compiled.program.latency, 'chip step')} after the first "
        f"input{shown}. These are lower bounds from a model of the chip, not measurements."
    )


def _terms(timed: Latency) -> Iterator[TermRow]:
    means = {name: float(timed.terms[name].mean()) for name in TERMS}
    most = max(means.values()) or 1.0
    for name, mean in means.items():
        width = round(100 * mean / most, 1)
        yield TermRow(name, MEANING[name], duration(mean), width, rounded(timed.binds[name]))


def _steps(timed: Latency, first_output: int) -> Iterator[StepRow]:
    means = {name: timed.terms[name].mean(axis=1) for name in TERMS}
    times = timed.steps.mean(axis=1)
    ends = np.cumsum(times)
    total = float(ends[-1])
    by = math.ceil(len(times) / ROWS)
    for start in range(0, len(times), by):
        stop = min(start + by, len(times))
        took = float(times[start:stop].sum())
        longest = max(TERMS, key=lambda name: float(means[name][start:stop].sum()))
        yield StepRow(
            f"{start}" if by == 1 else f"{start}{DASH}{stop - 1}",
            duration(took),
            longest,
            round(100 * (float(ends[stop - 1]) - took) / total, 2),
            round(100 * took / total, 2),
            start <= first_output < stop,
        )


def _ticks(window: float) -> Iterator[tuple[float, str]]:
    for number in range(TICKS + 1):
        share = number / TICKS
        yield 100 * share, duration(window * share) if number else "0"
