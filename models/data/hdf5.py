"""Reading HDF5 files of events: numbers and short texts of the file itself, and nothing that it points to."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data.archives import refuse_lfs_pointer


@contextmanager
def opened(path: Path) -> Iterator[Mapping[str, Any]]:
    """The file, plain or gzipped (.gz); `DataError` for a Git-LFS pointer or what is no HDF5 file."""
    refuse_lfs_pointer(path)
    try:
        file = h5py.File(
            io.BytesIO(gzip.decompress(path.read_bytes())) if path.suffix == ".gz" else path, "r"
        )
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole HDF5 file ({error}); get the file again") from error
    with file:
        yield file


def read_values(file: Mapping[str, Any], name: str, kinds: str) -> NDArray[Any]:
    """The numbers [N] at `name`, of a type with one of numpy's letters `kinds`.

    Raises `DataError` where they are missing, of another type, damaged, or stored in another file.
    """
    return _read(file, name, lambda dtype: dtype.kind in kinds)


def read_rows(file: Mapping[str, Any], name: str) -> NDArray[Any]:
    """The rows of numbers [N] at `name`, each of its own length; refused like those of `read_values`."""
    return _read(file, name, lambda dtype: getattr(h5py.check_vlen_dtype(dtype), "kind", "") in tuple("iuf"))


def read_texts(file: Mapping[str, Any], name: str) -> list[str]:
    """The texts [N] at `name`; refused like the numbers of `read_values`."""
    try:
        return [text.decode() for text in _read(file, name, lambda dtype: h5py.check_string_dtype(dtype))]
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not text in UTF-8 ({error}); get the file again") from error


def lacking(file: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Those of `names` that the file does not have; `DataError` where it is too damaged to tell."""
    try:
        return [name for name in names if name not in file]
    except RuntimeError as error:  # what h5py says of damage
        raise DataError(f"cannot be searched ({error}); get the file again") from error


def _read(file: Mapping[str, Any], name: str, fits: Callable[[Any], Any]) -> NDArray[Any]:
    try:
        return np.asarray(_found(file, name, fits)[()])
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:  # what h5py says of damage
        raise DataError(f"{name}: cannot be read ({error}); get the file again") from error


def _found(file: Mapping[str, Any], name: str, fits: Callable[[Any], Any]) -> Any:
    found = file[name] if _inside(file, name) else None
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{name}: missing, or a link to another place")
    if found.ndim != 1 or not fits(found.dtype):
        raise DataError(f"{name}: {found.dtype} of shape {found.shape} cannot be used; get the file again")
    if found.is_virtual or found.id.get_create_plist().get_external_count():
        raise DataError(f"{name}: its values lie in another file; store them in this one")
    return found


def _inside(file: Mapping[str, Any], name: str) -> bool:
    """Whether every part of the way to `name` is a part of this file."""
    group: Any = file
    for part in name.split("/"):
        if not isinstance(group, h5py.Group) or part not in group:
            return False
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            return False
        group = group[part]
    return True
