"""N-MNIST from a folder: the original .bin recordings, or one `nmnist_small.npz`.

Source: G. Orchard, A. Jayawant, G. Cohen, N. Thakor, Converting Static Image Datasets to Spiking
Neuromorphic Datasets Using Saccades, Frontiers in Neuroscience 9:437, 2015; CC BY-SA 4.0. The digits of
MNIST in MNIST's own split, seen by an ATIS camera of 34x34 pixels during three movements of 100 ms. Where
a folder has the recordings and the archive, the recordings are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avnir.errors import DataError
from avnir.models.data.archives import Array, read_archive, refuse_lfs_pointer
from avnir.models.data.events import CameraEvents, Counts, camera_frames, read_frames
from avnir.models.data.pairs import Samples

ARCHIVE = "nmnist_small.npz"
ARCHIVE_LAYOUT = {
    "x": ("uint8", 1),
    "y": ("uint8", 1),
    "p": ("uint8", 1),
    "dt_us": ("uint16", 1),
    "offsets": ("int64", 1),
    "label": ("uint8", 1),
    "is_test": ("bool", 1),
}
FOLDER = "N-MNIST"
SPLITS = ("Train", "Test")
SENSOR = 34
EVENT_BYTES = 5
OVERFLOW_ROW = 240
OVERFLOW_US = 1 << 13
"""An event in this row is no pixel: the camera's clock ran over, and later times are 2^13 us later (the
authors' reader, github.com/gorchard/event-Python, `read_dataset`)."""


def missing_nmnist(folder: Path) -> list[str]:
    """What `folder` lacks to load N-MNIST; empty if something whole is there."""
    root = _root(folder)
    if not any((root / split).is_dir() for split in SPLITS):
        return [] if (folder / ARCHIVE).is_file() else [f"{ARCHIVE}, or Train/0 to Test/9 with .bin files"]
    wanted = [f"{split}/{digit}" for split in SPLITS for digit in range(10)]
    return [f"{one} with .bin files" for one in wanted if not any((root / one).glob("*.bin"))]


def load_nmnist(folder: Path, steps: int = 4, size: int = SENSOR) -> tuple[Samples, Samples]:
    """The official training and test recordings, [N, steps, 2, size, size] counts, in order of their names.

    How events become frames: `avnir.models.data.events`. Raises `DataError` for missing or damaged files,
    and names all of them.
    """
    if missing := missing_nmnist(folder):
        raise DataError(f"{folder}: missing {', '.join(missing)}")
    root = _root(folder)
    if (root / SPLITS[0]).is_dir():
        train, test = (_from_files(root / split, steps, size) for split in SPLITS)
        return train, test
    return _from_archive(folder / ARCHIVE, steps, size)


def read_bin(path: Path) -> CameraEvents:
    """One recording: an event is x, y, and 24 bits, big-endian: 1 for ON and 23 of time in microseconds.

    Raises `DataError` for a Git-LFS pointer, a file that is empty or cut short, and a pixel out of range.
    """
    refuse_lfs_pointer(path)
    data = np.fromfile(path, np.uint8)
    if not data.size or data.size % EVENT_BYTES:
        raise DataError(
            f"{path}: {data.size} bytes, must be a multiple of {EVENT_BYTES} above 0; get it again"
        )
    x, y, high, middle, low = data.reshape(-1, EVENT_BYTES).T.astype(np.int64)
    events = _without_overflows(CameraEvents((high & 127) << 16 | middle << 8 | low, x, y, high >> 7))
    if max(events.x.max(initial=0), events.y.max(initial=0)) >= SENSOR:
        raise DataError(f"{path}: a pixel beyond {SENSOR}x{SENSOR}; not a recording of N-MNIST")
    return events


def _without_overflows(events: CameraEvents) -> CameraEvents:
    """The events of pixels, those behind an overflow of the clock later by it."""
    overflow = events.y == OVERFLOW_ROW
    if not overflow.any():
        return events
    time, kept = events.time + np.cumsum(overflow) * OVERFLOW_US, ~overflow
    return CameraEvents(time[kept], events.x[kept], events.y[kept], events.on[kept])


def archived_events(path: Path) -> Iterator[CameraEvents]:
    """The recordings of `nmnist_small.npz`, one after the other; `DataError` where it is damaged."""
    return _clips(_checked(path))


def _root(folder: Path) -> Path:
    return folder / FOLDER if (folder / FOLDER).is_dir() else folder


def _from_files(folder: Path, steps: int, size: int) -> Samples:
    paths = [path for digit in range(10) for path in sorted((folder / str(digit)).glob("*.bin"))]
    shape = (steps, 2, size, size)
    frames = read_frames(folder, paths, shape, lambda path: _frames(read_bin(path), steps, size))
    return Samples(frames, np.array([int(path.parent.name) for path in paths], dtype=np.int64))


def _from_archive(path: Path, steps: int, size: int) -> tuple[Samples, Samples]:
    arrays = _checked(path)
    labels, is_test = arrays["label"].astype(np.int64), arrays["is_test"]
    frames = np.stack([_frames(events, steps, size) for events in _clips(arrays)])
    return Samples(frames[~is_test], labels[~is_test]), Samples(frames[is_test], labels[is_test])


def _frames(events: CameraEvents, steps: int, size: int) -> Counts:
    return camera_frames(events, SENSOR, steps, size)


def _checked(path: Path) -> dict[str, Array]:
    arrays = read_archive(path, ARCHIVE_LAYOUT)
    clips, offsets, events = len(arrays["label"]), arrays["offsets"], len(arrays["x"])
    same = {len(arrays[name]) for name in ("x", "y", "p", "dt_us")} == {events}
    rising = len(offsets) == clips + 1 and offsets[0] == 0 and bool((np.diff(offsets) > 0).all())
    problems = {
        f"offsets must rise from 0 to {events}, one more than the {clips} labels": rising
        and offsets[-1] == events,
        "x, y, p and dt_us must have one length": same,
        f"is_test must have {clips} entries, of both kinds": len(arrays["is_test"]) == clips
        and arrays["is_test"].any()
        and not arrays["is_test"].all(),
        f"x and y lie in 0 to {SENSOR - 1}, p in 0 to 1, label in 0 to 9": all(
            arrays[name].max(initial=0) <= most
            for name, most in (("x", SENSOR - 1), ("y", SENSOR - 1), ("p", 1), ("label", 9))
        ),
    }
    if found := [problem for problem, good in problems.items() if not good]:
        raise DataError(f"{path}: {'; '.join(found)}")
    return arrays


def _clips(arrays: dict[str, Array]) -> Iterator[CameraEvents]:
    for start, stop in zip(arrays["offsets"][:-1], arrays["offsets"][1:], strict=True):
        x, y, on, gaps = (arrays[name][start:stop].astype(np.int64) for name in ("x", "y", "p", "dt_us"))
        yield CameraEvents(np.cumsum(gaps), x, y, on)
