from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.numerics import fixed

M = 2**23


@pytest.mark.parametrize(
    ("form", "low", "high"),
    [
        (fixed.WEIGHT, -128, 127),
        (fixed.THRESHOLD, 0, 131071),
        (fixed.BIAS_MANTISSA, -4096, 4095),
        (fixed.BIAS_EXPONENT, 0, 7),
        (fixed.WEIGHT_EXPONENT, 0, 7),
        (fixed.CURRENT_DECAY, 0, 4095),
        (fixed.DELAY, 0, 63),
    ],
)
def test_ranges(form: fixed.IntFormat, low: int, high: int) -> None:
    assert (form.low, form.high) == (low, high)
    assert form.holds(np.array([low, high]))
    assert not form.holds(low - 1)
    assert not form.holds(high + 1)


def test_an_empty_array_is_in_range() -> None:
    assert fixed.WEIGHT.holds(np.zeros(0, np.int64))


def test_a_format_prints_its_range() -> None:
    assert str(fixed.WEIGHT) == "in [-128, 127] (8-bit weight)"


@pytest.mark.parametrize(
    ("value", "shift", "expected"),
    [(7, 1, 3), (-7, 1, -3), (-1, 12, 0), (4096, 12, 1), (-4096, 12, -1), (-4097, 12, -1), (0, 5, 0)],
)
def test_toward_zero(value: int, shift: int, expected: int) -> None:
    assert fixed.toward_zero(np.array(value), shift) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (M, M),
        (M + 1, -M + 1),
        (-M, M),
        (-M + 1, -M + 1),
        (3 * M, M),
        (3 * M + 1, M + 1),
        (40 * M, 38 * M),
        (-40 * M, -38 * M),
    ],
)
def test_wrap_current_takes_off_one_width(value: int, expected: int) -> None:
    assert fixed.wrap_current(np.array(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(M, M - 1), (M - 1, M - 1), (-M, -M + 1), (-(2**40), -M + 1), (5, 5)]
)
def test_clip_potential(value: int, expected: int) -> None:
    assert fixed.clip_potential(np.array(value)) == expected


@given(st.integers(-(2**50), 2**50))
def test_wrap24_is_twos_complement(value: int) -> None:
    wrapped = int(fixed.wrap24(np.array(value)))
    assert (wrapped - value) % 2**24 == 0
    assert -M <= wrapped < M


@given(st.integers(-(2**50), 2**50))
def test_wrap32_is_a_cast(value: int) -> None:
    assert fixed.wrap32(np.array(value)) == np.array(value).astype(np.int32)
