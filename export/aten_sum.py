"""Sums and means: over axes of a sample, and over the steps of a window.

A sum over a sample's axes is a Sparse of ones, over the picture or sequence a window as large as it
(`aten_pool`). A sum over the steps is a WindowSum. A mean is the sum, then one Scale by 1 / n in float64: of
what float32 holds it is, rounded once, the quotient that PyTorch computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from avnir.export.aten_arguments import value_of
from avnir.export.aten_move import in_a_row, reshaped
from avnir.export.aten_parts import sample_axis
from avnir.export.aten_rows import to_rows
from avnir.export.builder import Call, Handler, Refused, Value
from avnir.export.remedies import refuse
from avnir.export.time_shift import OPERATOR as DELAYED
from avnir.ir import real
from avnir.ir.real_graded import WindowSum
from avnir.ir.real_sparse import Sparse


def _mean(call: Call) -> Value:
    return _over_axes(call, real.AvgPool2d)


def _sum(call: Call) -> Value:
    return _over_axes(call, real.SumPool2d)


def _over_axes(call: Call, pool: type[real.SumPool2d]) -> Value:
    x, dims = value_of(call, "self"), call["dim"] or ()
    axes, time = summed_axes(call, x, dims)
    if call.result.dtype != torch.float32:
        raise refuse(str(call.node.target))
    shape, window = call.builder.layout(call.result.shape)
    if not time and len(x.shape) in (2, 3) and axes <= set(range(1, len(x.shape))):
        return _pooled(call, x, axes, pool)
    count = math.prod(x.shape[axis] for axis in axes) * (call.builder.steps if time else 1)
    total = summed(call, x, axes)
    if time:
        total = over_steps(call, total)
    if pool is real.AvgPool2d and count > 1:
        total = call.emit(real.Scale(np.array(1 / count)), total)
    total = reshaped(call, total, shape)
    return Value(total.producers, shape, window)


def _pooled(call: Call, x: Value, axes: set[int], pool: type[real.SumPool2d]) -> Value:
    """The mean or sum over spatial axes: one window over all of them, then the shape that PyTorch gives."""
    sizes = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    kernel = (sizes[1], sizes[2]) if len(x.shape) == 3 else (1, sizes[1])
    pooled = call.emit(pool(kernel, kernel), x if len(x.shape) == 3 else to_rows(call, x))
    wanted, _ = call.builder.layout(call.result.shape)
    return pooled if pooled.shape == wanted else call.emit(real.Flatten(wanted), pooled)


def summed_axes(call: Call, x: Value, dims: Sequence[int]) -> tuple[set[int], bool]:
    """The axes of a sample among a tensor's, and whether the steps are; Refused for the batch or none."""
    count = len(x.shape) + (2 if x.window else 1)
    places = {dim % count for dim in dims}
    time = x.window and 0 in places
    axes = {sample_axis(x, dim) for dim in places if not (time and dim == 0)}
    if not places or None in axes:
        raise refuse(str(call.node.target))
    return {axis for axis in axes if axis is not None}, time


def summed(call: Call, x: Value, axes: set[int]) -> Value:
    """The sum over axes of a sample, which are left out."""
    kept = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    inputs, outputs = math.prod(x.shape), math.prod(kept)
    if inputs != outputs:
        ones = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        target = np.broadcast_to(np.arange(outputs).reshape(ones), x.shape).reshape(-1)
        op = Sparse.of((outputs, inputs), np.arange(inputs), target, np.ones(inputs))
        x = call.emit(op, in_a_row(call, x), label="sum")
    return reshaped(call, x, kept)


def over_steps(call: Call, x: Value, running: bool = False) -> Value:
    """The sum over the window in each step, or up to the step."""
    if call.builder.is_held(x):
        raise Refused(
            "sums over the steps what is a sum over them already, the same in each",
            "Multiply it by a constant instead",
        )
    return call.emit(
        WindowSum(call.builder.steps, running), x, label="running_sum" if running else "window_sum"
    )


def _cumsum(call: Call) -> Value:
    x = value_of(call, "self")
    axes, _ = summed_axes(call, x, [call["dim"]])
    if axes or call.result.dtype != torch.float32:
        raise Refused(
            "a running sum along an axis of the sample", "Running sums are over the steps: x.cumsum(0)"
        )
    return over_steps(call, x, running=True)


def _delayed(call: Call) -> Value:
    x, steps = value_of(call, "x"), call["steps"]
    if not call.builder.window or not x.window:
        raise Refused(
            "avnir.delayed of what has no axis of steps",
            "Give it [T, B, ...], in a model saved with time='window'; in a model of one step, let "
            "forward take what the step before returned, as a state",
        )
    return call.emit(real.Delay(x.shape, steps), x, label="delayed")


HANDLERS: Mapping[str, Handler] = {
    "aten.mean.dim": _mean,
    "aten.sum.dim_IntList": _sum,
    "aten.cumsum.default": _cumsum,
    DELAYED: _delayed,
}
