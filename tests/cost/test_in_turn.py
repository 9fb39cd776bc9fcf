"""Costs of a run whose samples come one after another: those of the whole run, in every figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from avnir import target
from avnir.compile import Compiled, compile_graph
from avnir.cost.costs import Costs, Take, costs_of, costs_of_runs
from avnir.cost.held import cost_need, timed_bytes, timed_need
from avnir.cost.latency import Latency, latency
from avnir.errors import UnsupportedError
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.place import place
from avnir.program import Program
from avnir.testing.strategies import Window, windows
from avnir.trace import Trace
from tests.allocated import peak
from tests.networks import audio_visual, spikes
from tests.place.networks import Conv, Dense, Listed, chain

LOIHI1, LOIHI2 = target.load("loihi1"), target.load("loihi2")
SLOW: dict[str, Any] = {"deadline": None}


@dataclass(frozen=True)
class Ran:
    """A program that was run over its inputs."""

    program: Program
    inputs: Mapping[str, Array]
    trace: Trace

    @classmethod
    def of(cls, program: Program, inputs: Mapping[str, Array]) -> Ran:
        return cls(program, inputs, interpret_integer(program.graph, inputs, states=True))

    def first(self, samples: int) -> Ran:
        inputs = {name: array[:, :samples] for name, array in self.inputs.items()}
        return Ran(self.program, inputs, self.trace.samples(range(samples)))

    def cut(self, together: int) -> Callable[[Take], None]:
        batch = next(iter(self.inputs.values())).shape[1]

        def run(take: Take) -> None:
            for first in range(0, batch, together):
                samples = range(first, min(first + together, batch))
                shown = {name: array[:, samples] for name, array in self.inputs.items()}
                take(shown, self.trace.samples(samples))

        return run


def figures(costs: Costs) -> dict[str, Any]:
    """All that was found, in values that can be compared."""
    return {
        "extent": (costs.samples, costs.steps, costs.presentations),
        "placed": (costs.placement, of_latency(costs.timed)),
        "worst": costs.worst and (costs.worst[0], of_latency(costs.worst[1])),
        "synops": costs.synops,
        "energy": costs.energy.record(),
        "convention": costs.convention,
    }


def of_latency(timed: Latency) -> list[Any]:
    arrays = *timed.terms.values(), *timed.cores.values(), timed.messages, timed.links, timed.between_chips
    return [timed.figures, *(array.tolist() for array in arrays)]


def compiled_for(program: Program, chips: int = 1) -> Compiled:
    return Compiled(program.graph, program, place(program, LOIHI2, chips=chips), ())


@settings(**SLOW, max_examples=25)
@given(windows(max_layers=3), st.integers(1, 4), st.booleans())
def test_any_cut_gives_the_same_costs(window: Window, together: int, balance: bool) -> None:
    try:
        compiled = compiled_for(window.program)
    except UnsupportedError:
        assume(False)
    ran = Ran.of(window.program, window.inputs)
    whole = costs_of(compiled, LOIHI2, ran.inputs, ran.trace, balance)
    assert figures(costs_of_runs(compiled, LOIHI2, ran.cut(together), balance)) == figures(whole)


def test_energy_that_is_totalled() -> None:
    graph = audio_visual(1, "zero")
    compiled = compile_graph(graph, LOIHI1)
    ran = Ran.of(compiled.program, spikes(graph, 0, 6, 5))
    whole = costs_of(compiled, LOIHI1, ran.inputs, ran.trace, balance=True)
    assert whole.energy.dynamic > 0
    assert figures(costs_of_runs(compiled, LOIHI1, ran.cut(2), balance=True)) == figures(whole)


def test_messages_between_chips() -> None:
    program = chain((40,), Dense(1500, 8), Dense(30, 8))
    placement = place(program, LOIHI2, chips=4, cores=1)
    compiled = Compiled(program.graph, program, placement, ())
    shown = (np.random.default_rng(0).random((3, 5, 40)) < 0.5).astype(np.uint8)
    ran = Ran.of(program, {"x": shown})
    whole = costs_of(compiled, LOIHI2, ran.inputs, ran.trace)
    assert whole.timed.between_chips.any()
    assert figures(costs_of_runs(compiled, LOIHI2, ran.cut(2))) == figures(whole)


PROGRAMS: dict[str, Program] = {
    "convolutions": chain((8, 24, 24), Conv(8, 8, padding=(1, 1)), Conv(8, 8, padding=(1, 1)), Dense(50, 8)),
    "dense": chain((400,), Dense(900, 8), Dense(100, 8)),
    "listed": chain((500,), Listed(400, 0.2), Dense(20, 8)),
}
SMALL = 2 << 20
"""Bytes of the routes of a chip and of objects, which belong to what a budget spares."""


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("samples", [1, 6])
def test_no_more_memory_is_taken_than_was_told(name: str, samples: int) -> None:
    program = PROGRAMS[name]
    dice = np.random.default_rng(0)
    inputs = {"x": (dice.random((25, 6, *program.graph.shapes["x"])) < 0.3).astype(np.uint8)}
    ran, compiled = Ran.of(program, inputs).first(samples), compiled_for(program, chips=2)
    placed = program, compiled.placement
    needs = timed_need(*placed, LOIHI2, ran.inputs), cost_need(*placed, LOIHI2, ran.inputs, room=0)
    kept = samples * timed_bytes(*placed, LOIHI2, ran.inputs)
    taken = (
        peak(lambda: latency(*placed, LOIHI2, ran.inputs, ran.trace)),
        peak(lambda: costs_of(compiled, LOIHI2, ran.inputs, ran.trace)) + sizes(ran.trace),
    )
    for need, took in zip(needs, taken, strict=True):
        assert took <= need.each * samples + need.once + kept + SMALL


def sizes(trace: Trace) -> int:
    return sum(array.nbytes for array in trace.named().values())
