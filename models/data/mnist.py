"""MNIST from a folder: the original idx files, plain or gzipped, or one `mnist.npz`.

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST Database of Handwritten Digits; CC BY-SA 3.0.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data.archives import read_archive, refuse_lfs_pointer
from avnir.models.data.images import resize
from avnir.models.data.pairs import Samples

ARCHIVE = "mnist.npz"
ARCHIVE_LAYOUT = {
    "x_train": ("uint8", 3),
    "y_train": ("uint8", 1),
    "x_test": ("uint8", 3),
    "y_test": ("uint8", 1),
}
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IDX_UBYTE = 0x08
"""Code of unsigned bytes in the third byte of an idx file; the fourth is the number of dimensions."""
SIDE = 28
SMALL = 16


def missing_mnist(folder: Path) -> list[str]:
    """What `folder` lacks to load MNIST; empty if it is complete."""
    if (folder / ARCHIVE).is_file():
        return []
    lacking = [name for name in IDX_FILES if _idx_path(folder, name) is None]
    return [f"{ARCHIVE}, or {', '.join(lacking)} (plain or .gz)"] if lacking else []


def load_mnist(folder: Path, size: int = SMALL) -> tuple[Samples, Samples]:
    """The official training and test images [N, 1, size, size] in [0, 1], in the official order.

    28 is their own size. For 16 they are padded to 32x32 with background and averaged over 2x2; any other
    size is made as `avnir.models.data.images` says.
    Raises `DataError` for a missing, damaged or wrongly shaped file.
    """
    if missing := missing_mnist(folder):
        raise DataError(f"{folder}: missing {missing[0]}")
    archive = folder / ARCHIVE
    arrays = read_archive(archive, ARCHIVE_LAYOUT) if archive.is_file() else _read_idx_files(folder)
    source = archive if archive.is_file() else folder
    return (
        _images(source, arrays["x_train"], arrays["y_train"], size),
        _images(source, arrays["x_test"], arrays["y_test"], size),
    )


def _read_idx_files(folder: Path) -> dict[str, NDArray[np.uint8]]:
    paths = [folder / (_idx_path(folder, name) or name) for name in IDX_FILES]
    return {
        key: read_idx(path, rank)
        for path, (key, (_, rank)) in zip(paths, ARCHIVE_LAYOUT.items(), strict=True)
    }


def _idx_path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read_idx(path: Path, rank: int) -> NDArray[np.uint8]:
    """One idx file of unsigned bytes with `rank` dimensions; `.gz` is unpacked.

    Layout: 0, 0, type code, rank, then each dimension as a big-endian 32-bit integer, then the bytes.
    """
    refuse_lfs_pointer(path)
    data = _unpacked(path)
    header = 4 + 4 * rank
    if data[:4] != bytes([0, 0, IDX_UBYTE, rank]) or len(data) < header:
        raise DataError(f"{path}: not an idx file of bytes with {rank} dimensions; get the file again")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", rank, offset=4))
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(data) != expected:
        raise DataError(f"{path}: {len(data)} bytes, but its header says {expected}; get the file again")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _unpacked(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); get the file again") from error


def _images(source: Path, pixels: NDArray[np.uint8], labels: NDArray[np.uint8], size: int) -> Samples:
    if pixels.shape[1:] != (SIDE, SIDE) or len(pixels) != len(labels) or not len(labels):
        raise DataError(
            f"{source}: images {pixels.shape} and labels {labels.shape}, must be [N, {SIDE}, {SIDE}] and [N]"
        )
    if labels.max() > 9:
        raise DataError(f"{source}: label {labels.max()}, must be 0 to 9")
    images = shrink(pixels) if size == SMALL else resize(pixels[:, None], size)
    return Samples(images, labels.astype(np.int64))


def shrink(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[N, 28, 28] bytes -> [N, 1, 16, 16] in [0, 1]: 2 pixels of border, then means over 2x2."""
    padded = np.pad(pixels, ((0, 0), (2, 2), (2, 2)))
    blocks = padded.reshape(len(pixels), 1, 16, 2, 16, 2).sum(axis=(3, 5), dtype=np.float32)
    return blocks / np.float32(4 * 255)
