"""CIFAR-10 from a folder: the python or the binary version, or one `cifar10_jpeg.npz`.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; no licence stated. 60,000
pictures of 32x32 in colour, 10 classes, official split of 50,000 and 10,000. Where a folder has several
forms the lossless ones go first; `cifar10_jpeg.npz` was compressed again, with loss.

The python version consists of pickles. A pickle can run any code, so these are read by an unpickler that
knows only the names that an array of bytes is made of, puts its own parts in their place, and refuses all
others.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data.archives import read_archive, refuse_lfs_pointer
from avnir.models.data.events import refuse_files
from avnir.models.data.images import resize
from avnir.models.data.pairs import Samples

Pixels = NDArray[np.uint8]

ARCHIVE = "cifar10_jpeg.npz"
ARCHIVE_LAYOUT = {
    "header": ("uint8", 1),
    "payload": ("uint8", 1),
    "offsets": ("int32", 1),
    "label": ("uint8", 1),
    "is_test": ("bool", 1),
}
TRAIN, TEST = [f"data_batch_{part}" for part in range(1, 6)], ["test_batch"]
PICKLES = "cifar-10-batches-py"
BINARIES = "cifar-10-batches-bin"
SIDE = 32
PIXELS = 3 * SIDE * SIDE
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def missing_cifar10(folder: Path) -> list[str]:
    """What `folder` lacks to load CIFAR-10; empty if one of its forms is whole."""
    if _pickles(folder) or _binaries(folder) or (folder / ARCHIVE).is_file():
        return []
    return [f"{PICKLES}/data_batch_1 to 5 and test_batch, or the same as .bin in {BINARIES}, or {ARCHIVE}"]


def load_cifar10(folder: Path, size: int = SIDE) -> tuple[Samples, Samples]:
    """The official training and test pictures, [N, 3, size, size] in [0, 1], red, green, blue.

    Another size than 32 is made as `avnir.models.data.images` says. Raises `DataError` for missing or
    damaged files, and names all of them.
    """
    if missing := missing_cifar10(folder):
        raise DataError(f"{folder}: missing {missing[0]}")
    if root := _pickles(folder):
        return _from_batches(root, "", size)
    if root := _binaries(folder):
        return _from_batches(root, ".bin", size)
    return _from_archive(folder / ARCHIVE, size)


def _pickles(folder: Path) -> Path | None:
    return _whole((folder / PICKLES, folder), "")


def _binaries(folder: Path) -> Path | None:
    return _whole((folder / BINARIES, folder), ".bin")


def _whole(places: Sequence[Path], suffix: str) -> Path | None:
    """The first place that holds all six batches."""
    names = [f"{name}{suffix}" for name in TRAIN + TEST]
    return next((place for place in places if all((place / name).is_file() for name in names)), None)


def _from_batches(root: Path, suffix: str, size: int) -> tuple[Samples, Samples]:
    read = read_binary if suffix else read_pickle
    found, problems = {}, []
    for name in TRAIN + TEST:
        try:
            found[name] = read(root / f"{name}{suffix}")
        except DataError as problem:
            problems.append(str(problem))
    refuse_files(root, problems)
    return _joined([found[name] for name in TRAIN], size), _joined([found[name] for name in TEST], size)


def _joined(batches: Sequence[tuple[Pixels, NDArray[np.int64]]], size: int) -> Samples:
    pixels, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Samples(resize(pixels, size), labels)


def read_binary(path: Path) -> tuple[Pixels, NDArray[np.int64]]:
    """Pictures [N, 3, 32, 32] and labels [N]: a byte of label, then 1,024 each of red, green and blue."""
    refuse_lfs_pointer(path)
    data = np.fromfile(path, np.uint8)
    if not data.size or data.size % (1 + PIXELS):
        raise DataError(
            f"{path}: {data.size} bytes, must be a multiple of {1 + PIXELS} above 0; get it again"
        )
    rows = data.reshape(-1, 1 + PIXELS)
    return _checked(path, rows[:, 1:], rows[:, 0].astype(np.int64))


def read_pickle(path: Path) -> tuple[Pixels, NDArray[np.int64]]:
    """Pictures [N, 3, 32, 32] and labels [N] of a batch of the python version; no code of it is run.

    Raises `DataError` for a Git-LFS pointer, for a pickle that names anything but arrays of bytes, and for
    one that is damaged or of another content.
    """
    refuse_lfs_pointer(path)
    try:
        batch = _Unpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        pixels, labels = batch[b"data"].pixels, np.asarray(batch[b"labels"], dtype=np.int64)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(f"{path}: not a batch of CIFAR-10 ({error!r}); get the file again") from error
    return _checked(path, pixels, labels)


def _checked(path: Path, pixels: Pixels, labels: NDArray[np.int64]) -> tuple[Pixels, NDArray[np.int64]]:
    if pixels.shape != (len(labels), PIXELS) or not len(labels):
        raise DataError(f"{path}: data {pixels.shape}, labels {labels.shape}; must be [N, {PIXELS}] and [N]")
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise DataError(f"{path}: labels {labels.min()} to {labels.max()}, must lie in 0 to 9")
    return pixels.reshape(-1, 3, SIDE, SIDE), labels


class _Unpickler(pickle.Unpickler):
    """Makes numbers, text, lists, dictionaries and arrays of bytes, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise DataError(f"the pickle asks for {module}.{name}; only arrays of bytes are read")
        return _KNOWN[module, name]


