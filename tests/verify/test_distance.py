"""Van Rossum's distance and the best shift, against sums that are written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.verify.distance import best_shift, overlapping, van_rossum

TRAINS = st.lists(st.integers(0, 1), min_size=4, max_size=12)


def trains(*rows: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    """`[T, 1, neurons]`."""
    return np.array(rows, np.uint8).T[:, None, :]


def written_out(first: list[int], second: list[int], tau: float) -> float:
    """The integral of the definition, step by step until nothing is left of it."""
    decay, trace, total = math.exp(-1 / tau), 0.0, 0.0
    for k in range(len(first) + 400):
        inside = k < len(first)
        trace = decay * trace + (first[k] - second[k] if inside else 0)
        total += trace**2
    return (1 - decay**2) * total


@pytest.mark.parametrize("step", [0, 3, 7])
def test_a_spike_that_one_side_lacks_counts_one(step: int) -> None:
    spiking, silent = [int(t == step) for t in range(8)], [0] * 8
    assert van_rossum(trains(spiking), trains(silent)) == pytest.approx(1.0)


def test_a_spike_one_step_late_counts_what_the_docstring_says() -> None:
    early, late = trains([0, 1, 0, 0, 0]), trains([0, 0, 1, 0, 0])
    assert van_rossum(early, late, 4.0) == pytest.approx(2 * (1 - math.exp(-1 / 4)))


@given(TRAINS, st.data(), st.floats(0.5, 20))
@settings(max_examples=40)
def test_it_is_the_definition(first: list[int], data: st.DataObject, tau: float) -> None:
    second = data.draw(st.lists(st.integers(0, 1), min_size=len(first), max_size=len(first)))
    assert van_rossum(trains(first), trains(second), tau) == pytest.approx(written_out(first, second, tau))


def test_neurons_and_samples_add_up() -> None:
    first = np.zeros((5, 3, 2), np.uint8)
    second = first.copy()
    second[2, 0, 0] = second[4, 2, 1] = 1
    assert van_rossum(first, second) == pytest.approx(2.0)


@pytest.mark.parametrize("steps", [-2, -1, 1, 3])
def test_a_shift_is_found(steps: int) -> None:
    first = (np.random.default_rng(0).random((20, 2, 5)) < 0.4).astype(np.uint8)
    found = best_shift(first, np.roll(first, steps, axis=0))
    assert (found.steps, found.exact) == (steps, True)
    a, b = overlapping(first, np.roll(first, steps, axis=0), steps)
    assert len(a) == 20 - abs(steps)
    assert np.array_equal(a, b)


def test_silence_does_not_pass_for_a_shift() -> None:
    first = np.zeros((4, 1, 1), np.uint8)
    first[3] = 1
    found = best_shift(first, np.zeros_like(first))
    assert found.steps == 0
    assert not found.exact
