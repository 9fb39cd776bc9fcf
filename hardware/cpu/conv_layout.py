"""What an event of a convolution adds where, worked out once: see `avnir.hardware.cpu.kernels_conv`.

An input position is seen by some output rows, each through a kernel row, and by some output columns, each
through a kernel column. From the first to the last of these columns is a stretch; columns between them that
do not see it have zeros as taps. With many groups, stretches would be mostly zeros: each is one column then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avnir.hardware.cpu.kernels_conv import REGISTER, Layout
from avnir.ir import integer
from avnir.ir.operation import Array, Shape

SPAN = REGISTER // 2
"""Sums of 16 bits that are added at once."""
ZEROS = 2 * SPAN
"""Stretches up to this long are made of all groups: as fast as several of one column each, or faster."""


def layout_of(op: integer.Conv, shape: Shape, size: tuple[int, int]) -> Layout:
    """The layout for inputs of `shape`, (C_in, H, W), and outputs of `size`, (H', W')."""
    rows, columns = (
        reached(length, kernel, *geometry, outputs)
        for length, kernel, geometry, outputs in zip(
            shape[1:],
            op.weight.shape[2:],
            zip(op.stride, op.padding, op.dilation, strict=True),
            size,
            strict=True,
        )
    )
    first, patterns, kinds = stretches(columns)
    if op.groups == 1 or patterns.shape[1] * len(op.weight) <= ZEROS:
        taps = _taps(ungrouped(op), patterns)
        offset = np.zeros(shape[0], np.int32)
        begins, which = [first], [kinds]
    else:
        taps = _taps(_by_group(op), np.arange(columns.shape[1])[:, None])
        per_group = len(op.weight) // op.groups
        offset = np.arange(shape[0], dtype=np.int32) // op.weight.shape[1] * per_group
        begins, which = list(columns.T), [np.full(len(columns), j) for j in range(columns.shape[1])]
    kinds_of_row = (taps.shape[1] - 1) // rows.shape[1]
    target, chosen = _tables(rows, begins, which, size[1], len(op.weight), kinds_of_row)
    stretch = np.arange(shape[0], dtype=np.int32)[:, None, None] * taps.shape[1] + chosen
    places = np.stack([offset[:, None, None] + target, stretch * taps.shape[2]], axis=-1)
    return taps.reshape(-1, taps.shape[2]), places.reshape(len(offset) * len(target), -1)


def _tables(
    rows: Array, begins: Sequence[Array], which: Sequence[Array], width: int, channels: int, kinds: int
) -> tuple[Array, Array]:
    """Where the stretches of an input position begin, and which they are, each int32 `[H * W, most]`.

    From the output rows and first output columns, -1 for none.
    """
    target = np.zeros((len(rows), len(begins[0]), rows.shape[1] * len(begins)), np.int32)
    chosen = np.full_like(target, rows.shape[1] * kinds)
    for y, reaches in enumerate(rows):
        for x in range(len(begins[0])):
            found = [
                ((row * width + begin[x]) * channels, i * kinds + kind[x])
                for i, row in enumerate(reaches)
                for begin, kind in zip(begins, which, strict=True)
                if row >= 0 and begin[x] >= 0
            ]
            target[y, x, : len(found)] = [place for place, _ in found]
            chosen[y, x, : len(found)] = [kind for _, kind in found]
    most = max(1, int((chosen < rows.shape[1] * kinds).sum(axis=2).max()))
    flat = (len(rows) * len(begins[0]), -1)
    return tuple(np.ascontiguousarray(table[..., :most]).reshape(flat) for table in (target, chosen))  # type: ignore[return-value]


def stretches(columns: Array) -> tuple[Array, Array, Array]:
    """Of `columns` `[W, kW]`, the output columns that kernel columns join to an input column, or -1:

    the first output column of each input column or -1, `[W]`; the different patterns `[kinds, longest]`: the
    kernel column that meets each output column from the first on, or -1; and which is that of each, `[W]`.
    """
    seen = columns >= 0
    first = np.where(seen.any(axis=1), np.where(seen, columns, columns.max(initial=0)).min(axis=1), -1)
    longest = max(1, int((columns.max(axis=1) - first).max()) + 1)
    found = np.full((len(columns), longest), -1)
    for x, j in np.argwhere(seen):
        found[x, columns[x, j] - first[x]] = j
    patterns, kinds = np.unique(found, axis=0, return_inverse=True)
    return first, patterns, kinds.reshape(-1)


def _taps(weight: Array, patterns: Array) -> Array:
    """int16 `[C_in, kH * kinds + 1, length]` of `weight` `[C_out, C_in, kH, kW]` for patterns of its columns;

    the last is all zeros.
    """
    out, channels, height, _ = weight.shape
    kinds, longest = patterns.shape
    chosen = np.where(patterns >= 0, weight[..., patterns], 0)
    laid_out = chosen.transpose(1, 2, 3, 4, 0).reshape(channels, height * kinds, longest * out)
    taps = np.zeros((channels, height * kinds + 1, -(-longest * out // SPAN) * SPAN), np.int16)
    taps[:, :-1, : longest * out] = laid_out
    return taps


def ungrouped(op: integer.Conv) -> Array:
    """`[C_out, C_in, kH, kW]`, zeros between different groups."""
    whole = np.zeros((len(op.weight), op.weight.shape[1] * op.groups, *op.weight.shape[2:]), np.int8)
    per_group, channels = len(op.weight) // op.groups, op.weight.shape[1]
    for group in range(op.groups):
        outputs = slice(group * per_group, (group + 1) * per_group)
        whole[outputs, group * channels : (group + 1) * channels] = op.weight[outputs]
    return whole


def _by_group(op: integer.Conv) -> Array:
    """`[C_out / groups, C_in, kH, kW]`: of each input channel the outputs of its group."""
    out, channels, height, width = op.weight.shape
    grouped = op.weight.reshape(op.groups, out // op.groups, channels, height, width)
    return grouped.transpose(1, 0, 2, 3, 4).reshape(out // op.groups, -1, height, width)


def reached(length: int, kernel: int, stride: int, padding: int, dilation: int, outputs: int) -> Array:
    """For each input position and kernel place the output position that joins them, or -1.

    int32 `[length, kernel]`: output o sees input `o stride - padding + place dilation` at `place`.
    """
    start = np.arange(length)[:, None] + padding - dilation * np.arange(kernel)
    fits = (start >= 0) & (start % stride == 0) & (start < outputs * stride)
    return np.where(fits, start // stride, -1).astype(np.int32)
