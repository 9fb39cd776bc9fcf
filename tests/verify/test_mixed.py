"""Between the levels: nothing on is the model, everything on is the chip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.compile import compile_graph
from avnir.errors import DataError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.ir.real import RESETS, Conv2d, Delay, Input, Li, Lif, Linear, Output
from avnir.ir.real_graded import InverseRoot, Product, WindowSum
from avnir.passes.merge_synapses import MergeSynapses
from avnir.trace import Trace
from avnir.verify.attribution.mixed import Mixed
from avnir.verify.attribution.mixed_layer import KINDS, MESSAGES, OVERFLOW, WEIGHTS
from avnir.verify.attribution.rejoined import rejoined
from tests.networks import audio_visual, spikes
from tests.verify.networks import BETWEEN, LATTICE, LOIHI2, STEPS, compiled, inputs, layer


def mixed(graph: Graph, given: dict[str, Array], bits: int = 8) -> tuple[Mixed, Trace]:
    """The mixed network of a graph, and the run of its integers."""
    made = compile_graph(graph, LOIHI2, bits)
    merged, _ = MergeSynapses()(made.nir_graph)
    return Mixed.of(merged, made.program.graph, given), interpret_integer(made.program.graph, given)


def assert_same(first: Trace, second: Trace) -> None:
    common = first.spikes.keys() & second.spikes.keys()
    assert common
    for name in common:
        np.testing.assert_array_equal(first.spikes[name], second.spikes[name], err_msg=name)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), reset=st.sampled_from(RESETS), bits=st.sampled_from([3, 8]))
def test_with_everything_on_every_spike_is_that_of_the_integers(seed: int, reset: str, bits: int) -> None:
    graph = audio_visual(seed, reset)
    network, run = mixed(graph, spikes(graph, seed, steps=8, batch=2), bits)
    every = network.run(network.everywhere)
    assert_same(every, run)
    for name, array in run.outputs.items():
        np.testing.assert_array_equal(every.outputs[name], array)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), reset=st.sampled_from(RESETS))
def test_what_lies_before_a_switched_layer_is_as_in_the_model(seed: int, reset: str) -> None:
    """A run of the part behind one layer is the run of all of it."""
    graph = audio_visual(seed, reset)
    network, _ = mixed(graph, spikes(graph, seed, steps=6, batch=2), 3)
    assert_same(network.run({}), interpret_real(graph, network.inputs))
    on = {"fused": frozenset({WEIGHTS})}
    assert_same(network.run(on), interpret_real(network._replaced(on), network.inputs))


def test_a_decaying_current_and_a_recurrent_layer() -> None:
    rng = np.random.default_rng(3)
    cuba = Lif(np.array(0.9), np.array(1.0), np.array(1.0), "subtract", alpha=np.array(0.71))
    nodes = (
        Node("x", Input((24,))),
        Node("fc", Linear(rng.normal(size=(10, 24)) / 3), ("x",)),
        Node("back", Delay((10,)), ("lif",)),
        Node("loop", Linear(rng.normal(size=(10, 10)) / 3), ("back",)),
        Node("lif", cuba, ("fc", "loop")),
        Node("out", Output((10,)), ("lif",)),
    )
    network, run = mixed(verified(Graph("real", nodes)), inputs(), 4)
    assert run.spikes["lif"].any()
    assert_same(network.run(network.everywhere), run)


@pytest.mark.parametrize("epsilon", [0.0, 1e-9])
def test_layers_that_send_numbers(epsilon: float) -> None:
    """A product of sums, divided by a root of a sum over the window, into a read-out."""
    rng = np.random.default_rng(4)
    nodes = (
        Node("x", Input((24,))),
        Node("a", Linear(rng.integers(0, 3, (6, 24)) / 4.0), ("x",)),
        Node("b", Linear(rng.integers(0, 2, (6, 24)) / 3.0), ("x",)),
        Node("product", Product(), ("a", "b")),
        Node("total", Linear(np.ones((6, 24))), ("x",)),
        Node("window", WindowSum(STEPS), ("total",)),
        Node("root", InverseRoot(epsilon), ("window",)),
        Node("divided", Product(), ("product", "root")),
        Node("fc", Linear(rng.normal(size=(5, 6))), ("divided",)),
        Node("lif", Lif(np.array(0.5), np.array(1.0), np.array(1.0)), ("fc",)),
        Node("mean", Linear(rng.normal(size=(3, 5))), ("lif",)),
        Node("li", Li(np.array(0.9), np.array(1.0)), ("mean",)),
        Node("out", Output((3,)), ("li",)),
    )
    network, run = mixed(verified(Graph("real", nodes)), inputs())
    every = network.run(network.everywhere)
    assert run.spikes["lif"].any()
    assert_same(every, run)
    np.testing.assert_array_equal(every.outputs["out"], run.outputs["out"])
    agreeing = [network.run(on).spikes["lif"] for on in (network.alone(MESSAGES), network.without(MESSAGES))]
    assert np.mean(agreeing[0] == network.model.spikes["lif"]) > 0.98
    assert np.mean(agreeing[1] == run.spikes["lif"]) > 0.98
    same = every.spikes["lif"] == network.model.spikes["lif"]
    until = np.logical_and.accumulate(same.all(axis=2), axis=0)  # from there on potentials part
    off = every.outputs["out"] * network.units(network.everywhere)["out"] - network.model.outputs["out"]
    assert np.abs(off[until]).max() < 0.05


def test_the_end_of_a_register_is_one_switch() -> None:
    """A potential pushed down for long is held at the end of its register, and so comes back earlier."""
    steps = 1100
    graph = layer(np.array([[-1.0, 1.0]]), beta=np.array(1.0), reset="none")
    shown = np.zeros((2 * steps, 1, 2), np.uint8)
    shown[:steps, :, 0] = shown[steps:, :, 1] = 1
    network, run = mixed(graph, {"x": shown})
    assert network.layers["lif"].kinds == {OVERFLOW}
    assert run.spikes["lif"].sum() > 0
    assert not network.run({}).spikes["lif"].any()
    assert_same(network.run(network.alone(OVERFLOW)), run)
    assert not network.run(network.without(OVERFLOW)).spikes["lif"].any()


def test_listed_synapses_are_paired_by_their_places() -> None:
    rng = np.random.default_rng(6)
    nodes = (
        Node("x", Input((2, 6, 2))),
        Node("conv", Conv2d(rng.normal(size=(3, 2, 3, 1)), padding=(1, 0)), ("x",)),
        Node("lif", Lif(np.array(0.5), np.array(0.7), np.array(1.0)), ("conv",)),
        Node("out", Output((3, 6, 2)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    network, run = mixed(graph, spikes(graph, 1), 4)
    assert_same(network.run(network.everywhere), run)


def test_sums_in_parts_are_the_connection_that_they_stand_for() -> None:
    wide = np.random.default_rng(8).normal(size=(3, 10_100)) / 40
    graph = layer(wide)
    made = compile_graph(graph, LOIHI2, 4)
    assert "x__lif_parts" in made.program.graph.by_name
    shown = np.random.default_rng(9).random((4, 3, 10_100)) < 0.3
    network, run = mixed(graph, {"x": shown.astype(np.uint8)}, 4)
    assert run.spikes["lif"].any()
    assert_same(network.run(network.everywhere), run)
    assert network.layers["lif"].kinds == {WEIGHTS, OVERFLOW}
    untouched = compiled(layer(BETWEEN)).program.graph
    assert rejoined(untouched) is untouched


def test_kinds_are_those_that_rounding_changes() -> None:
    exact, _ = mixed(layer(LATTICE), inputs())
    assert exact.layers["lif"].kinds == {OVERFLOW}
    between, _ = mixed(layer(BETWEEN), inputs())
    assert between.layers["lif"].kinds == {WEIGHTS, OVERFLOW}
    assert between.layers["lif"].whole == set(KINDS) - {MESSAGES}


def test_a_program_of_another_network_is_refused() -> None:
    other = compiled(layer(BETWEEN[:5]))
    merged, _ = MergeSynapses()(compiled(layer(BETWEEN)).nir_graph)
    with pytest.raises(DataError) as refused:
        Mixed.of(merged, other.program.graph, inputs())
    assert "lif is (Lif (5,)), but (Lif (12,)) in the model" in str(refused.value)
    assert "x__lif is (synapses (5,)), but (synapses (12,)) in the model" in str(refused.value)
