"""Compose linear operations: what one does after another, as one Linear or Conv2d.

Conv2d A, then Conv2d B is a Conv2d with kernel extent K_A + (K_B - 1) s_A (K dilated), stride s_A s_B
and padding p_A + p_B s_A, provided that B's padding sees only zeros: without B padding always,
otherwise where A's windows beyond the edge would miss the input (K_A <= s_A + p_A before it,
n_A s_A - p_A >= size after it, n_A its output size). Pooling is such an A or B. What moves, repeats and
sums values (Sparse) stays sparse with all that is no Linear. Whatever else is linear becomes a matrix
through the transpose of the convolution: W_B A = (A' W_B')'.
"""

from __future__ import annotations

import math
from functools import singledispatch

import numpy as np
from scipy.sparse import coo_array, csr_array

from avnir.errors import GraphError
from avnir.ir.geometry import correlate_adjoint
from avnir.ir.operation import Array, Operation, Shape
from avnir.ir.real import AvgPool2d, Conv2d, Delay, Flatten, Linear, Scale, SumPool2d
from avnir.ir.real_sparse import Sparse

MAX_MATRIX = 1 << 27
"""Entries of a composed matrix: 1 GiB in float64."""

Synapse = Linear | Conv2d | Sparse


@singledispatch
def after(op: Operation, first: Synapse | None, source: Shape, before: Shape) -> Synapse | None:
    """`op` (its bias left out) after `first`, as one operation on a source of shape `source`.

    None stands for the identity. `before` is the shape in which `op` sees what `first` makes;
    row-major reshapes are free, since a Linear and a layer of neurons take values in order.
    GraphError where no such form exists.
    """
    raise GraphError(f"{op.kind} is not linear and cannot be merged into a synapse; lower it first")


@after.register
def _(op: Flatten | Delay, first: Synapse | None, source: Shape, before: Shape) -> Synapse | None:
    return first


@after.register
def _(op: Scale, first: Synapse | None, source: Shape, before: Shape) -> Synapse | None:
    return scaled(first or identity(source, before), op.scale, source, before)


@after.register
def _(op: SumPool2d, first: Synapse | None, source: Shape, before: Shape) -> Synapse | None:
    return after(pool_as_conv(op, before[0]), first, source, before)


@after.register
def _(op: Linear, first: Synapse | None, source: Shape, before: Shape) -> Synapse | None:
    return matrix_after(op.weight.astype(np.float64), first, source)


@after.register
def _(op: Conv2d, first: Synapse | None, source: Shape, before: Shape) -> Synapse | None:
    plain = op.replace(weight=op.weight.astype(np.float64), bias=None)
    if first is None and source == before:
        return plain
    if isinstance(first, Conv2d) and first.output_shape(source) == before and composable(first, op, source):
        return conv_after(first, plain)
    if isinstance(first, Sparse):
        return sparse_of(conv_coordinates(plain, before) @ coordinates(first))
    return matrix_after(conv_matrix(op, before), first, source)


@after.register
def _(op: Sparse, first: Synapse | None, source: Shape, before: Shape) -> Synapse | None:
    if first is None:
        return op
    if isinstance(first, Linear):
        return Linear(weight=coordinates(op) @ first.weight)
    made = conv_coordinates(first, source) if isinstance(first, Conv2d) else coordinates(first)
    return sparse_of(coordinates(op) @ made)


def identity(source: Shape, before: Shape) -> Synapse:
    """Each value of `source`, seen as `before`, to itself.

    A 1x1 convolution per channel for (C, H, W), a unit matrix for a row, else a Sparse.
    """
    count = math.prod(before)
    if len(before) == 3 and source == before:
        return Conv2d(weight=np.ones((before[0], 1, 1, 1)), groups=before[0])
    if len(before) == 1:
        check_size(count, count)
        return Linear(weight=np.eye(count))
    return Sparse.moved(count, np.arange(count))


