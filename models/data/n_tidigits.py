"""N-TIDIGITS18 from a folder: spoken digits as spikes of a silicon cochlea, `n-tidigits.hdf5`.

Source: J. Anumula, D. Neil, T. Delbruck, S.-C. Liu, Feature Representations for Neuromorphic Audio Spike
Streams, Frontiers in Neuroscience 12:23, 2018; the recordings are TIDIGITS (Linguistic Data Consortium).
For each split the file has `SPLIT_labels` and, under each label, `SPLIT_timestamps` in seconds and
`SPLIT_addresses`, the channel 0 to 63. A label is gender-speaker-take-digits; of these, single digits are
taken, "z" as 0. "o" (oh), a second word for 0, is left out, as in S-CMRL (arXiv 2502.12488).

The official split is TIDIGITS' own: no speaker is in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data.events import Counts, bin_events, microseconds, refuse_files
from avnir.models.data.hdf5 import lacking, opened, read_texts, read_values
from avnir.models.data.pairs import Samples

FILE = "n-tidigits.hdf5"
SPLITS = ("train", "test")
CHANNELS = 64
SIDE = 8
DIGITS = {"z": 0, **{str(digit): digit for digit in range(1, 10)}}


def missing_n_tidigits(folder: Path) -> list[str]:
    """What `folder` lacks to load N-TIDIGITS18; empty if it is there."""
    return [] if (folder / FILE).is_file() else [FILE]


def load_n_tidigits(folder: Path, steps: int = 4, size: int = 28) -> tuple[Samples, Samples]:
    """The official training and test recordings, [N, steps, 1, size, size] counts.

    The 64 channels are laid out row by row as 8x8, as in S-CMRL's code, and each becomes a block: cell (i,
    j) shows the channel at (floor(8 i / size), floor(8 j / size)). S-CMRL interpolates linearly instead,
    which leaves fractions; blocks keep whole counts. Raises `DataError` for a missing or damaged file, and
    names everything that is wrong in it.
    """
    if missing := missing_n_tidigits(folder):
        raise DataError(f"{folder}: missing {missing[0]}")
    path = folder / FILE
    with opened(path) as file:
        train, test = (_samples(path, file, split, steps, size) for split in SPLITS)
    return train, test


def speakers(folder: Path) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Who speaks in each recording that `load_n_tidigits` gives, of training and test: gender-speaker."""
    with opened(folder / FILE) as file:
        train, test = (_labels(folder / FILE, file, split) for split in SPLITS)
    return _speakers(train), _speakers(test)


def _speakers(labels: list[str]) -> NDArray[np.str_]:
    return np.array(["-".join(label.split("-")[:2]) for label in labels])


def _samples(path: Path, file: Mapping[str, Any], split: str, steps: int, size: int) -> Samples:
    labels = _labels(path, file, split)
    frames, problems = np.empty((len(labels), steps, 1, size, size), np.uint8), []
    for place, label in enumerate(labels):
        try:
            frames[place] = _frames(file, split, label, steps, size)
        except DataError as problem:
            problems.append(str(problem))
    refuse_files(path, problems)
    return Samples(frames, np.array([DIGITS[label.split("-")[-1]] for label in labels], dtype=np.int64))


def _labels(path: Path, file: Mapping[str, Any], split: str) -> list[str]:
    """The labels of single digits, in the order of the file."""
    try:
        if absent := lacking(file, [f"{split}_{part}" for part in ("labels", "timestamps", "addresses")]):
            raise DataError(f"{', '.join(absent)} missing; get the file again")
        labels = read_texts(file, f"{split}_labels")
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from problem
    single = [label for label in labels if label.split("-")[-1] in DIGITS]
    if not single:
        raise DataError(f"{path}: {split}_labels has no single digit among {len(labels)} labels")
    return single


def _frames(file: Mapping[str, Any], split: str, label: str, steps: int, size: int) -> Counts:
    """[steps, 1, size, size]; `DataError` where times and channels are missing, odd or out of range."""
    seconds = read_values(file, f"{split}_timestamps/{label}", "f")
    channel = read_values(file, f"{split}_addresses/{label}", "iuf")
    if seconds.shape != channel.shape or not seconds.size:
        raise DataError(f"{label}: times {seconds.shape} and channels {channel.shape}, must be [E] and [E]")
    if not ((channel >= 0) & (channel < CHANNELS)).all():
        raise DataError(f"{label}: channels must lie in 0 to {CHANNELS - 1}")
    try:
        time = microseconds(seconds)
    except DataError as problem:
        raise DataError(f"{label}: {problem}") from problem
    places = np.arange(size) * SIDE // size
    grid = bin_events(time, channel.astype(np.int64), steps, CHANNELS).reshape(steps, 1, SIDE, SIDE)
    return grid[:, :, places[:, None], places]
