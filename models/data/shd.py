"""Spiking Heidelberg Digits from a folder: `shd_train.h5` and `shd_test.h5`, plain or gzipped.

Source: B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke, The Heidelberg Spiking Data Sets for the Systematic
Evaluation of Spiking Neural Networks, IEEE TNNLS 33, 2022; CC BY 4.0. Spoken digits, 0 to 9 in English and
in German, 20 classes, as spikes of 700 channels of a model of the inner ear: for each recording
`spikes/times` in seconds and `spikes/units`, and `labels`, `extra/speaker`, `extra/keys`.

In the official split two of the 12 speakers are only in the test; the others are in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data.events import Counts, Integers, bin_events, microseconds, refuse_files
from avnir.models.data.hdf5 import opened, read_rows, read_values
from avnir.models.data.pairs import PairedData, Samples, Split
from avnir.models.data.registry import Groups, Options

FILES = ("shd_train.h5", "shd_test.h5")
UNITS = 700
WORDS = {
    "English": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "German": ("null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun"),
}
CLASSES = tuple(word for words in WORDS.values() for word in words)


def missing_shd(folder: Path) -> list[str]:
    """What `folder` lacks to load SHD; empty if it is complete."""
    return [f"{name} or {name}.gz" for name in FILES if _path(folder, name) is None]


def load_shd(folder: Path, options: Options) -> PairedData:
    """The official split, audio alone: `read_shd`."""
    train, test = read_shd(folder, options.steps, options.audio_size)
    return PairedData(
        name="SHD",
        train=Split({"audio": train.values}, train.labels),
        test=Split({"audio": test.values}, test.labels),
        class_names=CLASSES,
        provenance={"audio": "Spiking Heidelberg Digits (Cramer et al. 2022; CC BY 4.0), official split"},
    )


def read_shd(folder: Path, steps: int = 4, size: int = 28) -> tuple[Samples, Samples]:
    """The official training and test recordings, [N, steps, 1, size, size] counts.

    Channels are laid out row by row in the picture. A picture of 700 cells or more (27x27) shows each as
    one cell, and the last rows stay silent; in a smaller one neighbours share a cell: channel u goes to
    cell `floor(u size^2 / 700)`. How spikes become frames: `avnir.models.data.events`. Raises `DataError`
    for missing or damaged files, and names everything that is wrong in one.
    """
    if missing := missing_shd(folder):
        raise DataError(f"{folder}: missing {', '.join(missing)}")
    train, test = (_read(_path(folder, name) or folder / name, steps, size) for name in FILES)
    return train, test


def groups_shd(folder: Path, options: Options) -> Groups:
    """Who speaks in each recording of training and test, 0 to 11."""
    train, test = (_speakers(_path(folder, name) or folder / name) for name in FILES)
    return {"speaker": (train, test)}


def _speakers(path: Path) -> NDArray[np.int64]:
    try:
        with opened(path) as file:
            return read_values(file, "extra/speaker", "iu").astype(np.int64)
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from problem


def _path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read(path: Path, steps: int, size: int) -> Samples:
    with opened(path) as file:
        times, units, labels = _arrays(path, file)
    frames, problems = np.empty((len(labels), steps, 1, size, size), np.uint8), []
    for place, (seconds, unit) in enumerate(zip(times, units, strict=True)):
        try:
            frames[place, :, 0] = _frames(seconds, unit.astype(np.int64), steps, size)
        except DataError as problem:
            problems.append(f"recording {place}: {problem}")
    refuse_files(path, problems)
    return Samples(frames, labels)


def _arrays(path: Path, file: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any], Integers]:
    try:
        times, units = read_rows(file, "spikes/times"), read_rows(file, "spikes/units")
        labels = read_values(file, "labels", "iu").astype(np.int64)
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from problem
    if not len(times) == len(units) == len(labels) or not len(labels):
        raise DataError(f"{path}: {len(times)} times, {len(units)} units and {len(labels)} labels disagree")
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise DataError(f"{path}: labels {labels.min()} to {labels.max()}, must lie in 0 to 19")
    return times, units, labels


def _frames(seconds: NDArray[Any], unit: Integers, steps: int, size: int) -> Counts:
    if seconds.shape != unit.shape or not unit.size:
        raise DataError(f"times {seconds.shape} and units {unit.shape}, must be [E] and [E], E above 0")
    if unit.min() < 0 or unit.max() >= UNITS:
        raise DataError(f"units must lie in 0 to {UNITS - 1}")
    cells = size * size
    cell = unit if cells >= UNITS else unit * cells // UNITS
    return bin_events(microseconds(seconds), cell, steps, cells).reshape(steps, size, size)
