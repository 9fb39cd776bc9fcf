"""Shapes and sums of convolutions: one definition for both levels.

A window of `kernel` positions, `dilation` apart, moves by `stride` over an input with `padding` zeros
on each side of both axes; windows that do not fit drop (floor).
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from avnir.errors import GraphError
from avnir.ir.operation import Array, Operation, Shape

Pair = tuple[int, int]


class Windowed(Protocol):
    """An operation that moves a window over (C, H, W)."""

    @property
    def kind(self) -> str: ...
    @property
    def stride(self) -> Pair: ...
    @property
    def padding(self) -> Pair: ...
    @property
    def dilation(self) -> Pair: ...


def conv_size(op: Windowed, shape: Shape, kernel: Shape) -> Pair:
    """(H, W) after the windows; GraphError where not one window fits."""
    height, width = (
        (shape[1 + axis] + 2 * op.padding[axis] - op.dilation[axis] * (kernel[axis] - 1) - 1)
        // op.stride[axis]
        + 1
        for axis in (0, 1)
    )
    if height < 1 or width < 1:
        raise GraphError(f"{op.kind} with a {kernel[0]}x{kernel[1]} window makes nothing of an input {shape}")
    return height, width


def correlate(x: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """Cross-correlation of `x` `[B, C_in, H, W]` with `weight` `[C_out, C_in/groups, kH, kW]`.

    Works in whatever dtype the operands share: float64 on the real level, int64 on the integer level.
    """
    (ph, pw), (sh, sw), (dh, dw) = padding, stride, dilation
    kh, kw = weight.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    height = (padded.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (padded.shape[3] - dw * (kw - 1) - 1) // sw + 1
    per_group = weight.shape[0] // groups
    grouped = padded.reshape(len(x), groups, -1, *padded.shape[2:])
    kernels = weight.reshape(groups, per_group, *weight.shape[1:])
    total = np.zeros((len(x), groups, per_group, height * width), np.result_type(x, weight))
    for i in range(kh):
        for j in range(kw):
            window = grouped[..., i * dh :: sh, j * dw :: sw][..., :height, :width]
            total += kernels[..., i, j] @ window.reshape(*window.shape[:3], -1)
    return total.reshape(len(x), -1, height, width)


def correlate_adjoint(
    y: Array, weight: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """The transpose of `correlate`: `[B, C_out, H', W']` to `[B, C_in, *size]`, so <y, Ax> = <A'y, x>."""
    (ph, pw), (sh, sw), (dh, dw) = padding, stride, dilation
    per_group = weight.shape[0] // groups
    flat = y.reshape(len(y), groups, per_group, -1)
    kernels = weight.reshape(groups, per_group, *weight.shape[1:])
    height, width = size[0] + 2 * ph, size[1] + 2 * pw
    total = np.zeros((len(y), groups, weight.shape[1], height, width), np.result_type(y, weight))
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            part = (kernels[..., i, j].swapaxes(1, 2) @ flat).reshape(*total.shape[:3], *y.shape[2:])
            rows = slice(i * dh, i * dh + sh * y.shape[2], sh)
            total[..., rows, j * dw : j * dw + sw * y.shape[3] : sw] += part
    return total.reshape(len(y), -1, height, width)[:, :, ph : ph + size[0], pw : pw + size[1]]


def reshaped(op: Operation, shape: Shape, wanted: Shape) -> Shape:
    """`wanted`, if it holds as many values as `shape`."""
    if math.prod(shape) != math.prod(wanted):
        raise GraphError(f"{op.kind} to {wanted} needs {math.prod(wanted)} values, but its input is {shape}")
    return wanted


def broadcast_checked(op: Operation, name: str, parameter: Array, shape: Shape) -> Shape:
    """`shape`, if `parameter` broadcasts to it."""
    try:
        fits = np.broadcast_shapes(parameter.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise GraphError(f"{op.kind}.{name} of shape {parameter.shape} does not fit an input {shape}")
    return shape