def pool_as_conv(op: SumPool2d, channels: int) -> Conv2d:
    """Pooling as a convolution per channel, exactly."""
    value = 1.0 / math.prod(op.kernel) if isinstance(op, AvgPool2d) else 1.0
    weight = np.full((channels, 1, *op.kernel), value)
    return Conv2d(weight=weight, stride=op.stride, padding=op.padding, groups=channels)


def scaled(first: Synapse, scale: Array, source: Shape, before: Shape) -> Synapse:
    """scale * first(x), `scale` broadcasting to `before`; a matrix where factors differ within a channel."""
    factor = np.broadcast_to(np.asarray(scale, np.float64), before)
    flat = factor.reshape(-1, 1)
    if isinstance(first, Linear):
        return Linear(weight=first.weight * flat)
    if isinstance(first, Sparse):
        return first.replace(weight=first.weight * flat[first.target, 0])
    per_channel = factor.reshape(len(first.weight), -1)
    if np.all(per_channel == per_channel[:, :1]):
        return first.replace(weight=first.weight * per_channel[:, 0].reshape(-1, 1, 1, 1), bias=None)
    return Linear(weight=conv_matrix(first, source) * flat)


def composable(first: Conv2d, second: Conv2d, source: Shape) -> bool:
    """Whether one convolution does both: the condition of the module's docstring, on both axes."""
    sizes = first.output_shape(source)[1:]
    return all(
        second.padding[axis] == 0
        or (
            extent(first, axis) <= first.stride[axis] + first.padding[axis]
            and sizes[axis] * first.stride[axis] - first.padding[axis] >= source[1 + axis]
        )
        for axis in (0, 1)
    )


def extent(op: Conv2d, axis: int) -> int:
    """How many input positions one window spans."""
    return (op.weight.shape[2 + axis] - 1) * op.dilation[axis] + 1


