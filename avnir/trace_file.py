"""A trace written to its file piece by piece, when it is too large to be held.

An `.npz` is compressed one array after the other, and pieces of all arrays come mixed. So they are gathered
uncompressed in one file beside it first, each at its place. What comes out is what `Trace.save` writes, byte
for byte.
"""

from __future__ import annotations

import math
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from avnir.errors import UserError
from avnir.files import MAX_ARRAY_BYTES, atomic_path
from avnir.ir.graph import Graph
from avnir.ir.operation import Array, Shape
from avnir.pieces import Piece, readable
from avnir.trace import FORMAT, Trace

COPIED = 16 << 20
"""Bytes that are compressed at once."""


@dataclass(frozen=True)
class _Member:
    """An array `[T, B, *shape]` of the file, which begins at the byte `start` of the gathered ones."""

    name: str
    dtype: np.dtype[np.generic]
    shape: Shape
    start: int

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def put(self, file: BinaryIO, steps: slice, samples: slice, array: Array) -> None:
        """Write a piece of it, `[S, b, *shape]`, to its place."""
        row = math.prod(self.shape[2:]) * self.dtype.itemsize
        for step, values in zip(range(steps.start, steps.stop), array, strict=True):
            file.seek(self.start + (step * self.shape[1] + samples.start) * row)
            file.write(np.ascontiguousarray(values).data)

    def pack(self, file: BinaryIO, member: IO[bytes]) -> None:
        """Write it as numpy does."""
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(member, {**header, "shape": self.shape})
        file.seek(self.start)
        for first in range(0, self.size, COPIED):
            member.write(file.read(min(COPIED, self.size - first)))


@contextmanager
def trace_file(
    path: Path | None, graph: Graph, steps: int, samples: int, states: bool
) -> Iterator[Callable[[Piece], None]]:
    """A function that takes the pieces of a run, in any order; then the file is whole, or there is none.

    Without a `path` the pieces are let go. Raises UserError where the trace is larger than any that is read,
    or than what the disk has free.
    """
    if path is None:
        yield lambda piece: None
        return
    members = {member.name: member for member in _members(graph, steps, samples, states)}
    size = sum(member.size for member in members.values())
    _check(path, size, samples)
    with atomic_path(path) as temporary, (temporary.parent / "gathered").open("w+b") as file:
        file.truncate(size)
        yield lambda piece: _take(file, members, piece)
        _write(temporary, file, members.values())


def _members(graph: Graph, steps: int, samples: int, states: bool) -> Iterator[_Member]:
    start = 0
    for name, array in Trace.empty(graph, 1, 1, states).named().items():
        member = _Member(name, array.dtype, (steps, samples, *array.shape[2:]), start)
        start += member.size
        yield member


def _check(path: Path, size: int, samples: int) -> None:
    """UserError where a trace of `size` bytes cannot be had at `path`."""
    if size > MAX_ARRAY_BYTES:
        fits = samples * MAX_ARRAY_BYTES // size
        remedy = f"use --samples {fits}" if fits else "leave --out away"
        raise UserError(
            f"the trace of {samples} samples has {readable(size)} of arrays, more than the "
            f"{readable(MAX_ARRAY_BYTES)} of the largest trace that is read; {remedy}"
        )
    there = next((folder for folder in path.absolute().parents if folder.exists()), path.parent)
    if 2 * size > (free := shutil.disk_usage(there).free):
        raise UserError(
            f"the trace takes up to {readable(2 * size)} while it is written, but {there} has "
            f"{readable(free)} free; use fewer --samples, or another folder"
        )


def _take(file: BinaryIO, members: dict[str, _Member], piece: Piece) -> None:
    before = "" if piece.last else f"rehearsals/{piece.number}/"
    for name, array in piece.trace.named().items():
        members[before + name].put(file, piece.steps, piece.samples, array)


def _write(path: Path, file: BinaryIO, members: Iterable[_Member]) -> None:
    """The arrays of `members` in the order and form of `Trace.save`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        with archive.open("format.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, np.array(FORMAT), allow_pickle=False)
        for member in members:
            with archive.open(f"{member.name}.npy", "w", force_zip64=True) as entry:
                member.pack(file, entry)
