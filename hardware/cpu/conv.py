"""Convolution: one program node, laid out for both of its kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.hardware.cpu.density import density, exact_in_float
from avnir.hardware.cpu.kernels_conv import add_messages, add_spikes
from avnir.ir import integer
from avnir.ir.geometry import conv_size
from avnir.ir.operation import Array, Shape

DENSE_FROM = 0.4
"""Density from which products of float32 matrices are faster than scattering spikes; measured between
0.15 (stride 2) and 0.8 (2 channels, or 64 groups) on one AVX-512 core."""


@dataclass(frozen=True)
class ConvStage:
    """`weight`, `out_row`, `runs`: see `avnir.hardware.cpu.kernels_conv`; `size` (H', W')."""

    op: integer.Conv
    shape: Shape
    size: tuple[int, int]
    weight: Array
    out_row: Array
    runs: Array

    @classmethod
    def plan(cls, op: integer.Conv, shape: Shape) -> ConvStage:
        """Lay out weights and tables for inputs of `shape`, (C_in, H, W)."""
        size = conv_size(op, shape, op.weight.shape[2:])
        columns = reached(shape[2], op.weight.shape[3], op.stride[1], op.padding[1], op.dilation[1], size[1])
        return cls(
            op=op,
            shape=shape,
            size=size,
            weight=_by_input(op),
            out_row=reached(
                shape[1], op.weight.shape[2], op.stride[0], op.padding[0], op.dilation[0], size[0]
            ),
            runs=runs_of(columns[:, ::-1]),
        )

    @cached_property
    def float_weight(self) -> Array:
        """`[kH, kW, groups, C_out/groups, C_in/groups]`, for dense arithmetic."""
        out, channels, height, width = self.op.weight.shape
        grouped = self.op.weight.reshape(self.op.groups, out // self.op.groups, channels, height, width)
        return np.ascontiguousarray(grouped.transpose(3, 4, 0, 1, 2), np.float32)

    @cached_property
    def worst_row(self) -> int:
        """The largest sum of |weight| of an output channel."""
        return int(np.abs(self.op.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max())

    def __call__(self, x: Array) -> Array:
        """Sums, int32 `[R, C_out * H' * W']` wrapped to 24 bits, of `x` `[R, C_in * H * W]`."""
        if density(x) >= DENSE_FROM and exact_in_float(x, self.worst_row):
            return self._dense(x)
        height, width = self.size
        out = np.empty((len(x), len(self.op.weight) * height * width), np.int32)
        sizes = np.array([self.op.groups, width, height * width])
        kernel = add_spikes if x.dtype == np.uint8 else add_messages
        kernel(x, self.weight, self.out_row, self.runs, sizes, self.op.exponent, out)
        return out

    def _dense(self, x: Array) -> Array:
        """A product of matrices for each place in the kernel."""
        (ph, pw), (sh, sw), (dh, dw) = self.op.padding, self.op.stride, self.op.dilation
        kernel_height, kernel_width, groups, per_group, _ = self.float_weight.shape
        height, width = self.size
        frame = x.astype(np.float32).reshape(len(x), *self.shape)
        padded = np.pad(frame, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        total = np.zeros((len(x), groups, per_group, height * width), np.float32)
        for i in range(kernel_height):
            for j in range(kernel_width):
                window = padded[:, :, i * dh :: sh, j * dw :: sw][:, :, :height, :width]
                total += self.float_weight[i, j] @ window.reshape(len(x), groups, -1, height * width)
        return wrapped24(total.astype(np.int32).reshape(len(x), -1), self.op.exponent)


def wrapped24(total: Array, exponent: int) -> Array:
    """`total << exponent` in two's complement of 24 bits, in place: the upper 24 of 32 bits, moved back."""
    np.left_shift(total, exponent + 8, out=total)
    return np.right_shift(total, 8, out=total)


def reached(length: int, kernel: int, stride: int, padding: int, dilation: int, outputs: int) -> Array:
    """For each input position and kernel place the output position that joins them, or -1.

    int32 `[length, kernel]`: output o sees input `o stride - padding + place dilation` at `place`.
    """
    start = np.arange(length)[:, None] + padding - dilation * np.arange(kernel)
    fits = (start >= 0) & (start % stride == 0) & (start < outputs * stride)
    return np.where(fits, start // stride, -1).astype(np.int32)


def runs_of(columns: Array) -> Array:
    """Stretches of neighbouring output columns, int32 `[W, kW, 3]`, from `columns` `[W, kW]`, -1 for none.

    Each is (first output column, first kernel column, number); rows with number 0 fill the rest.
    """
    runs = np.zeros((*columns.shape, 3), np.int32)
    for table, found in zip(columns, runs, strict=True):
        last = -1
        for place in np.flatnonzero(table >= 0):
            joins = last >= 0 and found[last, 1] + found[last, 2] == place
            if joins and found[last, 0] + found[last, 2] == table[place]:
                found[last, 2] += 1
            else:
                last += 1
                found[last] = table[place], place, 1
    return runs


def _by_input(op: integer.Conv) -> Array:
    """int32 `[C_in, kH, kW * per_group]` with the kernel's columns reversed: outputs then ascend."""
    out, channels, height, width = op.weight.shape
    grouped = op.weight.reshape(op.groups, out // op.groups, channels, height, width)[..., ::-1]
    by_input = np.ascontiguousarray(grouped.transpose(0, 2, 3, 4, 1), np.int32)
    return by_input.reshape(op.groups * channels, height, -1)
