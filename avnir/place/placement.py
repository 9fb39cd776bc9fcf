"""Where every neuron of a program runs: pieces of layers on cores of chips; saved and read as JSON.

Cores are counted from 0 on each chip. The same program and options give the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from avnir.errors import ProgramError
from avnir.ir.operation import Array
from avnir.place.grid import Grid
from avnir.place.resources import NAMES, capacity
from avnir.target import Target

FORMAT = "avnir-placement-1"
Range = tuple[int, int]
"""`(start, stop)`."""


@dataclass(frozen=True)
class Piece:
    """A box of a layer's neurons on a core; neurons without a shape `(C, H, W)` are all channels.

    `resources`: what it takes of the core, by `avnir.place.resources.NAMES`; `work`: its neuron updates and
    synaptic operations in a step, at most, or their mean where the placement was made with a trace.
    """

    layer: str
    channels: Range
    rows: Range
    columns: Range
    chip: int
    core: int
    resources: tuple[int, ...]
    work: float

    @property
    def neurons(self) -> int:
        return math.prod(stop - start for start, stop in (self.channels, self.rows, self.columns))


@dataclass(frozen=True)
class Placement:
    """All pieces, layer by layer, of the program with that digest on `chips` chips of `cores_per_chip`.

    `measured` says whether the work of the pieces is that of a trace.
    """

    target: str
    program: str
    chips: int
    cores_per_chip: int
    measured: bool
    pieces: tuple[Piece, ...]

    @cached_property
    def addresses(self) -> tuple[Range, ...]:
        """`(chip, core)` of every core that is used, ascending."""
        return tuple(sorted({(piece.chip, piece.core) for piece in self.pieces}))

    @property
    def cores(self) -> int:
        """Cores that are used."""
        return len(self.addresses)

    @property
    def neurons(self) -> int:
        return sum(piece.neurons for piece in self.pieces)

    @property
    def synaptic_words(self) -> int:
        """Words of synaptic memory on all cores, copies of shared kernels counted."""
        return sum(piece.resources[NAMES.index("synaptic_words")] for piece in self.pieces)

    @cached_property
    def layers(self) -> Mapping[str, tuple[Piece, ...]]:
        """The pieces of each layer, in the order of its grid."""
        found: dict[str, list[Piece]] = {}
        for piece in self.pieces:
            found.setdefault(piece.layer, []).append(piece)
        return {name: tuple(pieces) for name, pieces in found.items()}

    @cached_property
    def grids(self) -> Mapping[str, Grid]:
        """How each layer is cut."""
        return {name: _grid(pieces) for name, pieces in self.layers.items()}

    def on(self, address: Range) -> tuple[Piece, ...]:
        """The pieces on one core."""
        return self._by_core[address]

    @cached_property
    def _by_core(self) -> Mapping[Range, tuple[Piece, ...]]:
        found: dict[Range, list[Piece]] = {address: [] for address in self.addresses}
        for piece in self.pieces:
            found[piece.chip, piece.core].append(piece)
        return {address: tuple(pieces) for address, pieces in found.items()}

    def taken(self, address: Range) -> Array:
        """What the pieces on one core take together, int64 `[7]` by `NAMES`."""
        return np.array([piece.resources for piece in self.on(address)], np.int64).sum(axis=0)

    def json(self) -> str:
        """The placement as text."""
        record = {
            "format": FORMAT,
            "target": self.target,
            "program": self.program,
            "chips": self.chips,
            "cores_per_chip": self.cores_per_chip,
            "measured": self.measured,
            "pieces": [_record(piece) for piece in self.pieces],
        }
        return json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, target: Target) -> Placement:
        """What `json` wrote, every piece and limit checked; ProgramError where something is wrong."""
        try:
            record = json.loads(text)
            if record["format"] != FORMAT:
                raise ValueError(f"its format is {record['format']!r}, not {FORMAT!r}")
            made = cls(
                target=str(record["target"]),
                program=str(record["program"]),
                chips=int(record["chips"]),
                cores_per_chip=int(record["cores_per_chip"]),
                measured=bool(record["measured"]),
                pieces=tuple(_piece(entry) for entry in record["pieces"]),
            )
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ProgramError(f"not a placement ({what}); place the program again") from error
        if problems := list(_problems(made, target)):
            listed = "\n".join(f"  - {problem}" for problem in problems)
            raise ProgramError(f"the placement breaks a rule; place the program again:\n{listed}")
        return made


def _record(piece: Piece) -> dict[str, Any]:
    values = dict(vars(piece))
    return values | {"resources": dict(zip(NAMES, piece.resources, strict=True))}


def _piece(entry: Mapping[str, Any]) -> Piece:
    resources = tuple(int(entry["resources"][name]) for name in NAMES)
    if min(resources) < 0:
        raise ValueError(f"{entry['layer']} takes less than nothing: {resources}")
    return Piece(
        layer=str(entry["layer"]),
        channels=_range(entry["channels"]),
        rows=_range(entry["rows"]),
        columns=_range(entry["columns"]),
        chip=int(entry["chip"]),
        core=int(entry["core"]),
        resources=resources,
        work=float(entry["work"]),
    )


def _range(values: Any) -> Range:
    start, stop = (int(value) for value in values)
    if not 0 <= start < stop:
        raise ValueError(f"[{start}, {stop}) is not a range of neurons")
    return start, stop


def _grid(pieces: tuple[Piece, ...]) -> Grid:
    axes = ("channels", "rows", "columns")
    bounds = [sorted({edge for piece in pieces for edge in getattr(piece, axis)}) for axis in axes]
    return Grid(*(tuple(edges) for edges in bounds))


def _problems(made: Placement, target: Target) -> Iterator[str]:
    if made.target != target.name:
        yield f"it is for {made.target}, not for {target.name}"
        return
    for name, pieces in made.layers.items():
        grid = _grid(pieces)
        boxes = [(p.channels, p.rows, p.columns) for p in pieces]
        if grid.pieces != len(boxes) or list(grid.boxes()) != boxes:
            yield f"{name}: its pieces do not cover it once, in order"
    core = capacity(target.limits)
    for address in made.addresses:
        chip, number = address
        if not (0 <= chip < made.chips and 0 <= number < made.cores_per_chip):
            yield f"there is no core {number} on chip {chip}"
        elif not core.fits(made.taken(address)):
            yield f"chip {chip}, core {number}: holds more than {target.title} allows"
