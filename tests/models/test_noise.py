"""Noise of a given ratio, the same for equal seeds."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.models.data.pairs import Split
from avnir.models.noise import noisy, noisy_split


def pictures(level: float = 0.5) -> np.ndarray:
    return np.full((3, 1, 64, 64), level, np.float32)


def events(share: float = 0.2) -> np.ndarray:
    return np.random.default_rng(0).binomial(3, share / 3, (2, 4, 2, 40, 40)).astype(np.uint8)


@pytest.mark.parametrize("snr_db", [10.0, 20.0, 40.0])
def test_the_ratio_is_that_of_the_powers(snr_db: float) -> None:
    clean = pictures()
    noise = noisy(clean, snr_db, np.random.default_rng(1)) - clean
    measured = 10 * np.log10(np.square(clean).mean((1, 2, 3)) / noise.var((1, 2, 3)))
    assert np.abs(measured - snr_db).max() < 0.3


def test_values_stay_in_range_and_silence_stays_silent() -> None:
    worse = noisy(pictures(0.9), -10.0, np.random.default_rng(0))
    assert worse.dtype == np.float32
    assert (worse.min(), worse.max()) == (0, 1)
    assert not noisy(pictures(0), 0.0, np.random.default_rng(0)).any()


@pytest.mark.parametrize("snr_db", [3.0, 10.0])
def test_events_are_flipped_both_ways(snr_db: float) -> None:
    clean = events()
    worse = noisy(clean, snr_db, np.random.default_rng(2))
    flipped = (worse > 0) != (clean > 0)
    share = flipped.mean((1, 2, 3, 4)) / (clean > 0).mean((1, 2, 3, 4))
    assert np.abs(10 * np.log10(1 / share) - snr_db).max() < 0.5
    assert (flipped & (clean > 0)).any() and (flipped & (clean == 0)).any()
    assert np.array_equal(worse[~flipped], clean[~flipped])
    assert worse.dtype == np.uint8


def test_the_seed_decides_and_each_modality_is_by_itself() -> None:
    both = Split({"image": pictures(), "audio": pictures()}, np.zeros(3, np.int64))
    first, same, other = (noisy_split(both, 10.0, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.inputs["image"], same.inputs["image"])
    assert not np.array_equal(first.inputs["image"], other.inputs["image"])
    assert not np.array_equal(first.inputs["image"], first.inputs["audio"])
    alone = noisy_split(both, 10.0, 1, ("audio",))
    assert np.array_equal(alone.inputs["audio"], first.inputs["audio"])
    assert alone.inputs["image"] is both.inputs["image"]


def test_no_finite_ratio_is_refused() -> None:
    with pytest.raises(ValueError, match="ratio is nan dB, must be finite"):
        noisy(pictures(), float("nan"), np.random.default_rng(0))
