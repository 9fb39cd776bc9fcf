"""Log-mel spectrograms of one fixed size, whatever the length of the clip.

The time axis is normalised: frames are spread evenly from the clip's start to its end, so a slow and
a fast speaker fill the same picture. Mel scale: HTK, `mel(f) = 2595 log10(1 + f / 700)` (S. Young et
al., The HTK Book, section 5.4). Level: in
dB, the clip's loudest cell at 1 and its quietest at 0, but cells more than 50 dB below the loudest
count as 50 dB: so background noise does not fill the picture.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

BANDS = 16
COLUMNS = 16
FRAMES_PER_COLUMN = 4
FRAME = 256
"""Samples per frame, with a Hann window: 32 ms at 8 kHz."""
LOW_HZ = 80.0
RANGE_DB = 50.0


def log_mel(wave: NDArray[np.floating] | NDArray[np.integer], rate: int) -> NDArray[np.float32]:
    """One clip [samples], any amplitude -> [BANDS, COLUMNS] in [0, 1]; silence gives zeros.

    `rate` is in samples per second. Raises `ValueError` for a clip that is empty or not one-dimensional.
    """
    if wave.ndim != 1 or not wave.size:
        raise ValueError(f"a clip is a non-empty row of samples, not an array of shape {wave.shape}")
    power = np.abs(np.fft.rfft(_frames(wave) * np.hanning(FRAME), axis=1)) ** 2
    mel = power @ mel_filters(rate).T
    cells = mel.reshape(COLUMNS, FRAMES_PER_COLUMN, BANDS).mean(axis=1).T
    return _decibel_range(cells).astype(np.float32)


def _frames(wave: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """[frames, FRAME]: starts spread evenly over the clip; a clip below one frame is padded with zeros."""
    padded = np.pad(wave.astype(np.float64), (0, max(0, FRAME - wave.size)))
    starts = np.linspace(0, padded.size - FRAME, COLUMNS * FRAMES_PER_COLUMN).round().astype(np.int64)
    return padded[starts[:, None] + np.arange(FRAME)]


def _decibel_range(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    peak = cells.max()
    if peak == 0:
        return cells
    level = 10 * np.log10(np.maximum(cells / peak, 10 ** (-RANGE_DB / 10)))
    lowest = level.min()
    return 1 - level / lowest if lowest < 0 else np.ones_like(level)


@cache
def mel_filters(rate: int) -> NDArray[np.float64]:
    """Triangular bands [BANDS, FRAME // 2 + 1] between LOW_HZ and rate / 2, peak 1, HTK mel scale."""
    mel_edges = np.linspace(_hz_to_mel(LOW_HZ), _hz_to_mel(rate / 2), BANDS + 2)
    edges = 700 * (10 ** (mel_edges / 2595) - 1)
    frequency = np.fft.rfftfreq(FRAME, 1 / rate)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequency - left) / (centre - left)
    falling = (right - frequency) / (right - centre)
    return np.maximum(0, np.minimum(rising, falling))


def _hz_to_mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
