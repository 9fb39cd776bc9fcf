"""Whether an HDF5 file is safe to read.

HDF5 can point into other files, at itself and at nothing, and a few bytes can unfold to gigabytes. So a
file is walked first: only hard links, few levels, few objects, numbers and texts of known size stored
in the file itself, with filters that unpack in this process. Only then is anything read.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from avnir.errors import InterchangeError
from avnir.export.nir_schema import KEY, MAX_NODES

MAX_BYTES = 1 << 30
"""Arrays that would take more bytes than this in total, unpacked, are refused before they are read."""
MAX_DEPTH = 8
MAX_OBJECTS = 12 * MAX_NODES
FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF)
HARD_LINK = h5py.h5l.TYPE_HARD

SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAP = b"GCOL"
HEAP_HEAD = struct.Struct("<4sB3xQ")
"""Signature, version, size of the whole heap in bytes, this head included."""
HEAP_ENTRY = struct.Struct("<HH4xQ")
"""Index, references, size of the text; index 0 is free space, and its size includes this head."""
TEXT_PLACE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])
"""What stands for a text of no fixed length: where in which heap it lies."""

Tree = dict[str, Any]
"""Groups by name, down to data sets."""


def check_heaps(data: mmap.mmap) -> None:
    """Refuse what makes HDF5 2.0 run for ever: a heap of texts whose entries do not lead to its end.

    Layout: HDF5 File Format Specification 3.0, II.A (superblock) and III.E (global heap).
    """
    sizes = data[13:15] if data[8:9] < b"\2" else data[9:11]
    if data[:8] != SIGNATURE or sizes != b"\x08\x08":
        raise InterchangeError("it is no HDF5 file, or one whose lengths do not have 8 bytes; write it again")
    start = data.find(HEAP)
    while start >= 0:
        if not _heap_ends(data, start):
            raise InterchangeError(f"it is damaged: the heap of texts at byte {start} does not end")
        start = data.find(HEAP, start + 1)


def _heap_ends(data: mmap.mmap, start: int) -> bool:
    """Whether the heap's entries follow each other up to its end: each a head of 16 bytes and its text."""
    head = data[start : start + HEAP_HEAD.size]
    if len(head) < HEAP_HEAD.size:
        return False
    place, end = start + HEAP_HEAD.size, start + HEAP_HEAD.unpack(head)[2]
    while end - place >= HEAP_ENTRY.size and end <= len(data):
        index, _, size = HEAP_ENTRY.unpack(data[place : place + HEAP_ENTRY.size])
        needed = HEAP_ENTRY.size + -(-size // 8) * 8 if index else size
        if needed < HEAP_ENTRY.size:
            return False
        place += needed
    return place <= end <= len(data)


def checked_tree(file: Any, data: mmap.mmap, max_bytes: int) -> Tree:
    """Everything in the file, nothing read yet; InterchangeError with all that is unsafe to read."""
    problems: list[str] = []
    sets: list[tuple[str, Any]] = []
    tree = _walk(file, "", sets, problems, [MAX_OBJECTS])
    for place, dataset in sets:
        foreign = "/metadata/" in place and not place.endswith(f"/metadata/{KEY}")
        problems += [f"{place}: {problem}" for problem in _storage_problems(dataset, data, foreign)]
    size = sum(_unpacked_bytes(dataset) for _, dataset in sets)
    if size > max_bytes:
        problems.append(f"unpacked it takes {size} bytes, more than the limit of {max_bytes}")
    if problems:
        raise InterchangeError("it is unsafe or damaged:\n" + "\n".join(f"  - {p}" for p in problems))
    return tree


def _walk(group: Any, place: str, sets: list[tuple[str, Any]], problems: list[str], left: list[int]) -> Tree:
    """Everything below `group`, hard links only; `left` counts down the objects that may still come."""
    tree: Tree = {}
    for name in group:
        here = f"{place}/{name}"
        left[0] -= 1
        if left[0] < 0:
            raise InterchangeError(f"it holds more than {MAX_OBJECTS} objects")
        if here.count("/") > MAX_DEPTH:
            raise InterchangeError(f"{here} is nested deeper than {MAX_DEPTH} levels")
        if group.id.links.get_info(name.encode()).type != HARD_LINK:
            problems.append(f"{here}: is a link to another place or file; store the data itself")
            continue
        found = group[name]
        if isinstance(found, h5py.Group):
            tree[name] = _walk(found, here, sets, problems, left)
        elif isinstance(found, h5py.Dataset):
            tree[name] = found
            sets.append((here, found))
        else:
            problems.append(f"{here}: is neither a group nor a data set")
    return tree


def _storage_problems(dataset: Any, data: mmap.mmap, foreign: bool) -> Iterator[str]:
    """Why a data set is not safe to read; metadata of others is never read, and may be of any type."""
    plan = dataset.id.get_create_plist()
    if plan.get_external_count() or dataset.is_virtual:
        yield "its values lie in another file; store them in this one"
    used = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())}
    if not used <= set(FILTERS):
        yield f"is packed with filter {sorted(used - set(FILTERS))}; use gzip"
    if foreign:
        return
    if dataset.shape is None:
        yield "is empty"
    elif is_text(dataset):
        if not _texts_fit(dataset, data):
            yield "is text that is packed, or longer than the file; store it plainly"
    elif dataset.dtype.kind not in "fiu":
        yield f"has type {dataset.dtype}, but must be numbers or text"
    elif dataset.dtype.kind == "f" and dataset.dtype.itemsize not in (2, 4, 8):
        yield f"has type {dataset.dtype}, which is not portable; use float64"


def _texts_fit(dataset: Any, data: mmap.mmap) -> bool:
    """Whether the texts have a fixed length, or one that the file can hold: HDF5 reserves it unseen."""
    if h5py.check_string_dtype(dataset.dtype).length is not None:
        return True
    start, count = dataset.id.get_offset(), math.prod(dataset.shape)
    if start is None or start + count * TEXT_PLACE.itemsize > len(data):
        return False
    places = np.frombuffer(data[start : start + count * TEXT_PLACE.itemsize], TEXT_PLACE)
    return int(places["length"].sum(dtype=np.uint64)) <= len(data)


def is_text(dataset: Any) -> bool:
    """Whether the elements are texts, of one fixed length or of none."""
    return h5py.check_string_dtype(dataset.dtype) is not None


def _unpacked_bytes(dataset: Any) -> int:
    """The memory that reading takes at most: all elements, or one chunk where that is more."""
    items = max(math.prod(dataset.shape or ()), math.prod(dataset.chunks or ()))
    return items * max(int(dataset.dtype.itemsize), dataset.id.get_type().get_size())
