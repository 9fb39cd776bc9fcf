"""Thresholds times a factor: neurons alone, by the definition of each."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.errors import UnsupportedError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_real import interpret_real
from avnir.ir.real import RESETS, Alpha, Input, Li, Lif, Linear, Output, Threshold
from avnir.passes.scale_thresholds import ScaleThresholds
from tests.networks import audio_visual


def layer(op: Lif | Alpha | Threshold, weight: float = 1.0) -> Graph:
    nodes = (
        Node("x", Input((2,), None)),
        Node("fc", Linear(weight * np.eye(2)), ("x",)),
        Node("layer", op, ("fc",)),
        Node("out", Output((2,)), ("layer",)),
    )
    return verified(Graph("real", nodes))


@pytest.mark.parametrize("reset", RESETS)
def test_twice_the_threshold_is_half_the_input(reset: str) -> None:
    """A neuron is linear up to its threshold: theta and I times a power of two change no spike."""

    def neuron(threshold: float) -> Lif:
        return Lif(np.array(0.8), np.array(threshold), np.array(1.0), reset)

    inputs = {"x": np.random.default_rng(0).normal(0.4, 0.6, (50, 4, 2))}
    scaled, notes = ScaleThresholds(2.0)(layer(neuron(0.75)))
    assert scaled == layer(neuron(1.5))
    assert [str(note) for note in notes] == ["scale_thresholds: layer: threshold times 2"]
    found = interpret_real(scaled, inputs).spikes["layer"]
    assert found.any()
    assert np.array_equal(found, interpret_real(layer(neuron(0.75), 0.5), inputs).spikes["layer"])


def test_the_factor_one_changes_no_bit() -> None:
    graph = audio_visual(2)
    assert ScaleThresholds(1.0)(graph)[0] == graph
    assert ScaleThresholds(1.5)(graph)[0] != graph


def test_alpha_neurons_are_scaled_and_gates_are_not() -> None:
    alpha = Alpha(np.array(0.9), np.array(0.8), np.array(2.0), np.array(1.0))
    scaled, _ = ScaleThresholds(0.5)(layer(alpha))
    assert scaled["layer"].op == alpha.replace(threshold=np.array(0.5))
    gate = layer(Threshold(np.array(1.5)))
    same, notes = ScaleThresholds(0.5)(gate)
    assert same == gate
    assert [note.declined for note in notes] == [True]


def test_a_neuron_that_is_spelt_out_is_refused() -> None:
    nodes = (
        Node("x", Input((2,), None)),
        Node("potential", Li(np.array(0.5), np.array(1.0)), ("x",)),
        Node("fires", Threshold(np.array(1.0)), ("potential",)),
        Node("out", Output((2,)), ("fires",)),
    )
    with pytest.raises(UnsupportedError, match="fires: Threshold fires by the potential of potential"):
        ScaleThresholds(2.0)(verified(Graph("real", nodes)))
