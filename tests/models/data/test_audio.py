"""Log-STFT and log-mel pictures of known sounds, mu-law, trimming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.errors import DataError
from avnir.models.data.audio import (
    STFT_HOP,
    STFT_RANGE,
    STFT_RATE,
    STFT_SIZE,
    cut,
    from_mu_law,
    log_mel,
    log_stft,
    resample,
    trimmed,
)
from avnir.models.data.media import resize
from avnir.models.data.spectrogram import log_mel as fixed_log_mel
from tests.models.data.files import tone


@pytest.mark.parametrize("feature", [log_stft, log_mel])
@pytest.mark.parametrize("size", [8, 28, 64])
@pytest.mark.parametrize("samples", [1, 100, 8000])
def test_a_feature_is_a_picture_in_the_unit_range(feature, size: int, samples: int) -> None:
    picture = feature(np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32), 8000, size)
    assert picture.shape == (size, size)
    assert picture.dtype == np.float32
    assert 0 <= picture.min() <= picture.max() <= 1


@pytest.mark.parametrize("hertz", [500, 2000, 9000])
def test_a_tone_lies_on_its_row(hertz: float) -> None:
    picture = log_stft(tone(hertz, 44_100, 1.0), 44_100, 32)
    assert abs(picture[:, 16].argmax() - hertz / (STFT_RATE / 2) * 32) < 1


def test_the_spectrogram_is_that_of_its_definition() -> None:
    """Frame by frame: centred, periodic Hann window, ln(|.| + 1e-7), then the map and the resizing."""
    wave = np.random.default_rng(1).uniform(-1, 1, 5000).astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(STFT_SIZE) / STFT_SIZE)
    padded = np.pad(wave.astype(np.float64), STFT_SIZE // 2)
    starts = range(0, wave.size + 1, STFT_HOP)
    frames = np.array([padded[start : start + STFT_SIZE] * window for start in starts])
    level = np.log(np.abs(np.fft.rfft(frames)).T + 1e-7)
    low, high = STFT_RANGE
    expected = resize(((level - low) / (high - low)).clip(0, 1).astype(np.float32), 24)
    assert log_stft(wave, STFT_RATE, 24) == pytest.approx(expected, abs=1e-6)


def test_the_loudest_sound_fills_the_range_and_silence_is_zero() -> None:
    loud, silent = np.ones(4000, np.float32), np.zeros(4000, np.float32)
    assert log_stft(loud, STFT_RATE, 257).max() == pytest.approx(1, abs=0.001)
    assert np.array_equal(log_stft(silent, STFT_RATE, 16), np.zeros((16, 16)))


def test_a_short_clip_is_that_of_the_speech_digits() -> None:
    wave = tone(700, 8000, 0.4)
    assert np.array_equal(log_mel(wave, 8000, 28), fixed_log_mel(wave, 8000, 28, 28))


def test_no_click_falls_between_frames() -> None:
    """One sample of sound anywhere in 5 s is seen, unlike by frames of 32 ms that are 100 ms apart."""
    places = np.random.default_rng(2).integers(300, 39_000, 20)
    for place in places:
        wave = np.zeros(40_000, np.float32)
        wave[place] = 1
        assert log_mel(wave, 8000, 16).any(), place


def test_resampling_keeps_a_tone() -> None:
    changed = resample(tone(440, 44_100, 0.5), 44_100, 8000)
    assert changed == pytest.approx(tone(440, 8000, 0.5), abs=0.2)
    assert changed[100:-100] == pytest.approx(tone(440, 8000, 0.5)[100:-100], abs=0.005)


def test_mu_law_inverts_its_law() -> None:
    codes = np.arange(-127, 128).astype(np.int8)
    samples = from_mu_law(codes)
    back = np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log(256)
    assert np.array_equal(np.round(127 * back), codes)
    assert (samples[0], samples[127], samples[-1]) == (pytest.approx(-1), 0, pytest.approx(1))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_an_archive_is_cut_into_its_clips(lengths: list[int]) -> None:
    codes = np.arange(sum(lengths)).astype(np.int8)
    clips = cut(Path("a.npz"), codes, np.cumsum([0, *lengths]))
    assert [clip.size for clip in clips] == lengths
    assert np.array_equal(np.concatenate(clips), from_mu_law(codes))


@pytest.mark.parametrize("offsets", [[], [0], [1, 4], [0, 3], [0, 2, 2, 4]])
def test_offsets_that_do_not_rise_are_refused(offsets: list[int]) -> None:
    with pytest.raises(DataError, match="offsets must rise from 0 to 4"):
        cut(Path("a.npz"), np.zeros(4, np.int8), np.array(offsets, dtype=np.int64))


def test_quiet_ends_are_trimmed() -> None:
    wave = np.concatenate([np.full(1000, 1e-4), tone(440), np.full(900, -1e-4)]).astype(np.float32)
    left = trimmed(wave, 8000)
    assert 0 <= left.size - tone(440).size <= 2 * 256
    assert np.array_equal(trimmed(left, 8000), left)
    assert trimmed(np.zeros(500, np.float32), 8000).size == 500