def conv_after(first: Conv2d, second: Conv2d) -> Conv2d:
    """`second` after `first` as one convolution with dilation 1; call only where `composable`."""
    inner, outer, groups = _matched(first, second)
    taps_in = inner.shape[1]
    size = [extent(first, a) + (extent(second, a) - 1) * first.stride[a] for a in (0, 1)]
    kernel = np.zeros((groups, len(outer) // groups, taps_in, *size))
    outer = outer.reshape(groups, -1, *outer.shape[1:])
    inner = inner.reshape(groups, -1, *inner.shape[1:])
    for i in range(second.weight.shape[2]):
        for j in range(second.weight.shape[3]):
            top, left = i * second.dilation[0] * first.stride[0], j * second.dilation[1] * first.stride[1]
            rows = slice(top, top + extent(first, 0), first.dilation[0])
            columns = slice(left, left + extent(first, 1), first.dilation[1])
            kernel[..., rows, columns] += np.einsum("gom,gmchw->gochw", outer[..., i, j], inner)
    stride = (first.stride[0] * second.stride[0], first.stride[1] * second.stride[1])
    padding = [first.padding[a] + second.padding[a] * first.stride[a] for a in (0, 1)]
    weight = kernel.reshape(-1, taps_in, *size)
    return Conv2d(weight=weight, stride=stride, padding=(padding[0], padding[1]), groups=groups)


def _matched(first: Conv2d, second: Conv2d) -> tuple[Array, Array, int]:
    """Both kernels over a common number of groups: the inputs that share an output must share a group."""
    if second.groups == first.groups:
        return first.weight, second.weight, first.groups
    common = math.gcd(first.groups, second.groups)
    return (
        ungrouped(first.weight, first.groups, common),
        ungrouped(second.weight, second.groups, common),
        common,
    )


def ungrouped(weight: Array, groups: int, wanted: int) -> Array:
    """The same convolution with `wanted` groups, a divisor of `groups`: zero blocks off the diagonal."""
    per_wanted = groups // wanted
    rows, columns = len(weight) // groups, weight.shape[1]
    full = np.zeros((len(weight), columns * per_wanted, *weight.shape[2:]))
    for g in range(groups):
        left = (g % per_wanted) * columns
        full[g * rows : (g + 1) * rows, left : left + columns] = weight[g * rows : (g + 1) * rows]
    return full


def matrix_after(matrix: Array, first: Synapse | None, source: Shape) -> Linear:
    """`matrix` after `first`: W A, row by row through the transpose of A."""
    check_size(len(matrix), math.prod(source))
    if first is None:
        return Linear(weight=matrix)
    if isinstance(first, Linear):
        return Linear(weight=matrix @ first.weight)
    if isinstance(first, Sparse):
        return Linear(weight=matrix @ coordinates(first))
    rows = matrix.reshape(len(matrix), *first.output_shape(source))
    return Linear(weight=_pulled_back(rows, first, source))


def conv_matrix(op: Conv2d, before: Shape) -> Array:
    """A convolution of inputs of shape `before` as a matrix `[out, in]`."""
    shape = op.output_shape(before)
    count = math.prod(shape)
    check_size(count, max(count, math.prod(before)))
    return _pulled_back(np.eye(count).reshape(count, *shape), op, before)


def coordinates(op: Sparse) -> csr_array:
    """The map as a sparse matrix `[out, in]`."""
    return csr_array((op.weight.astype(np.float64), (op.target, op.source)), shape=op.size)


def conv_coordinates(op: Conv2d, before: Shape) -> csr_array:
    """A convolution of inputs of shape `before` as a sparse matrix `[out, in]`: one entry for each tap."""
    channels, height, width = op.output_shape(before)
    per_group, inputs = channels // op.groups, op.weight.shape[1]
    out, tap, i, j, y, x = np.indices((channels, *op.weight.shape[1:], height, width), np.int32)
    row = y * op.stride[0] - op.padding[0] + i * op.dilation[0]
    column = x * op.stride[1] - op.padding[1] + j * op.dilation[1]
    weight = np.broadcast_to(op.weight[..., None, None], out.shape)
    inside = (row >= 0) & (row < before[1]) & (column >= 0) & (column < before[2]) & (weight != 0)
    source = ((out // per_group * inputs + tap) * before[1] + row) * before[2] + column
    target = (out * height + y) * width + x
    size = (channels * height * width, math.prod(before))
    return csr_array(coo_array((weight[inside], (target[inside], source[inside])), shape=size))


def sparse_of(matrix: csr_array) -> Sparse:
    """A sparse matrix `[out, in]` as an operation; entries of 0 are left out."""
    found = coo_array(matrix)
    rows, columns = matrix.shape
    return Sparse.of((rows, columns), found.col, found.row, found.data)


def _pulled_back(rows: Array, op: Conv2d, before: Shape) -> Array:
    weight = op.weight.astype(np.float64)
    size = (before[1], before[2])
    back = correlate_adjoint(rows, weight, size, op.stride, op.padding, op.dilation, op.groups)
    return back.reshape(len(rows), -1)


def made_shape(op: Synapse, source: Shape) -> Shape:
    """The shape that a synapse makes of a source, which a Linear sees flattened."""
    return op.output_shape(source if isinstance(op, Conv2d) else (math.prod(source),))


def flattened(op: Synapse, source: Shape, sparse: bool = False) -> Linear | Sparse:
    """The same synapse on the flattened source; a convolution as a matrix, or `sparse`."""
    if not isinstance(op, Conv2d):
        return op
    return sparse_of(conv_coordinates(op, source)) if sparse else Linear(weight=conv_matrix(op, source))


def check_size(rows: int, columns: int) -> None:
    """GraphError where a matrix of that size is too large to make."""
    if rows * columns > MAX_MATRIX:
        raise GraphError(
            f"it needs a matrix of {rows} x {columns}, more than {MAX_MATRIX} entries; "
            "put a spiking layer between it and the layer before"
        )
