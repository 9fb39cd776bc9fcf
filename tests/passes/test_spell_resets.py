"""Resets spelled out: the same spikes from integrators, thresholds, delays and scales; and back."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.errors import GraphError, UnsupportedError
from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_real import interpret_real
from avnir.passes.fold_gain import FoldGain
from avnir.passes.spell_resets import SPELLINGS, Spelled, SpellResets, restored, spell
from tests.random_graphs import NIR_LAYERS, inputs_for, linear, real_graph


def layer(reset: str, alpha: float | None = None, name: str = "lif", *extra: Node) -> Graph:
    weight = np.random.default_rng(3).normal(0, 1.5, (6, 5))
    neuron = real.Lif(
        np.linspace(0.3, 0.95, 6),
        np.array(0.7),
        np.array(1.0),
        reset,
        alpha=None if alpha is None else np.array(alpha),
    )
    nodes = (
        Node("x", real.Input((5,))),
        Node("fc", real.Linear(weight), ("x",)),
        Node(name, neuron, ("fc",), "net.py:3"),
        Node("out", real.Output((6,)), (name,)),
        *extra,
    )
    return FoldGain()(verified(Graph("real", nodes, 1e-3)))[0]


@pytest.mark.parametrize("alpha", [None, 0.6])
@pytest.mark.parametrize("reset", SPELLINGS)
def test_spikes_stay(reset: str, alpha: float | None) -> None:
    graph = layer(reset, alpha)
    spelled, notes = SpellResets()(graph)
    assert not spelled.select(lambda op: op.kind == "Lif")
    assert {node.op.kind for node in spelled} <= {
        "Input",
        "Linear",
        "Output",
        "Scale",
        "Li",
        "Threshold",
        "Delay",
    }
    inputs = inputs_for(graph, steps=200, batch=8)
    ours, theirs = (interpret_real(g, inputs).spikes["lif"] for g in (graph, spelled))
    assert 0.05 < ours.mean() < 0.95
    np.testing.assert_array_equal(theirs, ours)
    assert [note.node for note in notes] == ["lif"]


def test_none_is_the_same_bit_for_bit() -> None:
    graph = layer("none", 0.6)
    spelled, _ = spell(graph)
    inputs = inputs_for(graph, steps=50)
    ours = interpret_real(graph, inputs, states=True).states["lif"]["v"]
    np.testing.assert_array_equal(
        interpret_real(spelled, inputs, states=True).states["lif_potential"]["v"], ours
    )


def test_subtract_delayed_is_the_loop_that_nir_knows() -> None:
    graph = layer("subtract_delayed")
    op: real.Lif = graph["lif"].op  # type: ignore[assignment]
    spelled, groups = spell(graph)
    assert groups == {"lif": Spelled("subtract_delayed", ("lif_late", "lif_reset", "lif_potential"))}
    assert spelled["lif_late"] == Node("lif_late", real.Delay((6,), 1), ("lif",))
    assert spelled["lif_reset"] == Node("lif_reset", real.Scale(-op.threshold / (1 - op.beta)), ("lif_late",))
    assert spelled["lif_potential"] == Node(
        "lif_potential", real.Li(op.beta, op.gain), (*graph["lif"].inputs, "lif_reset")
    )
    assert spelled["lif"] == Node("lif", real.Threshold(op.threshold), ("lif_potential",))
    assert {spelled[name].source for name in groups["lif"].nodes} == {"net.py:3"}


@pytest.mark.parametrize("reset", ["zero", "zero_delayed"])
def test_resets_of_nir_stay_and_give_the_same_spikes(reset: str) -> None:
    """The zero that a spike leaves, now or one step later, is multiplied by beta all the same."""
    graph = layer(reset)
    assert SpellResets()(graph) == (graph, [])
    inputs = inputs_for(graph, steps=100)
    hard = interpret_real(layer("zero"), inputs).spikes["lif"]
    assert hard.any()
    np.testing.assert_array_equal(interpret_real(graph, inputs).spikes["lif"], hard)


def test_what_has_no_such_form_is_refused_with_the_reason() -> None:
    graph = layer("zero_next")
    biased = layer("subtract")
    biased = biased.with_nodes(
        Node(n.name, n.op.replace(bias=np.array(0.1)) if n.name == "lif" else n.op, n.inputs) for n in biased
    )
    with pytest.raises(UnsupportedError, match=r"lif \(net.py:3\): reset 'zero_next': in the step after"):
        spell(graph)
    with pytest.raises(UnsupportedError, match="lif: it has a bias of its own"):
        spell(biased)


def test_names_that_are_taken_are_avoided() -> None:
    taken = layer("none", None, "lif", Node("lif_potential", real.Output((6,)), ("lif",)))
    spelled, groups = spell(taken)
    assert groups["lif"].nodes == ("lif_potential_",)
    assert spelled["lif_potential"].op.kind == "Output"


def without_zero_next(graph: Graph) -> Graph:
    return graph.with_nodes(
        Node(n.name, n.op.replace(reset="none"), n.inputs, n.source)
        if isinstance(n.op, real.Lif) and n.op.reset == "zero_next"
        else n
        for n in graph
    )


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_restored_graphs_are_equal(random: Random) -> None:
    graph = without_zero_next(FoldGain()(real_graph(random, (*NIR_LAYERS, linear)))[0])
    spelled, groups = spell(graph)
    again = {node.name: node for node in restored(spelled, groups)}
    assert graph.with_nodes(again[node.name] for node in graph) == graph


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        ({"lif": Spelled("subtract", ("lif_late", "nothing"))}, "there are no nodes nothing"),
        ({"lif": Spelled("subtract", ("lif_late",))}, "lif is no threshold of neurons of reset 'subtract'"),
        ({"fc": Spelled("subtract", ("lif_potential",))}, "fc is no threshold of neurons"),
    ],
)
def test_groups_that_are_none_are_refused(groups: dict[str, Spelled], problem: str) -> None:
    spelled, _ = spell(layer("subtract"))
    with pytest.raises(GraphError, match=problem):
        restored(spelled, groups)
