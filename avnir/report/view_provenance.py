"""What a reader needs to make the same again: versions, seeds, digests, options, and each pass's account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from avnir import __version__
from avnir.passes.note import Note
from avnir.report.deployment import Deployment

PACKAGES = ("numpy", "numba", "torch", "snntorch")
"""Whose versions are told, where they are installed."""


@dataclass(frozen=True)
class PassView:
    """The notes of one pass: a node and a text each, and whether it was left alone."""

    name: str
    notes: tuple[tuple[str, str, bool], ...]


def passes_view(notes: Iterable[Note]) -> tuple[PassView, ...]:
    """The notes by pass, in the order in which the passes ran."""
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for note in notes:
        found.setdefault(note.pass_name, []).append((note.node, note.text, note.declined))
    return tuple(PassView(name, tuple(told)) for name, told in found.items())


Group = tuple[str, tuple[tuple[str, str], ...]]
"""A title, with names and values."""


def provenance_view(deployment: Deployment) -> tuple[Group, ...]:
    """What is known, in groups; those of which nothing is known are left out."""
    program = deployment.compiled.program
    made = (
        ("avnir", __version__),
        ("target", f"{deployment.chip.title} ({program.target})"),
        ("SHA-256", program.digest),
        *(pair for pair in _flat(program.provenance) if pair[0] != "avnir"),
    )
    groups = (
        ("the program", made),
        ("the model", tuple(_flat(deployment.record))),
        ("the examples it was run on", tuple(_flat(deployment.examples))),
        ("what the model's file says of its making", tuple(_flat(deployment.history))),
        ("installed where this was made", tuple(_versions())),
    )
    return tuple((title, rows) for title, rows in groups if rows)


def _flat(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested values by the path to each."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}, ")
        else:
            yield before + name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
