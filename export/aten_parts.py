"""Slices, splits and concatenations: parts of a sample moved by weights of zeros and ones, exactly.

Along the channels of (C, H, W), or the only axis of (N,), out = S x with a selection matrix S: a 1x1
convolution, or a Linear. Along H or W it is a convolution per channel whose kernel has a single one:
out[j] = x[j step + tap - padding]. Of samples with more axes it is a Sparse. A concatenation places each
part among zeros and adds the parts, so that every sum has one term that is not zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.export.aten_arguments import WRITTEN_OUT, value_of
from avnir.export.aten_move import in_a_row, reshaped
from avnir.export.aten_rows import to_rows, to_sequence
from avnir.export.builder import Call, Handler, Refused, Value, Zeros
from avnir.ir import real
from avnir.ir.operation import Array
from avnir.ir.real_sparse import Sparse

MAX_SELECTION = 1 << 24
"""Entries of a selection matrix: 64 MiB in float32."""
_SEPARATE = "Give each part a Linear (or Conv2d) of its own and add the results: W [a; b] = W_a a + W_b b"
_COLLECT = "Keep every sample and step: take parts of the features only"


@dataclass(frozen=True)
class Part:
    """`count` entries of an axis of `size`, `step` apart from `start`; where `total`, placed in that many.

    A placed part has step 1 and takes all of the axis.
    """

    size: int
    start: int
    count: int
    step: int = 1
    total: int = 0

    @property
    def whole(self) -> bool:
        return self.count == self.size and not (self.total and self.total != self.size)

    def matrix(self) -> Array:
        """The selection matrix S `[out, in]`, float32."""
        rows = self.total or self.count
        if rows * self.size > MAX_SELECTION:
            raise Refused(
                f"a selection of {rows} out of {self.size} needs more than {MAX_SELECTION} weights", _SEPARATE
            )
        matrix = np.zeros((rows, self.size), np.float32)
        one = np.arange(self.count)
        matrix[(self.start + one, one) if self.total else (one, self.start + self.step * one)] = 1
        return matrix

    def window(self) -> tuple[Array, int]:
        """The kernel `[K]` with a single one, and the padding on both sides; K odd where that can be."""
        if self.total:
            padding = max(self.start, self.total - self.size - self.start)
            return _one_hot(self.size + 2 * padding + 1 - self.total, padding - self.start), padding
        size = self.size - (self.count - 1) * self.step
        padding = 1 if size % 2 == 0 and self.step > 1 else 0
        return _one_hot(size + padding, self.start + padding), padding


def _one_hot(size: int, where: int) -> Array:
    kernel = np.zeros(size, np.float32)
    kernel[where] = 1
    return kernel


def sample_axis(x: Value, dim: int) -> int | None:
    """The axis of one sample that a tensor's axis `dim` is; None for the batch and for time."""
    before = 2 if x.window else 1
    axis = dim % (before + len(x.shape)) - before
    return axis if axis >= 0 else None


def moved(call: Call, x: Value, axis: int, part: Part, label: str) -> Value:
    """`x` with the part of its axis in place of the axis."""
    if part.count < 1:
        raise Refused("takes an empty part", "Leave it out, or take one entry or more")
    if part.whole:
        return x
    if len(x.shape) == 1:
        return call.emit(real.Linear(part.matrix()), x, label=label)
    if len(x.shape) == 2:
        return to_sequence(call, moved(call, to_rows(call, x), 2 * axis, part, label))
    if len(x.shape) != 3:
        return _synapses(call, x, axis, part, label)
    return call.emit(_channels(part) if axis == 0 else _shifted(part, x.shape[0], axis), x, label=label)


def _synapses(call: Call, x: Value, axis: int, part: Part, label: str) -> Value:
    """The same of samples of more axes, synapse by synapse."""
    shape = (*x.shape[:axis], part.total or part.count, *x.shape[axis + 1 :])
    inputs, outputs = np.arange(math.prod(x.shape)), np.arange(math.prod(shape))
    one = np.arange(part.count)
    if part.total:
        outputs = outputs.reshape(shape).take(part.start + one, axis).reshape(-1)
    else:
        inputs = inputs.reshape(x.shape).take(part.start + part.step * one, axis).reshape(-1)
    size = math.prod(shape), math.prod(x.shape)
    op = Sparse.of(size, inputs, outputs, np.ones(len(inputs)))
    return reshaped(call, call.emit(op, in_a_row(call, x), label=label), shape)


def _channels(part: Part) -> real.Conv2d:
    return real.Conv2d(part.matrix()[:, :, None, None])


