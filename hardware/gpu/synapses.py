"""Connections as products in floating point that are exact.

A product of integers in floating point is exact while no partial sum leaves the mantissa: 24 bits of float32,
53 of float64. The largest |sum| is bounded by the weights of an output times what its inputs can hold
(`avnir.ir.message_bounds`), whatever the order in which a device adds. Where not even float64 holds it, the
upper and the lower 16 bits of the inputs are multiplied apart. Convolutions are products with unfolded
windows: cuDNN's transforms (Winograd, FFT) round.

What a connection gives is kept modulo 2^32: no operation of the integer level sees more of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from avnir.ir.integer import Conv, Dense
from avnir.ir.integer_sparse import Sparse
from avnir.ir.message_bounds import gain
from avnir.ir.operation import Shape
from avnir.numerics import fixed

Linear = Callable[[Tensor], Tensor]
"""From `[N, *input_shape]` to `[N, ...]` of the output's size, in the floating type of its weights."""
HALF = 16
"""Bits of the lower half of an input of 32 bits."""


@dataclass(frozen=True)
class Synapses:
    """A connection laid out on a device.

    `dtype` holds every partial sum of `linear`, of the inputs or, with `halved`, of their halves. With
    `wraps` the shifted sum wraps at 24 bits. `workspace`: the bytes that one row of inputs takes meanwhile.
    """

    linear: Linear
    dtype: torch.dtype
    halved: bool
    exponent: int
    wraps: bool
    output_shape: Shape
    workspace: int

    @classmethod
    def plan(cls, op: Any, shape: Shape, peak: int, device: str) -> Synapses:
        """Lay out a connection whose inputs of `shape` hold at most |`peak`|."""
        largest = gain(op) * peak
        dtype = torch.float32 if largest < 1 << 24 else torch.float64
        linear, columns = LINEAR[op.kind](op, shape, dtype, device)
        wraps, output_shape = op.kind == "Conv", op.output_shape(shape)
        values = columns + 2 * math.prod(shape) + 3 * math.prod(output_shape)
        return cls(linear, dtype, largest >= 1 << 53, op.exponent, wraps, output_shape, 8 * values)

    def __call__(self, x: Tensor) -> Tensor:
        """What arrives, int32 `[S, B, *output_shape]`, of uint8, int32 or int64 `[S, B, *input_shape]`."""
        rows = x.flatten(0, 1)
        if self.halved:
            rows = rows.int()
            total = self._product(rows >> HALF).bitwise_left_shift_(HALF)
            total += self._product(rows & ((1 << HALF) - 1))
        else:
            total = self._product(rows)
        total.bitwise_left_shift_(self.exponent)
        if self.wraps:
            total.add_(fixed.STATE_LIMIT).bitwise_and_(2 * fixed.STATE_LIMIT - 1).sub_(fixed.STATE_LIMIT)
        return total.int().reshape(*x.shape[:2], *self.output_shape)

    def _product(self, rows: Tensor) -> Tensor:
        return self.linear(rows.to(self.dtype)).long()


def _dense(op: Dense, shape: Shape, dtype: torch.dtype, device: str) -> tuple[Linear, int]:
    weight = torch.tensor(op.weight).to(device, dtype).T
    return lambda x: x.flatten(1) @ weight, 0


def _sparse(op: Sparse, shape: Shape, dtype: torch.dtype, device: str) -> tuple[Linear, int]:
    places = torch.stack([torch.tensor(op.target), torch.tensor(op.source)]).long()
    weight = torch.tensor(op.weight).to(dtype)
    matrix = torch.sparse_coo_tensor(places, weight, op.size, check_invariants=True).coalesce().to(device)
    return lambda x: torch.sparse.mm(matrix, x.flatten(1).T).T, math.prod(shape) + op.size[0]


def _conv(op: Conv, shape: Shape, dtype: torch.dtype, device: str) -> tuple[Linear, int]:
    """`[groups, C_out/groups, k] @ [N, groups, k, H' W']`, with k the size of a window of a group."""
    weight = torch.tensor(op.weight).to(device, dtype).reshape(op.groups, len(op.weight) // op.groups, -1)

    def linear(x: Tensor) -> Tensor:
        columns = _windows(op, x).reshape(len(x), weight.shape[0], weight.shape[2], -1)
        return weight @ columns

    return linear, weight.shape[0] * weight.shape[2] * math.prod(op.output_shape(shape)[1:])


def _windows(op: Conv, x: Tensor) -> Tensor:
    """What every weight meets at every place: `[N, C_in, kH, kW, H', W']`, a view of the padded `x`."""
    kernel, (ph, pw) = op.weight.shape[2:], op.padding
    padded = pad(x, (pw, pw, ph, ph))
    sample, channel, *axes = padded.stride()
    within = [step * apart for step, apart in zip(axes, op.dilation, strict=True)]
    between = [step * apart for step, apart in zip(axes, op.stride, strict=True)]
    size = (*x.shape[:2], *kernel, *op.output_shape(tuple(x.shape[1:]))[1:])
    return padded.as_strided(size, (sample, channel, *within, *between))


LINEAR: Mapping[str, Callable[..., tuple[Linear, int]]] = {"Dense": _dense, "Conv": _conv, "Sparse": _sparse}
"""By the kind of connection: its linear map, and the values that it makes of one row on the way."""


ALONE = Lock()
"""Held while float32 is multiplied as such: what PyTorch allows is a setting of the whole process."""


@contextmanager
def full_precision() -> Iterator[None]:
    """For a while float32 is multiplied as such, whatever the user allows: TF32 has 11 bits, bfloat16 8."""
    backends: Any = torch.backends
    with ALONE, ExitStack() as after:
        if hasattr(backends.cuda.matmul, "fp32_precision"):
            for setting in (backends.cuda.matmul, backends.mkldnn.matmul):
                after.callback(setattr, setting, "fp32_precision", setting.fp32_precision)
                setting.fp32_precision = "ieee"
        else:  # before PyTorch 2.9
            after.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("highest")
        yield
