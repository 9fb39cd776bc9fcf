"""A run spread over its samples is the run, bit for bit: every stage, registers and rehearsals too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from avnir import target
from avnir.backend import find
from avnir.compile import compile_graph
from avnir.errors import MemoryLimitError
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.many.samples import (
    FLOAT_SAMPLES,
    Network,
    cut,
    in_turn,
    joined,
    least_room,
    run_part,
    run_within,
    stage_part,
    traces,
)
from avnir.testing.cases import CASES
from avnir.trace import Trace
from avnir.verify.stages import GRAPH, INTEGER
from tests.networks import audio_visual

if TYPE_CHECKING:
    from distributed import Client

SAMPLES = 2 * FLOAT_SAMPLES + 3


def shown(graph: Graph, samples: int, steps: int = 5) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    return {
        node.name: (rng.random((steps, samples, *graph.shapes[node.name])) < 0.3).astype(np.uint8)
        for node in graph.inputs
    }


@pytest.fixture(scope="module")
def network() -> Network:
    graph = audio_visual(1, reset="zero")
    return Network(graph, compile_graph(graph, target.load("loihi2")).program)


def equal(first: Trace, second: Trace) -> bool:
    one, other = first.named(), second.named()
    same = [one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name]) for name in one]
    return one.keys() == other.keys() and all(same)


def nothing() -> None:
    pass


def test_every_stage_is_the_same_on_workers(client: Client, network: Network) -> None:
    inputs = shown(network.graph, SAMPLES)
    stages = (GRAPH, INTEGER, "cpu")
    here, there = (
        traces(who, stage_part, network, [p for s in stages for p in cut(s, inputs, who)], nothing)
        for who in (None, client)
    )
    assert here.keys() == there.keys() == set(stages)
    assert all(equal(here[stage], there[stage]) for stage in stages)
    assert equal(here[INTEGER], here["cpu"])


def test_registers_are_the_same_on_workers(client: Client, network: Network) -> None:
    inputs = shown(network.graph, 9)
    here, there = (
        traces(who, run_part, network.program, cut("cpu", inputs, who, states=True), nothing)["cpu"]
        for who in (None, client)
    )
    assert here.states
    assert equal(here, there)


def test_samples_are_cut_alike_wherever_floats_are_computed(client: Client, network: Network) -> None:
    inputs = shown(network.graph, SAMPLES)
    here, there = (cut(GRAPH, inputs, who) for who in (None, client))
    sizes = [part.inputs["audio"].shape[1] for part in here]
    assert sizes == [part.inputs["audio"].shape[1] for part in there] == [FLOAT_SAMPLES, FLOAT_SAMPLES, 3]
    assert len(cut(INTEGER, inputs)) == 1
    parts = cut(INTEGER, inputs, client)
    assert len(parts) > 2
    for name, array in inputs.items():
        assert np.array_equal(np.concatenate([part.inputs[name] for part in parts], axis=1), array)


def test_joining_keeps_rehearsals_and_states() -> None:
    def trace(samples: int) -> Trace:
        array = np.arange(2 * samples * 3, dtype=np.int32).reshape(2, samples, 3)
        before = Trace({"a": array + 1}, {}, {"a": {"v": array + 2}})
        return Trace({"a": array}, {"out": array}, {"a": {"v": array - 1}}, (before,))

    whole = joined([trace(2), trace(4)])
    assert equal(whole.samples(range(2)), trace(2))
    assert equal(whole.samples(range(2, 6)), trace(4))
    assert len(whole.rehearsals) == 1


@pytest.mark.parametrize("name", ["deep", "window_sum"])
@pytest.mark.parametrize("states", [False, True])
def test_a_run_is_the_same_in_any_room(name: str, states: bool) -> None:
    case = CASES[name]()
    with find("cpu").session(case.program) as session:
        least = least_room(session, case.inputs, states)
        wanted = session.run(case.inputs, states=states)
        for room in (None, least, 3 * least):
            assert equal(run_within(session, case.program.graph, case.inputs, states, room), wanted)
        with pytest.raises(MemoryLimitError):
            run_within(session, case.program.graph, case.inputs, states, least - 1)


def test_a_backend_that_runs_at_once_takes_what_it_takes() -> None:
    case = CASES["deep"]()
    with find("interpreter").session(case.program) as session:
        assert least_room(session, case.inputs, states=True) == 0
        whole = run_within(session, case.program.graph, case.inputs, True, room=0)
        assert equal(whole, session.run(case.inputs, states=True))


@pytest.mark.parametrize("together", [1, 2, 5])
def test_samples_come_in_turn(together: int) -> None:
    case = CASES["window_sum"]()
    found: list[Trace] = []
    shown: list[Array] = []
    with find("cpu").session(case.program) as session:
        room = least_room(session, case.inputs, states=True)
        turn = session, case.program.graph, case.inputs, together, room
        in_turn(*turn, lambda inputs, trace: (shown.append(next(iter(inputs.values()))), found.append(trace)))
        assert equal(joined(found), session.run(case.inputs, states=True))
    whole = next(iter(case.inputs.values()))
    assert [array.shape[1] for array in shown[:-1]] == [together] * (len(shown) - 1)
    np.testing.assert_array_equal(np.concatenate(shown, axis=1), whole)
