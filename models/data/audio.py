"""Sounds as square pictures in [0, 1]: log-STFT as S-CMRL takes it, and log-mel.

Both are functions of one signature, `Feature`: samples [n], rate and size -> [size, size], frequency
down the rows from low to high, time along the columns.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import ceil, gcd, log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT, get_window, resample_poly

from avnir.errors import DataError
from avnir.models.data import spectrogram
from avnir.models.data.media import resize

Array = NDArray[np.float32]
Feature = Callable[[Array, int, int], Array]

STFT_RATE = 22_050
STFT_SIZE = 512
STFT_HOP = 353
STFT_FLOOR = 1e-7
"""Of S-CMRL's public code (Brain-Cog-Lab/S-CMRL, data/CREMAD/CramedDataset.py)."""
STFT_RANGE = (log(STFT_FLOOR), log(STFT_SIZE / 2))
"""What the logarithm can be for samples in [-1, 1], but for the floor: a Hann window of 512 sums to 256."""
MEL_RATE = 8000
"""The mel pictures of every set are made from this rate, which is that of the archives."""
MU = 255


def resample(samples: Array, rate: int, target: int) -> Array:
    """Polyphase resampling by SciPy with its Kaiser low-pass; unchanged where the rates are equal."""
    if rate == target:
        return samples
    common = gcd(rate, target)
    return resample_poly(samples, target // common, rate // common).astype(np.float32)


def from_mu_law(codes: NDArray[np.int8]) -> Array:
    """Codes -127..127 -> samples in [-1, 1] by the law of ITU-T G.711, continuous form, mu 255; 0 is 0."""
    level = codes.astype(np.float32) / np.float32(127)
    return (np.sign(level) * np.expm1(np.abs(level) * np.float32(log(1 + MU))) / MU).astype(np.float32)


def cut(path: Path, codes: NDArray[np.int8], offsets: NDArray[np.int64]) -> list[Array]:
    """Clip i of an archive, `codes[offsets[i]:offsets[i + 1]]` in mu-law, as samples; none may be empty."""
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(codes) or (np.diff(offsets) < 1).any():
        raise DataError(f"{path}: offsets must rise from 0 to {len(codes)}; get the file again")
    return [from_mu_law(codes[start:end]) for start, end in pairwise(offsets)]


def log_stft(samples: Array, rate: int, size: int) -> Array:
    """S-CMRL's spectrogram: 22,050 Hz, Hann 512, hop 353, ln(|.| + 1e-7), resized, mapped to [0, 1].

    Samples are clipped to [-1, 1] and framed about their centres with zeros beyond the ends. The map to
    [0, 1] is fixed, `(x - a) / (b - a)` with `(a, b)` = STFT_RANGE, so that loudness is kept and
    the source's values come back by one factor and one offset.
    """
    clipped = np.clip(resample(samples, rate, STFT_RATE), -1, 1)
    half = np.pad(clipped, (0, max(0, STFT_SIZE // 2 - clipped.size)))
    transform = ShortTimeFFT(get_window("hann", STFT_SIZE), STFT_HOP, STFT_RATE)
    magnitude = np.abs(transform.stft(half, p0=0, p1=clipped.size // STFT_HOP + 1))
    low, high = STFT_RANGE
    level = (np.log(magnitude + STFT_FLOOR) - low) / (high - low)
    return resize(np.clip(level, 0, 1).astype(np.float32), size)


def log_mel(samples: Array, rate: int, size: int) -> Array:
    """`spectrogram.log_mel` of `size` bands and columns from 8 kHz, with frames that cover the whole clip.

    Nothing is resized: bands and frames are laid out for the size. Relative to the loudest cell, in dB.
    """
    clip = resample(samples, rate, MEL_RATE)
    hops = ceil(clip.size / (spectrogram.FRAME / 2))
    frames = max(spectrogram.FRAMES_PER_COLUMN, ceil(hops / size))
    return spectrogram.log_mel(clip, MEL_RATE, size, size, frames)


def trimmed(samples: Array, rate: int, below_db: float = 40.0) -> Array:
    """The clip without its ends that are more than `below_db` quieter than its loudest 32 ms.

    Energy is taken over blocks of 32 ms; a clip of silence stays whole.
    """
    block = max(1, rate * 32 // 1000)
    blocks = np.pad(samples, (0, -samples.size % block)).reshape(-1, block)
    energy = np.square(blocks, dtype=np.float64).sum(axis=1)
    loud = np.flatnonzero(energy >= energy.max() * 10 ** (-below_db / 10))
    return samples[loud[0] * block : (loud[-1] + 1) * block]
