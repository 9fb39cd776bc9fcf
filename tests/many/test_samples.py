"""A run spread over its samples is the run, bit for bit: every stage, registers and rehearsals too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.many.samples import FLOAT_SAMPLES, Network, cut, joined, run_part, stage_part, traces
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
