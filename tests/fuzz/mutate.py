"""Damage: files changed at random, by the byte and by what they are made of."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

Mutation = Callable[[bytes, Random, Path], bytes]
"""Content, dice, and a file that nobody may open, to other content."""

ODD_NUMBERS = (0, 1, -1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)
ODD_VALUES: tuple[Any, ...] = (
    *ODD_NUMBERS, None, True, "", "x" * 300, "../x", 0.5, -1e308, [], {}, [1, 2], [[[]]], {"array": "0" * 64}
)  # fmt: skip


def flip(content: bytes, dice: Random, other: Path) -> bytes:
    """One to eight bits."""
    changed = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def truncate(content: bytes, dice: Random, other: Path) -> bytes:
    """The beginning, or the end."""
    cut = dice.randrange(len(content))
    return content[:cut] if dice.random() < 0.8 else content[cut:]


def splice(content: bytes, dice: Random, other: Path) -> bytes:
    """A piece copied, moved over another, left out, or blanked."""
    start, length, to = dice.randrange(len(content)), dice.randint(1, 400), dice.randrange(len(content))
    piece = content[start : start + length]
    return dice.choice(
        (
            content[:to] + piece + content[to:],
            content[:to] + piece + content[to + len(piece) :],
            content[:start] + content[start + length :],
            content[:start] + dice.choice((b"\0", b"\xff")) * len(piece) + content[start + len(piece) :],
        )
    )


def odd_number(content: bytes, dice: Random, other: Path) -> bytes:
    """A length or an address of another size."""
    size = dice.choice((2, 4, 8))
    at = dice.randrange(max(1, len(content) - size))
    number = dice.choice(ODD_NUMBERS) % (1 << 8 * size)
    return content[:at] + number.to_bytes(size, "little") + content[at + size :]


BYTES: tuple[Mutation, ...] = (flip, truncate, splice, odd_number)


def hdf5(content: bytes, dice: Random, other: Path) -> bytes:
    """The objects of an HDF5 file: replaced, removed, renamed, linked."""
    with h5py.File.in_memory(content) as file:
        for _ in range(dice.randint(1, 3)):
            names: list[str] = []
            file.visit(names.append)
            if names:
                dice.choice(_HDF5_EDITS)(file, dice.choice(names), dice, other)
        file.flush()
        return bytes(file.id.get_file_image())


def _remove(file: Any, name: str, dice: Random, other: Path) -> None:
    del file[name]


def _rename(file: Any, name: str, dice: Random, other: Path) -> None:
    new = f"{name}{dice.choice(('_', '.x', ' ', 'é', ';import os'))}"
    if new not in file:
        file.move(name, new)


def _replace(file: Any, name: str, dice: Random, other: Path) -> None:
    del file[name]
    file.create_dataset(name, data=dice.choice(_ODD_ARRAYS))


def _disturb(file: Any, name: str, dice: Random, other: Path) -> None:
    """One element of an array of numbers."""
    found = file[name]
    if isinstance(found, h5py.Dataset) and found.dtype.kind in "fiu" and found.size and not _elsewhere(found):
        values = found[()]
        flat = np.atleast_1d(values).reshape(-1)
        flat[dice.randrange(flat.size)] += 1
        found[...] = flat.reshape(found.shape)


def _elsewhere(dataset: Any) -> bool:
    """Whether an earlier mutation put the values into another file."""
    return bool(dataset.is_virtual or dataset.external)


def _link(file: Any, name: str, dice: Random, other: Path) -> None:
    """A link into another file, or to another place in this one."""
    place = dice.choice(("/node", "/", "/nowhere", f"/{name}"))
    del file[name]
    file[name] = dice.choice((h5py.ExternalLink(str(other), "/x"), h5py.SoftLink(place)))


def _external(file: Any, name: str, dice: Random, other: Path) -> None:
    """Values that lie in another file."""
    del file[name]
    file.create_dataset(name, (4, 4), "f8", external=[(str(other), 0, 128)])


def _virtual(file: Any, name: str, dice: Random, other: Path) -> None:
    """Values that are a view of another file."""
    del file[name]
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(other), "x", (4,))
    file.create_virtual_dataset(name, layout)


def _bomb(file: Any, name: str, dice: Random, other: Path) -> None:
    """Gigabytes that take no room in the file."""
    del file[name]
    shape = dice.choice(((1 << 28,), (1 << 15, 1 << 15), (1 << 40,)))
    file.create_dataset(
        name, shape, dice.choice(("f8", "i1")), chunks=(1 << 10,) * len(shape), compression="gzip"
    )


_ODD_ARRAYS: tuple[Any, ...] = (
    np.float64(np.nan), np.zeros((0, 3)), np.ones((2, 3, 4, 5)), np.array([1 + 2j]), np.array([True]),
    np.array([b"a"]), "LIF", "NIRGraph", "{}", "", -1, 2**60, np.full(3, np.inf), np.ones(1, "i4,f8"),
)  # fmt: skip
_HDF5_EDITS = (_remove, _rename, _replace, _disturb, _link, _external, _virtual, _bomb)


def archive(content: bytes, dice: Random, other: Path) -> bytes:
    """The entries of a zip archive: changed, dropped, doubled, renamed, packed; the archive stays sound."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        entries = [(entry.filename, source.read(entry)) for entry in source.infolist()]
    packing = dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    index = dice.randrange(len(entries))
    name, data = entries[index]
    choice = dice.randrange(6)
    if choice == 0:
        del entries[index]
    elif choice == 1:
        entries[index] = (dice.choice(("../out", "/etc/out", name + "x", "x")), data)
    elif choice == 2:
        entries.append((name + "2", b"\0" * (1 << 24)))
    elif data:
        entries[index] = (name, dice.choice(BYTES)(data, dice, other))
    fresh = io.BytesIO()
    with zipfile.ZipFile(fresh, "w", packing) as target:
        for name, data in entries:
            target.writestr(name, data)
    return fresh.getvalue()


