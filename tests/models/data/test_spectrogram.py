"""Log-mel spectrograms: where a tone lands, and that size and loudness do not matter."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.models.data.spectrogram import BANDS, COLUMNS, FRAME, LOW_HZ, log_mel, mel_filters, spectrum_size

RATE = 8000


def tone(hertz: float, samples: int = 4000) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)


def band_centres() -> np.ndarray:
    """In Hz, by the HTK formula and its inverse."""
    mel = np.linspace(2595 * np.log10(1 + LOW_HZ / 700), 2595 * np.log10(1 + 4000 / 700), BANDS + 2)
    return 700 * (10 ** (mel[1:-1] / 2595) - 1)


def test_the_htk_scale_has_1000_mel_at_1000_hz() -> None:
    assert 2595 * np.log10(1 + 1000 / 700) == pytest.approx(1000, abs=0.1)


@pytest.mark.parametrize("band", range(BANDS))
def test_a_tone_is_loudest_in_its_band(band: int) -> None:
    picture = log_mel(tone(band_centres()[band]), RATE)
    assert (picture.argmax(axis=0) == band).all()


def test_time_runs_along_columns() -> None:
    low, high = band_centres()[[3, 12]]
    picture = log_mel(np.concatenate([tone(low), tone(high)]), RATE)
    assert (picture[:, :7].argmax(axis=0) == 3).all()
    assert (picture[:, 9:].argmax(axis=0) == 12).all()


@pytest.mark.parametrize("samples", [2, FRAME - 1, FRAME, FRAME + 1, 1000, 30_000])
def test_any_length_gives_one_size(samples: int) -> None:
    picture = log_mel(np.random.default_rng(0).standard_normal(samples), RATE)
    assert picture.shape == (BANDS, COLUMNS)
    assert picture.dtype == np.float32
    assert picture.min() == 0
    assert picture.max() == 1


def test_loudness_does_not_matter() -> None:
    wave = np.random.default_rng(0).standard_normal(3000)
    assert np.array_equal(log_mel(wave, RATE), log_mel(wave * 1024, RATE))


def test_integers_and_floats_give_the_same() -> None:
    wave = np.random.default_rng(0).integers(-3000, 3000, 2000).astype(np.int16)
    assert np.array_equal(log_mel(wave, RATE), log_mel(wave.astype(np.float64), RATE))


def test_silence_is_zero() -> None:
    assert not log_mel(np.zeros(1000), RATE).any()


def test_every_band_has_a_filter() -> None:
    assert (mel_filters(RATE).max(axis=1) > 0).all()


@pytest.mark.parametrize("wave", [np.zeros(0), np.zeros((2, 100))])
def test_what_is_not_a_clip_is_refused(wave: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a clip is"):
        log_mel(wave, RATE)


@pytest.mark.parametrize("size", [16, 28, 64, 128])
def test_every_band_of_every_size_has_a_filter(size: int) -> None:
    assert (mel_filters(RATE, size).max(axis=1) > 0.6).all()


@pytest.mark.parametrize(("bands", "columns"), [(28, 28), (64, 32), (1, 1)])
def test_the_size_is_a_choice(bands: int, columns: int) -> None:
    picture = log_mel(tone(1000), RATE, bands, columns)
    assert picture.shape == (bands, columns)
    assert picture.max() == 1


def test_the_frame_is_as_long_as_the_spectrum_for_few_bands() -> None:
    assert [spectrum_size(RATE, bands) for bands in (16, 28, 32, 64, 128)] == [256, 256, 256, 512, 1024]


@pytest.mark.parametrize("size", [(0, 16), (16, 0), (16, -1)])
def test_an_empty_picture_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        log_mel(tone(1000), RATE, *size)
