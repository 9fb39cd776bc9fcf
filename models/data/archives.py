"""Reading `.npz` archives: arrays only, every fault of the file reported at once."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from avnir.errors import DataError

LFS_POINTER = b"version https://git-lfs"
"""How a Git-LFS pointer begins (git-lfs specification, docs/spec.md)."""

Array = NDArray[Any]
Layout = Mapping[str, tuple[str, int]]
"""For each array its numpy dtype and number of dimensions."""


def read_archive(path: Path, layout: Layout) -> dict[str, Array]:
    """The arrays that `layout` names; `DataError` if one is missing or of another type or rank."""
    refuse_lfs_pointer(path)
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in layout if name in archive}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not a readable .npz archive ({error}); get the file again") from error
    problems = [_problem(name, *want, arrays.get(name)) for name, want in layout.items()]
    if found := [problem for problem in problems if problem]:
        raise DataError(f"{path}: {'; '.join(found)}")
    return arrays


def refuse_lfs_pointer(path: Path) -> None:
    """Raise `DataError` if `path` holds a Git-LFS pointer in place of the data."""
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise DataError(f"{path}: a Git-LFS pointer, not the data; run `git lfs pull` where it came from")


def _problem(name: str, dtype: str, rank: int, array: Array | None) -> str | None:
    if array is None:
        return f"array {name!r} is missing"
    if array.dtype != np.dtype(dtype) or array.ndim != rank:
        return f"array {name!r} is {array.dtype} with {array.ndim} dimensions, must be {dtype} with {rank}"
    return None
