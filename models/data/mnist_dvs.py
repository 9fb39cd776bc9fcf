"""MNIST-DVS from a folder: the original AEDAT 2.0 recordings.

Source: T. Serrano-Gotarredona, B. Linares-Barranco, Poker-DVS and MNIST-DVS. Their History, How They Were
Made, and Other Details, Frontiers in Neuroscience 9:481, 2015. 1,000 digits of MNIST of each kind, shown
moving to a DVS128 camera at three sizes: `grabbed_dataD/scaleS/mnist_D_scaleSS_NNNN.aedat`, D the digit, S
4, 8 or 16, NNNN its number from 0001.

There is no official split. Here digits of number 901 and above test, at every size, so that no digit is in
training at one size and in the test at another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avnir.errors import DataError
from avnir.models.data.archives import refuse_lfs_pointer
from avnir.models.data.events import CameraEvents, camera_frames, read_frames
from avnir.models.data.pairs import Samples

FOLDER = "MNIST-DVS"
FILE_NAME = re.compile(r"mnist_([0-9])_scale(04|08|16)_([0-9]{4})\.aedat")
TRAIN_LAST = 900
SENSOR = 128
HEADER = b"#!AER-DAT2.0"
EVENT_BYTES = 8
SPECIAL = 1 << 15
"""Events with this bit are signals of the camera, not of a pixel (jAER, DVS128)."""


@dataclass(frozen=True)
class Recording:
    """A file, the digit that it shows, the size at which it was shown (4, 8, 16), and the digit's number."""

    path: Path
    digit: int
    scale: int
    number: int

    @property
    def is_test(self) -> bool:
        """Whether its digit tests."""
        return self.number > TRAIN_LAST


def recordings(folder: Path) -> list[Recording]:
    """All recordings in `folder`, or in its folder MNIST-DVS, by digit, scale and number."""
    root = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    found = root.glob("grabbed_data?/scale*/*.aedat")
    named = [(path, match) for path in found if (match := FILE_NAME.fullmatch(path.name))]
    listed = [Recording(path, *(int(number) for number in match.groups())) for path, match in named]
    return sorted(listed, key=lambda one: (one.digit, one.scale, one.number))


def missing_mnist_dvs(folder: Path) -> list[str]:
    """What `folder` lacks to load MNIST-DVS: digits without a recording for training or for the test."""
    found = {(one.digit, one.is_test) for one in recordings(folder)}
    if not found:
        return ["grabbed_data0/scale4/mnist_0_scale04_0001.aedat and the other recordings of MNIST-DVS"]
    parts = {False: f"a number up to {TRAIN_LAST:04d}", True: f"a number above {TRAIN_LAST:04d}"}
    wanted = [(digit, is_test) for digit in range(10) for is_test in parts]
    return [f"recordings of digit {d} with {parts[t]}" for d, t in wanted if (d, t) not in found]


def chosen(folder: Path, split: str) -> list[Recording]:
    """The recordings that a split uses: `authors` takes the smallest scale alone, `official` all."""
    found = recordings(folder)
    smallest = min((one.scale for one in found), default=0)
    return [one for one in found if split == "official" or one.scale == smallest]


def load_mnist_dvs(
    folder: Path, steps: int = 4, size: int = 28, split: str = "official"
) -> tuple[Samples, Samples]:
    """Training and test recordings, [N, steps, 2, size, size] counts: the whole sensor, binned to `size`.

    `split`: see `chosen`. How events become frames: `avnir.models.data.events`. Raises `DataError` for
    missing or damaged files, and names all of them.
    """
    if missing := missing_mnist_dvs(folder):
        raise DataError(f"{folder}: missing {', '.join(missing)}")
    used = chosen(folder, split)
    train, test = (
        _samples(folder, [one for one in used if one.is_test == is_test], steps, size)
        for is_test in (False, True)
    )
    return train, test


def read_aedat(path: Path) -> CameraEvents:
    """One recording of a DVS128 in AEDAT 2.0, as jAER writes it.

    Lines that begin with #, then 8 bytes an event, both big-endian: address and time in microseconds. In
    the address bit 0 is 1 for OFF, bits 1 to 7 are x and 8 to 14 are y (jAER, DVS128). The camera mirrors x;
    column and row are 127 - x and y, as in the data set's own `dat2mat.m`.

    Raises `DataError` for a Git-LFS pointer, another format, a file cut short or without events, and
    addresses of another camera.
    """
    refuse_lfs_pointer(path)
    data = path.read_bytes()
    if not data.startswith(HEADER):
        raise DataError(f"{path}: does not begin with {HEADER.decode()}; AEDAT 2.0 is read, no other format")
    start = _after_header(data)
    if len(data) == start or (len(data) - start) % EVENT_BYTES:
        raise DataError(f"{path}: {len(data) - start} bytes of events, must be a multiple of 8 above 0")
    address, time = np.frombuffer(data, ">u4", offset=start).astype(np.int64).reshape(-1, 2).T
    if address.max() >= 2 * SPECIAL:
        raise DataError(f"{path}: address {address.max()} is not one of a DVS128, which has 15 bits")
    pixel = address < SPECIAL
    address, time = address[pixel], time[pixel]
    return CameraEvents(time, SENSOR - 1 - (address >> 1 & 127), address >> 8 & 127, 1 - (address & 1))


def _after_header(data: bytes) -> int:
    """Where the lines that begin with # end."""
    start = 0
    while data[start : start + 1] == b"#":
        end = data.find(b"\n", start)
        start = end + 1 if end >= 0 else len(data)
    return start


def _samples(folder: Path, used: list[Recording], steps: int, size: int) -> Samples:
    shape = (steps, 2, size, size)
    paths = [one.path for one in used]
    frames = read_frames(
        folder, paths, shape, lambda path: camera_frames(read_aedat(path), SENSOR, steps, size)
    )
    return Samples(frames, np.array([one.digit for one in used], dtype=np.int64))