def _shifted(part: Part, channels: int, axis: int) -> real.Conv2d:
    kernel, padding = part.window()
    down = axis == 1
    weight = np.tile(kernel.reshape((1, 1, -1, 1) if down else (1, 1, 1, -1)), (channels, 1, 1, 1))
    return real.Conv2d(
        weight,
        stride=(part.step, 1) if down else (1, part.step),
        padding=(padding, 0) if down else (0, padding),
        groups=channels,
    )


def _slice(call: Call) -> Value:
    axis = sample_axis(value_of(call, "self"), call["dim"])
    step = 1 if call["step"] is None else call["step"]
    return _ranged(call, axis, slice(call["start"], call["end"], step))


def _narrow(call: Call) -> Value:
    axis = sample_axis(value_of(call, "self"), call["dim"])
    size = call.node.args[0].meta["val"].shape[call["dim"]]  # type: ignore[union-attr]
    start = call["start"] % size if call["start"] < 0 else call["start"]
    return _ranged(call, axis, slice(start, start + call["length"]))


def _ranged(call: Call, axis: int | None, wanted: slice) -> Value:
    """A range of one axis; of the batch and of time only all."""
    x = value_of(call, "self")
    if axis is None:
        if tuple(call.result.shape) != tuple(call.node.args[0].meta["val"].shape):  # type: ignore[union-attr]
            raise Refused("takes a part of the batch or of the steps", _COLLECT)
        return x
    start, stop, step = wanted.indices(x.shape[axis])
    return moved(call, x, axis, Part(x.shape[axis], start, len(range(start, stop, step)), step), "part")


def _select(call: Call) -> Value:
    x = value_of(call, "self")
    if x.window and call["dim"] == 0:
        return Value(x.producers, x.shape)
    return _one(call, x, sample_axis(x, call["dim"]), int(call["index"]))


def _one(call: Call, x: Value, axis: int | None, index: int) -> Value:
    """One entry of an axis, without the axis."""
    if axis is None:
        raise Refused("takes one sample of the batch", _COLLECT)
    if len(x.shape) == 1:
        return reshaped(call, moved(call, x, 0, Part(x.shape[0], index % x.shape[0], 1, 2), "part"), ())
    size, at = x.shape[axis], index % x.shape[axis]
    if len(x.shape) == 2:
        length = x.shape[1]
        flat = call.emit(real.Flatten((x.shape[0] * length,)), x, label="flat")
        start, count, step = (at * length, length, 1) if axis == 0 else (at, x.shape[0], length)
        return moved(call, flat, 0, Part(x.shape[0] * length, start, count, step), "part")
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return call.emit(real.Flatten(shape), moved(call, x, axis, Part(size, at, 1, 2), "part"), label="flat")


def _unbind(call: Call) -> tuple[Value, ...]:
    x = value_of(call, "self")
    if x.window and call["dim"] == 0:
        return (Value(x.producers, x.shape),)
    axis = sample_axis(x, call["dim"])
    return tuple(_one(call, x, axis, index) for index in range(len(call.result)))


def _split(call: Call) -> tuple[Value, ...]:
    x = value_of(call, "self")
    if len(call.result) == 1:
        return (x,)
    axis = sample_axis(x, call["dim"])
    if axis is None:
        raise Refused("splits the batch or the steps", _COLLECT)
    sizes = [int(part.shape[call["dim"]]) for part in call.result]
    parts = [Part(x.shape[axis], sum(sizes[:i]), size) for i, size in enumerate(sizes)]
    return tuple(moved(call, x, axis, part, "part") for part in parts)


def _cat(call: Call) -> Value:
    items: Sequence[Any] = call["tensors"]
    if call.builder.window and any(isinstance(item, Zeros) for item in items):
        raise Refused(*WRITTEN_OUT)
    if not all(isinstance(item, Value) for item in items):
        raise Refused("joins membrane potentials or constants", "Join and return spikes only")
    first: Value = items[0]
    if len(items) == 1:
        return first
    axis = sample_axis(first, call["dim"])
    if axis is None:
        raise Refused("joins samples along the batch or the steps", _COLLECT)
    total = sum(item.shape[axis] for item in items)
    joined: Value | None = None
    start = 0
    for item in items:
        placed = moved(call, item, axis, Part(item.shape[axis], start, item.shape[axis], 1, total), "placed")
        joined = placed if joined is None else call.builder.sum(call.node, joined, placed)
        start += item.shape[axis]
    assert joined is not None
    return joined


HANDLERS: Mapping[str, Handler] = {
    "aten.slice.Tensor": _slice,
    "aten.narrow.default": _narrow,
    "aten.select.int": _select,
    "aten.unbind.int": _unbind,
    "aten.chunk.default": _split,
    "aten.split.Tensor": _split,
    "aten.split_with_sizes.default": _split,
    "aten.tensor_split.sections": _split,
    "aten.cat.default": _cat,
    "aten.concat.default": _cat,
    "aten.concatenate.default": _cat,
}
