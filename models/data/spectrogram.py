"""Log-mel spectrograms of a chosen size, whatever the length of the clip.

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


def log_mel(
    wave: NDArray[np.floating] | NDArray[np.integer],
    rate: int,
    bands: int = BANDS,
    columns: int = COLUMNS,
    frames_per_column: int = FRAMES_PER_COLUMN,
) -> NDArray[np.float32]:
    """One clip [samples], any amplitude -> [bands, columns] in [0, 1]; silence gives zeros.

    `rate` is in samples per second; a cell is the mean power of `frames_per_column` frames. Many bands
    need a finer spectrum than a frame has: frames are then padded with zeros (see `spectrum_size`).
    Raises `ValueError` for a clip that is empty or not one-dimensional, and for a size below 1.
    """
    if wave.ndim != 1 or not wave.size:
        raise ValueError(f"a clip is a non-empty row of samples, not an array of shape {wave.shape}")
    if min(bands, columns, frames_per_column) < 1:
        raise ValueError(
            f"{bands} bands, {columns} columns of {frames_per_column} frames: all must be 1 or more"
        )
    frames = _frames(wave, columns * frames_per_column) * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames, spectrum_size(rate, bands), axis=1)) ** 2
    mel = power @ mel_filters(rate, bands).T
    cells = mel.reshape(columns, frames_per_column, bands).mean(axis=1).T
    return _decibel_range(cells).astype(np.float32)


def _frames(wave: NDArray[np.floating] | NDArray[np.integer], count: int) -> NDArray[np.float64]:
    """[count, FRAME]: starts spread evenly over the clip; a clip below one frame is padded with zeros."""
    padded = np.pad(wave.astype(np.float64), (0, max(0, FRAME - wave.size)))
    starts = np.linspace(0, padded.size - FRAME, count).round().astype(np.int64)
    return padded[starts[:, None] + np.arange(FRAME)]


def _decibel_range(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    peak = cells.max()
    if peak == 0:
        return cells
    level = 10 * np.log10(np.maximum(cells / peak, 10 ** (-RANGE_DB / 10)))
    lowest = level.min()
    return 1 - level / lowest if lowest < 0 else np.ones_like(level)


@cache
def mel_filters(rate: int, bands: int = BANDS) -> NDArray[np.float64]:
    """Triangular bands [bands, spectrum_size // 2 + 1] from LOW_HZ to rate / 2, peak 1, HTK mel scale."""
    edges = mel_edges(LOW_HZ, rate / 2, bands)
    return triangles(edges, np.fft.rfftfreq(spectrum_size(rate, bands), 1 / rate))


@cache
def spectrum_size(rate: int, bands: int) -> int:
    """Length of the Fourier transform: FRAME doubled until the lowest band's slopes span a bin each."""
    edges = mel_edges(LOW_HZ, rate / 2, bands)
    size = FRAME
    while rate / size > edges[1] - edges[0]:
        size *= 2
    return size


def mel_edges(low_hz: float, high_hz: float, bands: int) -> NDArray[np.float64]:
    """Ends and centres of `bands` bands in Hz [bands + 2], evenly spaced on the HTK mel scale."""
    mel = np.linspace(_hz_to_mel(low_hz), _hz_to_mel(high_hz), bands + 2)
    return 700 * (10 ** (mel / 2595) - 1)


def triangles(edges: NDArray[np.float64], frequency: NDArray[np.floating]) -> NDArray[np.float64]:
    """Triangular filters [bands, bins] of peak 1 between every other of `edges` [bands + 2], in Hz."""
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequency - left) / (centre - left)
    falling = (right - frequency) / (right - centre)
    return np.maximum(0, np.minimum(rising, falling))


def _hz_to_mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
