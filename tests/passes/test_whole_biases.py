"""Biases in whole steps of the threshold."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.passes.whole_biases import WholeBiases


def one_layer(mantissa: list[int], exponent: int) -> Graph:
    one = np.array(1, np.int32)
    bias = np.array(mantissa, np.int32)
    lif = integer.Lif((len(mantissa),), one, one, one, bias, exponent, scale=np.array(10.0))
    weight = np.ones((len(mantissa), 1), np.int8)
    nodes = (
        Node("x", integer.Input((1,))),
        Node("fc", integer.Dense(weight), ("x",)),
        Node("layer", lif, ("fc",)),
        Node("y", integer.Output(lif.shape), ("layer",)),
    )
    return verified(Graph("integer", nodes))


@pytest.mark.parametrize(
    ("exponent", "mantissa", "steps"),
    [
        (0, [640, 671, 673, -33], [10, 10, 11, -1]),
        (5, [3, -3, 20, 1], [2, -2, 10, 0]),
        (7, [5, 0, 0, 1], [10, 0, 0, 2]),
    ],
)
def test_to_the_nearest_step_of_64(exponent, mantissa, steps):
    graph, notes = WholeBiases()(one_layer(mantissa, exponent))
    lif = graph["layer"].op
    assert (lif.bias_mantissa.tolist(), lif.bias_exponent) == (steps, 6)
    off = np.abs(np.array(steps) - np.array(mantissa) * 2.0 ** (exponent - 6)).max() / 10
    assert notes[0].text.endswith(f"off by {off:.3g} at most")


def test_what_is_left_alone():
    none, large = one_layer([0, 0], 3), one_layer([4000, 1], 7)
    assert WholeBiases()(none) == (none, [])
    graph, notes = WholeBiases()(large)
    assert graph == large
    assert [str(note) for note in notes] == [
        "whole_biases: layer: left alone, a bias of 8000 steps is no 13-bit bias mantissa"
    ]
