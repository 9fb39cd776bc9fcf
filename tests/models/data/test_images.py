"""Pictures at another size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.models.data.images import resize


def picture(side: int) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (2, 3, side, side)).astype(np.uint8)


def test_its_own_size_is_every_byte_by_255() -> None:
    assert np.array_equal(resize(picture(5), 5), picture(5).astype(np.float32) / np.float32(255))


def test_half_the_size_is_the_mean_of_four() -> None:
    blocks = picture(4).reshape(2, 3, 2, 2, 2, 2).mean(axis=(3, 5)) / 255
    assert resize(picture(4), 2) == pytest.approx(blocks, abs=1e-6)


def test_a_pixel_in_two_is_shared_by_area() -> None:
    row = np.array([0, 90, 255], np.uint8)
    rows = resize(np.tile(row, (1, 1, 3, 1)), 2)[0, 0]
    assert rows == pytest.approx(np.tile([(0 + 45) / 1.5 / 255, (45 + 255) / 1.5 / 255], (2, 1)), abs=1e-6)


def test_twice_the_size_repeats() -> None:
    assert resize(picture(3), 6) == pytest.approx(
        np.repeat(np.repeat(picture(3) / 255, 2, axis=2), 2, axis=3), abs=1e-6
    )


@given(side=st.integers(1, 12), size=st.integers(1, 12))
def test_brightness_stays_and_values_lie_in_0_to_1(side: int, size: int) -> None:
    white = resize(np.full((1, 1, side, side), 255, np.uint8), size)
    assert white == pytest.approx(1, abs=1e-6)
    assert white.max() <= 1
    made = resize(picture(side), size)
    assert made.dtype == np.float32
    assert made.shape == (2, 3, size, size)
    assert made.mean() == pytest.approx(picture(side).mean() / 255, abs=1e-5)
