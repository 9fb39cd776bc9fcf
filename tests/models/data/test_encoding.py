"""Rate coding: the number of spikes and their spacing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avnir.models.data.encoding import LEVELS, rate_encode


@given(level=st.integers(0, LEVELS), steps=st.integers(1, 40))
def test_spike_count_is_the_rounded_value(level: int, steps: int) -> None:
    spikes = rate_encode(torch.tensor([level / LEVELS]), steps)
    assert spikes.shape == (steps, 1)
    assert int(spikes.sum()) == (2 * steps * level + LEVELS) // (2 * LEVELS)


@given(level=st.integers(1, LEVELS))
def test_spikes_are_spread_evenly(level: int) -> None:
    places = torch.nonzero(rate_encode(torch.tensor([level / LEVELS]), 4 * LEVELS))[:, 0]
    gaps = places.diff()
    assert gaps.max() - gaps.min() <= 1


def test_definition_by_an_accumulator() -> None:
    values = torch.arange(LEVELS + 1) / LEVELS
    charge = torch.full_like(values, 0.5)
    expected = []
    for _ in range(8):
        charge = charge + values
        fires = charge >= 1
        charge = charge - fires.float()
        expected.append(fires.float())
    assert torch.equal(rate_encode(values, 8), torch.stack(expected))


def test_shape_and_type() -> None:
    spikes = rate_encode(torch.rand(3, 1, 4, 5), 6)
    assert spikes.shape == (6, 3, 1, 4, 5)
    assert spikes.dtype == torch.float32


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_values_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        rate_encode(torch.tensor([0.5, value]), 8)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="steps is 0"):
        rate_encode(torch.zeros(1), 0)
