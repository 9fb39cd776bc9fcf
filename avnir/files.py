"""Files that appear whole or not at all, and arrays read without trust."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError, UserError

MAX_ARRAY_BYTES = 4 << 30
"""Archives whose arrays take more bytes than this in total are refused before they are read."""


def read_npz(path: Path, max_bytes: int = MAX_ARRAY_BYTES) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz`, no pickle; DataError where it is missing, damaged or too large."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > max_bytes:
            raise DataError(f"it holds {size} bytes of arrays, more than the limit of {max_bytes}")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if foreign := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
            raise DataError(f"{foreign[0]!r} in it is no array")
        return arrays
    except Exception as error:  # damaged archives and headers raise a dozen types
        what = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
        raise DataError(
            f"{path} cannot be read as an .npz of arrays ({what}); numpy.savez writes one"
        ) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary file name beside `path`, renamed to it at the end; removed on any error."""
    with _beside(path) as folder:
        yield folder / path.name
        (folder / path.name).replace(path)


@contextmanager
def atomic_folder(path: Path, marker: str) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place at the end; removed on any error.

    What stands at `path` is replaced only if it is empty or holds a file called `marker`, that is, if
    avnir wrote it; anything else there is a UserError and stays as it is.
    """
    if path.exists() and not _replaceable(path, marker):
        raise UserError(
            f"{path} exists and was not written by avnir (no {marker} in it); choose another name"
        )
    with _beside(path) as scratch:
        made, old = scratch / "new", scratch / "old"
        made.mkdir()
        yield made
        if path.exists():
            path.replace(old)
        try:
            made.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise


def _replaceable(path: Path, marker: str) -> bool:
    return path.is_dir() and ((path / marker).is_file() or not any(path.iterdir()))


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); choose a folder you may write to"
        ) from error
    try:
        yield folder
    except OSError as error:
        raise UserError(f"{path} could not be written ({error.strerror}); nothing was left there") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
