"""Folding the gain changes no spike, and leaves NIR's canonical form."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.errors import UnsupportedError
from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array, Operation, same_array
from avnir.passes.fold_gain import PARAMETERS, FoldGain, canonical, leak_problem, unit_gain
from tests.random_graphs import LOOPED_LAYERS, inputs_for, real_graph


def graph_of(*nodes: Node, dt: float = 1e-4) -> Graph:
    return verified(Graph("real", nodes, dt))


def lif(beta: Array | float, gain: Array | float = 1.0, threshold: float = 0.5) -> real.Lif:
    return real.Lif(np.asarray(beta), np.asarray(threshold), np.asarray(gain))


def one_layer(before: Operation, neuron: real.Lif, extra: tuple[Node, ...] = ()) -> Graph:
    shape = before.output_shape((2, 3, 3))
    return graph_of(
        Node("x", real.Input((2, 3, 3))),
        Node("before", before, ("x",)),
        Node("lif", neuron, ("before",)),
        Node("out", real.Output(shape), ("lif",)),
        *extra,
    )


CONV = real.Conv2d(np.ones((2, 2, 3, 3), np.float32), np.ones(2, np.float32), padding=(1, 1))


def check_canonical(graph: Graph) -> None:
    for node in graph.select(lambda op: op.kind in ("Lif", "Li")):
        op: real.Lif = node.op  # type: ignore[assignment]
        shape = graph.shapes[node.name]
        assert same_array(op.gain, canonical(unit_gain(op, graph.dt), shape))
        for name in PARAMETERS[op.kind][:3]:
            if name == "alpha":
                continue
            parameter = getattr(op, name)
            assert parameter.dtype == np.float64
            assert parameter.shape in ((), shape)
            assert parameter.shape == () or len(np.unique(parameter)) > 1


@settings(max_examples=120, deadline=None)
@given(st.randoms(use_true_random=False))
def test_spikes_stay_and_the_form_is_canonical(random: Random) -> None:
    graph = real_graph(random, LOOPED_LAYERS)
    folded, notes = FoldGain()(graph)
    check_canonical(folded)
    assert bool(notes) == any(
        not same_array(old.op.gain.astype(float), folded[old.name].op.gain)  # type: ignore[attr-defined]
        and not np.array_equal(
            np.broadcast_to(old.op.gain, graph.shapes[old.name]),  # type: ignore[attr-defined]
            np.broadcast_to(folded[old.name].op.gain, graph.shapes[old.name]),  # type: ignore[attr-defined]
        )
        for old in graph.select(lambda op: op.kind in ("Lif", "Li"))
    )
    before, after = (interpret_real(g, inputs_for(graph)) for g in (graph, folded))
    for name, spikes in before.spikes.items():
        np.testing.assert_array_equal(after.spikes[name], spikes, err_msg=name)
    assert FoldGain()(folded) == (folded, [])


def test_factor_goes_into_weight_and_bias_per_channel() -> None:
    beta = np.array([0.5, 0.75]).reshape(2, 1, 1)
    folded, notes = FoldGain()(one_layer(CONV, lif(beta)))
    op: real.Conv2d = folded["before"].op  # type: ignore[assignment]
    np.testing.assert_array_equal(op.weight, CONV.weight * np.array([2.0, 4.0]).reshape(2, 1, 1, 1))
    np.testing.assert_array_equal(op.bias, np.array([2.0, 4.0]))
    assert op.weight.dtype == np.float64
    assert [note.text for note in notes] == [
        "gain 1 became 0.25 to 0.5; the factor 2 to 4 went into the weights of before"
    ]


def test_factor_of_single_neurons_of_a_convolution_becomes_a_scale() -> None:
    beta = np.linspace(0.1, 0.9, 18).reshape(2, 3, 3)
    folded, notes = FoldGain()(one_layer(CONV, lif(beta)))
    assert folded["before"].op == CONV
    assert folded["lif_gain"].op == real.Scale(1 / (1 - beta))
    assert folded["lif"].inputs == ("lif_gain",)
    assert notes[0].text.endswith("went into the new Scale lif_gain")


def test_weights_that_feed_another_node_stay() -> None:
    graph = one_layer(CONV, lif(0.5), (Node("tap", real.Output((2, 3, 3)), ("before",)),))
    folded, _ = FoldGain()(graph)
    assert folded["before"].op == CONV
    assert folded["lif_gain"].op == real.Scale(np.array(2.0))


def test_several_layers_in_front_are_all_scaled_or_all_go_through_one_scale() -> None:
    weight = np.eye(3)
    tail = (Node("out", real.Output((3,)), ("lif",)),)
    head = (Node("a", real.Input((3,))), Node("b", real.Input((3,))), Node("fa", real.Linear(weight), ("a",)))
    both = graph_of(
        *head, Node("fb", real.Linear(weight), ("b",)), Node("lif", lif(0.5), ("fa", "fb")), *tail
    )
    folded, _ = FoldGain()(both)
    assert folded["fa"].op == folded["fb"].op == real.Linear(2 * weight)
    assert folded["lif"].inputs == ("fa", "fb")
    one, _ = FoldGain()(graph_of(*head, Node("lif", lif(0.5), ("fa", "b")), *tail))
    assert one["fa"].op == real.Linear(weight)
    assert one["lif_gain"].inputs == ("fa", "b")


def test_a_neuron_without_leak_gets_the_gain_dt() -> None:
    folded, _ = FoldGain()(one_layer(CONV, lif(1.0)))
    assert folded["lif"].op.gain == 1e-4  # type: ignore[attr-defined]
    assert folded["before"].op.bias[0] == 1 / 1e-4  # type: ignore[attr-defined]


def test_new_scale_avoids_names_that_are_taken() -> None:
    nodes = (
        Node("lif_gain", real.Input((3,))),
        Node("lif", lif(0.5), ("lif_gain",)),
        Node("out", real.Output((3,)), ("lif",)),
    )
    folded, _ = FoldGain()(graph_of(*nodes))
    assert folded["lif"].inputs == ("lif_gain_",)


def test_a_layer_with_and_without_leak_is_refused() -> None:
    graph = one_layer(CONV, lif(np.array([1.0, 0.5]).reshape(2, 1, 1)))
    assert leak_problem(graph["lif"].op)
    with pytest.raises(UnsupportedError, match="lif: some of its neurons have beta = 1, others less"):
        FoldGain()(graph)


def test_graph_given_is_left_alone() -> None:
    graph = one_layer(CONV, lif(0.5))
    FoldGain()(graph)
    assert graph == one_layer(CONV, lif(0.5))


@pytest.mark.parametrize("leaks", [(1.0, 0.5), (0.5, 1.0)])
def test_a_current_without_a_leak_is_refused(leaks: tuple[float, float]) -> None:
    alpha, beta = map(np.array, leaks)
    with pytest.raises(UnsupportedError, match="lif: it has a synaptic current, and alpha or beta = 1"):
        FoldGain()(one_layer(CONV, lif(beta).replace(alpha=alpha)))


def test_a_neuron_with_a_current_gets_gain_one() -> None:
    graph = one_layer(CONV, lif(0.5).replace(alpha=np.array(0.25), gain=np.array(0.125)))
    folded, _ = FoldGain()(graph)
    assert folded["lif"].op.gain == 1  # type: ignore[attr-defined]
    (before,) = folded["lif"].inputs
    np.testing.assert_array_equal(folded[before].op.weight, graph[before].op.weight * 0.125)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("beta", "wanted"), [(0.5, 0.5), (1.0, 1e-4)])
def test_an_integrator_gets_the_gain_of_a_neuron_and_keeps_its_potential(beta: float, wanted: float) -> None:
    before = one_layer(CONV, lif(beta))
    graph = before.with_nodes(
        Node(n.name, real.Li(np.array(beta), np.array(3.0)), n.inputs) if n.name == "lif" else n
        for n in before
    )
    folded, _ = FoldGain()(graph)
    assert folded["lif"].op == real.Li(np.array(beta), np.array(wanted))
    inputs = inputs_for(graph)
    ours, theirs = (interpret_real(g, inputs).outputs["out"] for g in (graph, folded))
    np.testing.assert_allclose(theirs, ours, rtol=1e-12)


def test_integrators_with_and_without_leak_are_refused() -> None:
    op = real.Li(np.array([1.0, 0.5]), np.array(1.0))
    assert leak_problem(op) == leak_problem(lif(np.array([1.0, 0.5])))
