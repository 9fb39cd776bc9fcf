"""Convolutions in the form that readers of NIR understand, and back.

nir 1.0.8 computes both sides of a convolution's output from the kernel's height, and takes the channels
of its input from `weight.shape[1]` (nir/ir/conv.py), so that it refuses kernels that are not square and
groups. Both have an exact equal without: zeros around the kernel, with the padding moved by as many
positions; and a dense weight with zeros between the groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from avnir.errors import GraphError
from avnir.ir.geometry import Pair
from avnir.ir.operation import Array, Shape
from avnir.ir.real import Conv2d


def square_form(op: Conv2d, shape: Shape) -> Conv2d | None:
    """The same map of an input `shape` with a square kernel and one group; None where there is none.

    There is none where height and width differ by an odd number, unless the stride leaves room.
    """
    dense = op if op.groups == 1 else op.replace(weight=dense_weight(op.weight, op.groups), groups=1)
    height, width = dense.weight.shape[2:]
    if height == width:
        return dense
    return next(_widened(dense, shape), None)


def _widened(op: Conv2d, shape: Shape) -> Iterator[Conv2d]:
    """Equal convolutions with a kernel one side of which grew, the most centred first."""
    kernel = op.weight.shape[2:]
    axis = int(np.argmin(kernel))
    extra = max(kernel) - min(kernel)
    for before in sorted(range(extra + 1), key=lambda n: abs(2 * n - extra)):
        zeros, padding = [(0, 0)] * 4, list(op.padding)
        zeros[2 + axis] = (before, extra - before)
        padding[axis] += before * op.dilation[axis]
        wide = op.replace(weight=np.pad(op.weight, zeros), padding=(padding[0], padding[1]))
        with suppress(GraphError):  # of a kernel that is now larger than its input
            if wide.output_shape(shape) == op.output_shape(shape):
                yield wide


def narrowed(op: Conv2d, kernel: Pair, padding: Pair, groups: int) -> Conv2d:
    """The convolution of which `op` is the square form; GraphError where the figures do not fit."""
    rows, columns = (
        _inside(op.weight.shape[2 + axis], kernel[axis], op.padding[axis] - padding[axis], op.dilation[axis])
        for axis in (0, 1)
    )
    if groups < 1 or op.weight.shape[0] % groups or op.weight.shape[1] % groups:
        raise GraphError(f"a weight {op.weight.shape} does not hold {groups} groups")
    weight = op.weight[:, :, rows, columns]
    return op.replace(weight=_grouped(weight, groups), padding=padding, groups=groups)


def _inside(size: int, kernel: int, moved: int, dilation: int) -> slice:
    before = moved // dilation
    if kernel < 1 or moved < 0 or moved % dilation or before + kernel > size:
        raise GraphError(f"a kernel of {size} does not hold one of {kernel} moved by {moved}")
    return slice(before, before + kernel)


def dense_weight(weight: Array, groups: int) -> Array:
    """`[C_out, C_in/groups, ...]` as `[C_out, C_in, ...]` with zeros where groups do not meet."""
    rows, columns, *kernel = weight.shape
    blocks = np.zeros((groups, rows // groups, groups, columns, *kernel), weight.dtype)
    each = np.arange(groups)
    blocks[each, :, each] = weight.reshape(groups, rows // groups, columns, *kernel)
    return blocks.reshape(rows, groups * columns, *kernel)


def _grouped(dense: Array, groups: int) -> Array:
    """What `dense_weight` was made from."""
    rows, columns, *kernel = dense.shape
    blocks = dense.reshape(groups, rows // groups, groups, columns // groups, *kernel)
    each = np.arange(groups)
    return blocks[each, :, each].reshape(rows, columns // groups, *kernel)
