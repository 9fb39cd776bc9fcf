"""One program, run by the engine and by others in turns; the engine's every spike is compared.

What the engine gives in each timed run must be what the integer interpreter gives. Everything else is timed
as it is, its spikes are taken from one more run, and their agreement with the integers is reported.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avnir.backend import Session
from avnir.errors import GateError
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.packed import same
from avnir.program import Program
from avnir.speed.results import ENGINE, Result, Timing, size_text
from avnir.speed.turns import Run, Spread, take_turns
from avnir.trace import Trace
from avnir.verify.compare import compare

Spikes = Callable[[], Mapping[str, Array]]


@dataclass(frozen=True)
class Contestant:
    """Somebody who runs the program, or what it asks for.

    how: what it runs, in words. spikes: gives those of each layer `[T, B, n]`, uint8, of one more run over
    `inputs`, which may have fewer samples or other steps than the engine's. exact: whether they must be the
    integers'.
    """

    name: str
    title: str
    run: Run
    how: str
    inputs: Mapping[str, Array] | None = None
    spikes: Spikes | None = None
    exact: bool = False
    versions: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Entry:
    """A program, the inputs `[T, B, *shape]` that it is run over, and what it is called."""

    name: str
    title: str
    program: Program
    inputs: Mapping[str, Array]

    @property
    def size(self) -> tuple[int, int]:
        """Steps and samples."""
        steps, samples = next(iter(self.inputs.values())).shape[:2]
        return steps, samples


def contest(
    entry: Entry,
    session: Session,
    others: Sequence[Contestant],
    absent: Mapping[str, str],
    repeats: int,
    told: Callable[[], None],
) -> Result:
    """Time the engine's `session` and the `others`, `repeats` rounds of turns; `told` after each turn.

    Raises GateError where a spike of the engine is not the interpreter's; BackendError where another fails.
    """
    itself, (steps, samples) = EngineRuns(session, entry), entry.size
    runs = {ENGINE: itself.run, **{other.name: other.run for other in others}}
    seconds = take_turns(runs, repeats, told)
    engine = seconds[ENGINE]
    ours = Timing(
        ENGINE, "avnir, CPU engine", Spread.of(engine), Spread.of([1.0]), size_text(samples, steps), 1.0, True
    )
    timings = [_timing(entry.program, other, seconds[other.name], engine) for other in others]
    return Result(entry.name, entry.title, samples, steps, itself.activity, (ours, *timings), absent)


class EngineRuns:
    """Runs of the engine, from the inputs to the trace, each of which must be the integer interpreter's.

    The first trace is compared with the interpreter's, all others with it: as packed as they are, so that the
    comparison leaves as much of the engine's in the caches as anybody leaves who runs it again and again.
    """

    def __init__(self, session: Session, entry: Entry) -> None:
        self._session, self._entry = session, entry
        self._defined = interpret_integer(entry.program.graph, entry.inputs)
        self._proved: Trace | None = None

    @property
    def activity(self) -> dict[str, float]:
        """By layer the share of its slots that spike."""
        spikes = self._defined.spikes
        return {name: float(np.count_nonzero(sent) / sent.size) for name, sent in spikes.items()}

    def run(self) -> tuple[float, int]:
        """One run; GateError where its trace is not the definition's."""
        started = time.perf_counter()
        trace = self._session.run(self._entry.inputs)
        seconds = time.perf_counter() - started
        if self._proved is None or not _equal(trace, self._proved):
            self._prove(trace)
        return seconds, math.prod(self._entry.size)

    def _prove(self, trace: Trace) -> None:
        found = compare(self._defined, trace, ("the integer interpreter", "the engine"))
        if not found.identical:
            where = found.divergence or "an output"
            raise GateError(
                f"{self._entry.name}: the engine's spikes are not the integer interpreter's, first at "
                f"{where}; nothing that was timed counts"
            )
        self._proved = trace


def _equal(one: Trace, other: Trace) -> bool:
    """Whether all that was sent and shown is the same, in each presentation."""
    return all(
        same(a.spikes, b.spikes) and same(a.outputs, b.outputs)
        for a, b in zip(one.presented, other.presented, strict=True)
    )


def _timing(program: Program, other: Contestant, seconds: list[float], engine: list[float]) -> Timing:
    ratios = [theirs / ours for theirs, ours in zip(seconds, engine, strict=True)]
    return Timing(
        other.name,
        other.title,
        Spread.of(seconds),
        Spread.of(ratios),
        other.how,
        agreement(program, other),
        other.exact,
        other.versions,
    )


def agreement(program: Program, other: Contestant) -> float | None:
    """The share of spike slots, of all layers that are as the integers'; None without spikes."""
    if other.spikes is None or other.inputs is None:
        return None
    defined = interpret_integer(program.graph, other.inputs).spikes
    found = other.spikes()
    equal = sum(int((found[name].reshape(sent.shape) == sent).sum()) for name, sent in defined.items())
    return equal / sum(math.prod(sent.shape) for sent in defined.values())
