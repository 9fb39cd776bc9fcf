"""Figures as text, the same everywhere in the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from avnir.ir.operation import Shape

BOUND = "\u00a0"
"""Between a number and its unit: no line ends there."""
TIMES = " \u00d7 "
MINUS = "\u2212"
DASH = "\u2013"
LONG = 30
"""Characters of a cell that may take several lines."""


@dataclass(frozen=True)
class Column:
    """A table's column; its `kind` is `number`, `long` for text that needs room, or empty."""

    title: str
    kind: str


@dataclass(frozen=True)
class Table:
    """A table of text."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


def table(caption: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table whose kinds of columns are told by their cells."""
    listed = tuple(tuple(row) for row in rows)
    columns = (Column(title, _kind([row[i] for row in listed])) for i, title in enumerate(head))
    return Table(caption, tuple(columns), listed)


def _kind(cells: Sequence[str]) -> str:
    if all(cell[:1].isdigit() or cell[:1] in ("-", "+", MINUS, DASH) for cell in cells):
        return "number"
    return "long" if max(map(len, cells)) > LONG else ""


def percent(share: float, digits: int = 2) -> str:
    """Percent, cut rather than rounded, so that 100 means all."""
    return f"{math.floor(share * 10 ** (digits + 2) + 1e-9) / 10**digits:.{digits}f}{BOUND}%"


def rounded(share: float, digits: int = 0) -> str:
    """Percent, rounded: for what adds up to 100."""
    return f"{100 * share:.{digits}f}{BOUND}%"


def whole(count: float) -> str:
    """A count with separators, without decimals."""
    return f"{count:,.0f}".replace("-", MINUS)


def counted(number: int, what: str) -> str:
    """A count with its noun."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def duration(nanoseconds: float) -> str:
    """A time in the unit that leaves one to three digits before the point."""
    for unit, scale in (("ns", 1.0), ("µs", 1e3), ("ms", 1e6)):
        if nanoseconds < 1000 * scale:
            return f"{nanoseconds / scale:.{0 if unit == 'ns' else 1}f}{BOUND}{unit}"
    return f"{nanoseconds / 1e9:.2f}{BOUND}s"


def size(shape: Shape) -> str:
    """A shape: its sizes with times signs between them."""
    return TIMES.join(map(str, shape)) or "1"


def signed(change: int) -> str:
    """A change with its sign; 0 has none."""
    return f"+{change:,}" if change > 0 else whole(change)


STAGES = {
    "model": "the recorded model",
    "snntorch": "snnTorch",
    "graph": "the exported graph",
    "integer": "the chip's integers",
    "cpu": "the CPU engine",
    "gpu": "the GPU engine",
    "lava": "Lava",
    "lava-runtime": "Lava's runtime",
    "loihi2": "Loihi 2",
    "onnxruntime": "ONNX Runtime",
    "interpreter": "the integer interpreter",
}
"""What the stages of a verification are called in a sentence."""


def called(stage: str) -> str:
    """A stage's name in a sentence; other backends are called as they are."""
    return STAGES.get(stage, stage)


def listed(names: Iterable[str]) -> str:
    """Names in a sentence: a, b and c."""
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last