def record(content: bytes, dice: Random, other: Path) -> bytes:
    """A JSON text: values replaced, keys removed, lists grown, or no JSON any more."""
    value = json.loads(content)
    for _ in range(dice.randint(1, 2)):
        holder, key = _somewhere(value, dice)
        choice = dice.randrange(4)
        if choice == 0:
            holder[key] = dice.choice(ODD_VALUES)
        elif choice == 1:
            del holder[key]
        elif choice == 2 and isinstance(holder, list):
            holder.append(holder[key])
        elif isinstance(holder[key], int | float):
            holder[key] = holder[key] + dice.choice((1, -1, 0.25, 1e9))
    text = json.dumps(value)
    return (
        text.replace("0", dice.choice(("NaN", "1e999", "-0")), 1) if dice.random() < 0.1 else text
    ).encode()


def exchange(content: bytes, dice: Random, other: Path) -> bytes:
    """A JSON text in which two values of one name and type change places: often sound, and something else."""
    value = json.loads(content)
    leaves = [(h, k) for h, k in _places(value) if not isinstance(h[k], dict | list)]
    holder, key = dice.choice(leaves)
    kind, old = type(holder[key]), holder[key]
    others = [h for h, k in leaves if k == key and type(h) is type(holder) and type(h[k]) is kind]
    partner = dice.choice([h for h in others if h[key] != old] or [holder])
    holder[key], partner[key] = partner[key], holder[key]
    return json.dumps(value).encode()


def _somewhere(value: Any, dice: Random) -> tuple[Any, Any]:
    """A container in the value, and a key or an index of it."""
    found = _places(value)
    return dice.choice(found) if found else ({"empty": 0}, "empty")


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in the value with each of its keys or indices."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        found += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys if isinstance(holder[key], dict | list)]
    return found
