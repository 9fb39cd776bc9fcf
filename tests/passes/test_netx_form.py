"""Exponents lowered, thresholds and biases in whole steps, as netx files have them."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.passes.netx_form import NetxForm


def one_layer(
    weight: list[int],
    exponent: int,
    threshold: int,
    bias: list[int],
    bias_exponent: int,
    back: int | None = None,
) -> Graph:
    """A layer with a weight from one input to each neuron, and with `back` an exponent of its recurrence."""
    neurons = integer.Lif(
        (len(weight),),
        np.array(4095, np.int32),
        np.array(1024, np.int32),
        np.array(threshold, np.int32),
        np.array(bias, np.int32),
        bias_exponent,
        scale=np.array(16.0),
    )
    own = integer.Dense(np.eye(len(weight), dtype=np.int8), back or 0, lag=1)
    loop = [] if back is None else [Node("own", own, ("layer",))]
    nodes = (
        Node("x", integer.Input((1,))),
        *loop,
        Node("fc", integer.Dense(np.array(weight, np.int8)[:, None], exponent), ("x",)),
        Node("layer", neurons, ("fc", *(node.name for node in loop))),
        Node("y", integer.Output(neurons.shape), ("layer",)),
    )
    return verified(Graph("integer", nodes))


@pytest.mark.parametrize(
    ("exponent", "mantissa", "steps"),
    [
        (0, [640, 671, 673, -33], [10, 10, 11, -1]),
        (5, [3, -3, 20, 1], [2, -2, 10, 0]),
        (3, [80, 0, 4, 5], [10, 0, 0, 1]),
    ],
)
def test_biases_go_to_the_nearest_step(exponent, mantissa, steps):
    before = one_layer([1, 2, 3, 4], 1, 99, mantissa, exponent)
    graph, (note,) = NetxForm()(before)
    lif = graph["layer"].op
    assert (lif.bias_mantissa.tolist(), lif.bias_exponent, lif.threshold, lif.scale) == (steps, 6, 99, 16)
    assert graph["fc"] == before["fc"]
    off = np.abs(np.array(steps) - np.array(mantissa) * 2.0 ** (exponent - 6)).max() / 16
    assert str(note) == (
        f"netx_form: layer: exponents lowered by 0; threshold off by 0, bias by {off:.3g} more"
    )


def test_exponents_go_down_as_far_as_needed():
    graph, (note,) = NetxForm()(one_layer([127, -100], 4, 1003, [640, -640], 3))
    lif, fc = graph["layer"].op, graph["fc"].op
    assert fc.exponent == 1
    assert (lif.threshold, lif.scale, lif.bias_mantissa.tolist(), lif.bias_exponent) == (125, 2, [10, -10], 6)
    assert note.text == "exponents lowered by 3; threshold off by 0.188, bias by 0 more"


def test_a_layer_at_an_eighth_of_its_scale_spikes_the_same():
    before = one_layer([127, -100, 64], 4, 4000, [640, 3200, 0], 3)
    graph, _ = NetxForm()(before)
    spikes = (np.random.default_rng(0).random((200, 4, 1)) < 0.5).astype(np.uint8)
    first, second = (interpret_integer(g, {"x": spikes}).spikes["layer"] for g in (before, graph))
    assert 0 < first.mean() < 1
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "graph",
    [
        one_layer([127, -128], 1, 99, [64, 128], 0),
        one_layer([127, -128], 3, 99, [0, 0], 0, back=1),
        one_layer([1, -1], 3, 99, [0, 0], 0),
    ],
    ids=["whole", "no exponent to lower", "in range"],
)
def test_what_is_left_as_it_is(graph):
    assert NetxForm()(graph) == (graph, [])


def test_a_bias_beyond_13_bits_is_left_alone():
    before = one_layer([1, 1], 0, 99, [4000, 1], 7)
    graph, notes = NetxForm()(before)
    assert graph == before
    assert [str(note) for note in notes] == [
        "netx_form: layer: left alone, a bias of 8000 steps is no 13-bit bias mantissa"
    ]
