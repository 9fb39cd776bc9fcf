"""Layers apart: how far, by which shift, and in which steps."""

from __future__ import annotations

import numpy as np

from avnir.trace import Trace
from avnir.verify.divergence import profiles


def trace(seed: int = 0) -> Trace:
    rng = np.random.default_rng(seed)
    spikes = {n: (rng.random((6, 4, k)) < 0.4).astype(np.uint8) for n, k in (("first", 6), ("last", 3))}
    return Trace(spikes, {})


def test_equal_layers_have_no_distance() -> None:
    for layer in profiles(trace(), trace()):
        assert layer.equal
        assert (layer.distance, layer.growth, layer.spikes_more) == (0.0, (0,) * 6, 0)
        assert not layer.only_shifted


def test_a_layer_apart_is_counted_step_by_step() -> None:
    other = trace()
    other.spikes["last"][2, 1, 0] ^= 1
    other.spikes["last"][4, :, 2] ^= 1
    first, last = profiles(trace(), other)
    assert first.equal
    assert last.growth == (0, 0, 1, 0, 4, 0)
    assert last.agreement.divergence is not None
    assert last.record()["growth"] == [0, 0, 1, 0, 4, 0]
    more = int(other.spikes["last"].sum()) - int(trace().spikes["last"].sum())
    assert last.spikes_more == more
    assert last.distance > 0


def test_a_layer_that_is_only_late_says_so() -> None:
    late = Trace({"last": np.roll(trace().spikes["last"], 1, axis=0)}, {})
    (layer,) = profiles(Trace({"last": trace().spikes["last"]}, {}), late)
    assert layer.only_shifted
    assert layer.shift.steps == 1
