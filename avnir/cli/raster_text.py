"""Spikes in the terminal: a picture of characters, steps to the right and neurons down."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avnir.ir.operation import Array

SHORT = 80
"""Steps up to which each has a column of its own."""
ROWS = 40
"""Lines of a picture."""
HALVES = (" ", "\u2580", "\u2584", "\u2588")
"""No neuron of two fired, the upper one, the lower one, both."""
BRAILLE = 0x2800
"""Unicode's block of braille patterns: dots 1 to 8 are bits 0 to 7."""
DOTS = np.array([[0, 3], [1, 4], [2, 5], [6, 7]])
"""The bit of the dot in each of four rows and two columns."""
GAP = 7
"""Columns before the picture, for the number of a line's first neuron."""


def neurons_a_line(steps: int) -> int:
    """How many neurons share a line of characters."""
    return 2 if steps <= SHORT else 4


def raster(fired: Array, first_neuron: int = 0, first_step: int = 0) -> Iterator[str]:
    """Lines for `fired`, bool `[T, neurons]`, numbered from the first neuron and step; then the axis.

    Up to SHORT steps a column is a step and a line two neurons (half blocks), else a character is two
    steps by four neurons (braille).
    """
    draw, wide = (_halves, 1) if len(fired) <= SHORT else (_braille, 2)
    tall = neurons_a_line(len(fired))
    for number, line in enumerate(draw(fired)):
        yield f"{first_neuron + tall * number:>{GAP - 2}} \u2502{line}"
    yield from _axis(len(fired), wide, first_step)


def _padded(fired: Array, steps: int, neurons: int) -> Array:
    """With silence added, so that both axes are whole multiples."""
    return np.pad(fired, [(0, -len(fired) % steps), (0, -fired.shape[1] % neurons)])


def _halves(fired: Array) -> Iterator[str]:
    pairs = _padded(fired, 1, 2).T.reshape(-1, 2, len(fired)).astype(int)
    return ("".join(HALVES[i] for i in upper + 2 * lower) for upper, lower in pairs)


def _braille(fired: Array) -> Iterator[str]:
    padded = _padded(fired, 2, 4)
    cells = padded.reshape(len(padded) // 2, 2, -1, 4).transpose(2, 0, 3, 1)
    codes = (cells.astype(int) << DOTS).sum(axis=(2, 3))
    return ("".join(chr(BRAILLE + code) for code in row) for row in codes)


def _axis(steps: int, wide: int, first: int) -> Iterator[str]:
    """A line, and the number of every tenth column's step below it."""
    columns = -(-steps // wide)
    marks = range(0, columns, 10)
    yield " " * (GAP - 1) + "\u2514" + "".join("\u2534" if i in marks else "\u2500" for i in range(columns))
    labels = "".join(f"{first + wide * i:<10}" for i in marks)
    yield " " * GAP + labels.rstrip() + "  step"
