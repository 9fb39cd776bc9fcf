"""Thresholds and decays off the nearest integers."""

from __future__ import annotations

import numpy as np

from avnir.numerics import fixed
from avnir.passes.nudge import Nudge
from avnir.rounding.layer_choice import LayerChoice
from tests.verify.networks import LATTICE, compiled, layer


def test_every_threshold_and_decay_of_the_layer_moves() -> None:
    graph = compiled(layer(LATTICE, beta=np.array(0.5))).program.graph
    moved, notes = Nudge({"lif": LayerChoice(threshold=-2, decay=3)})(graph)
    before, after = graph["lif"].op, moved["lif"].op
    np.testing.assert_array_equal(after.threshold, before.threshold - 2)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(after.decay_v, before.decay_v + 3)  # type: ignore[attr-defined]
    assert [str(note) for note in notes] == ["nudge: lif: threshold moved by -2 steps, decay by +3 of 4096"]


def test_they_stay_in_their_ranges() -> None:
    graph = compiled(layer(LATTICE)).program.graph
    moved, _ = Nudge({"lif": LayerChoice(threshold=-(1 << 20), decay=1)})(graph)
    op = moved["lif"].op
    np.testing.assert_array_equal(op.threshold, 0)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(op.decay_v, fixed.DECAY_ONE)  # type: ignore[attr-defined]


def test_a_width_alone_moves_nothing() -> None:
    graph = compiled(layer(LATTICE)).program.graph
    moved, notes = Nudge({"lif": LayerChoice(weight_bits=4)})(graph)
    assert moved is graph
    assert not notes
