"""Feedback rounding: range, exactness, and a smaller error of the sum than rounding each weight alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.ir.operation import Array
from avnir.rounding.feedback import BLOCK, Feedback, nearest


def problem(seed: int, rows: int, size: int, samples: int) -> tuple[Array, Array]:
    """Weights `[rows, size]` in steps, and the covariance of inputs that go together."""
    rng = np.random.default_rng(seed)
    inputs = (rng.random((samples, 3)) @ rng.random((3, size)) > 0.7) * rng.random(size)
    return rng.normal(0, 3, (rows, size)), inputs.T @ inputs / samples


def squared_error(weights: Array, made: Array, covariance: Array) -> float:
    error = made - weights
    return float(np.einsum("ri,ij,rj->", error, covariance, error))


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 40), st.sampled_from([1, 3, 7, 127]))
def test_whole_numbers_in_range(seed: int, rows: int, size: int, largest: int) -> None:
    weights, covariance = problem(seed, rows, size, 5)
    made = Feedback.of(covariance).rounded(weights, largest)
    assert made.shape == weights.shape
    np.testing.assert_array_equal(made, np.rint(made))
    assert np.abs(made).max() <= largest


@given(st.integers(0, 2**32 - 1), st.floats(1e-9, 1e9))
def test_independent_inputs_of_one_size_are_rounded_to_the_nearest(seed: int, size: float) -> None:
    weights, _ = problem(seed, 4, 30, 5)
    made = Feedback.of(np.eye(30) * size).rounded(weights, 7)
    np.testing.assert_array_equal(made, nearest(weights, 7))


def test_inputs_that_never_come_are_rounded_to_the_nearest() -> None:
    weights, _ = problem(0, 4, 30, 5)
    np.testing.assert_array_equal(Feedback.of(np.zeros((30, 30))).rounded(weights, 7), nearest(weights, 7))


@given(st.integers(0, 2**32 - 1))
def test_whole_weights_stay(seed: int) -> None:
    weights, covariance = problem(seed, 4, 30, 50)
    whole = nearest(weights, 7)
    np.testing.assert_array_equal(Feedback.of(covariance).rounded(whole, 7), whole)


@pytest.mark.parametrize("size", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 30])
def test_blocks_change_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, covariance = problem(1, 6, size, 400)
    feedback = Feedback.of(covariance)
    in_blocks = feedback.rounded(weights, 31)
    monkeypatch.setattr("avnir.rounding.feedback.BLOCK", size)
    np.testing.assert_array_equal(feedback.rounded(weights, 31), in_blocks)


def test_two_inputs_that_always_come_together_by_hand() -> None:
    """Two weights of 0.4: alone both are 0; together they are 0.8, so that one of them becomes 1."""
    made = Feedback.of(np.ones((2, 2))).rounded(np.array([[0.4, 0.4]]), 7)
    assert sorted(made[0].tolist()) == [0, 1]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("largest", [1, 7, 127])
def test_the_sum_errs_less_than_with_nearest_weights(seed: int, largest: int) -> None:
    weights, covariance = problem(seed, 20, 50, 300)
    weights *= largest / 12
    feedback = squared_error(weights, Feedback.of(covariance).rounded(weights, largest), covariance)
    assert feedback < 0.8 * squared_error(weights, nearest(weights, largest), covariance)