class _ByteType:
    """Stands for numpy's type of one byte; `__setstate__` brings its byte order, which it has not."""

    def __init__(self, code: object, *_: object) -> None:
        if code not in ("u1", b"u1"):
            raise DataError(f"the pickle holds an array of {code!r}; only bytes (u1) are read")

    def __setstate__(self, state: object) -> None:
        pass


class _Bytes:
    """Stands for numpy's array; `__setstate__` brings what is in it."""

    pixels: Pixels

    def __init__(self, *_: object) -> None:
        self.pixels = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[int, tuple[int, ...], _ByteType, bool, bytes]) -> None:
        _, shape, _, by_columns, data = state
        self.pixels = np.frombuffer(data, np.uint8).reshape(shape, order="F" if by_columns else "C")


def _latin(text: str, encoding: str) -> bytes:
    """Bytes as Python 3 spells them in an old pickle."""
    return text.encode("latin1")


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _ByteType,
    ("numpy.core.multiarray", "_reconstruct"): _Bytes,
    ("numpy._core.multiarray", "_reconstruct"): _Bytes,
    ("_codecs", "encode"): _latin,
}


def _from_archive(path: Path, size: int) -> tuple[Samples, Samples]:
    arrays = read_archive(path, ARCHIVE_LAYOUT)
    labels, is_test = arrays["label"].astype(np.int64), arrays["is_test"]
    if len(is_test) != len(labels) or not is_test.any() or is_test.all() or labels.max() > 9:
        raise DataError(f"{path}: {len(labels)} labels, 0 to 9, need as many is_test, of both kinds")
    train, test = (
        Samples(resize(decoded(path, np.flatnonzero(chosen)), size), labels[chosen])
        for chosen in (~is_test, is_test)
    )
    return train, test


def decoded(path: Path, places: NDArray[np.int64]) -> Pixels:
    """Pictures [N, 3, 32, 32] of `cifar10_jpeg.npz`; each is a JPEG file without its header, which all share.

    Raises `DataError` where offsets do not fit, and names every picture that is damaged.
    """
    arrays = read_archive(path, ARCHIVE_LAYOUT)
    offsets, data = arrays["offsets"], arrays["payload"].tobytes()
    if len(offsets) != len(arrays["label"]) + 1 or offsets[0] or offsets[-1] != len(data):
        raise DataError(f"{path}: offsets must rise from 0 to {len(data)}, one more than the labels")
    header, problems = arrays["header"].tobytes(), []
    pixels = np.empty((len(places), 3, SIDE, SIDE), np.uint8)
    for row, place in enumerate(places):
        try:
            pixels[row] = _jpeg(header + data[offsets[place] : offsets[place + 1]])
        except DataError as problem:
            problems.append(f"picture {place}: {problem}")
    refuse_files(path, problems)
    return pixels


def _jpeg(data: bytes) -> Pixels:
    """[3, 32, 32]."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            found = np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"not a JPEG file ({error})") from error
    if found.shape != (SIDE, SIDE, 3):
        raise DataError(f"{found.shape}, must be {SIDE}x{SIDE}")
    return found.transpose(2, 0, 1)
