"""Convolution: one program node, laid out for its kernels.

There is no dense arithmetic here. A product of float32 matrices for each place in the kernel was slower with
3 x 3 kernels up to the density 1, from 1 to 64 channels on 16 x 16 to 4 x 4 places, on one AVX-512 core.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.hardware.cpu.conv_layout import layout_of
from avnir.hardware.cpu.kernels_conv import Layout, add_messages, adding_kernel, driving_kernel
from avnir.hardware.cpu.lif import AS_SENT, Registers
from avnir.hardware.cpu.sent import Sent
from avnir.ir import integer
from avnir.ir.geometry import conv_size
from avnir.ir.operation import Array, Shape
from avnir.numerics import fixed

SHORT = 1 << 15
"""Sums below this magnitude fit 16 bits."""


@dataclass(frozen=True)
class ConvStage:
    """`layout`: see `avnir.hardware.cpu.kernels_conv`; `size` (H', W').

    `order` int32 `[C_out * H' * W']`: where each sum belongs, AS_SENT if they are wanted as they grow.
    """

    op: integer.Conv
    shape: Shape
    size: tuple[int, int]
    layout: Layout
    order: Array

    @classmethod
    def plan(cls, op: integer.Conv, shape: Shape, kept: bool = False) -> ConvStage:
        """Lay out weights and tables for inputs of `shape`, (C_in, H, W); `kept`: sums as they grow."""
        size = conv_size(op, shape, op.weight.shape[2:])
        order = AS_SENT if kept else growing_order((len(op.weight), *size))
        return cls(op, shape, size, layout_of(op, shape, size), order)

    @cached_property
    def worst_row(self) -> int:
        """The largest sum of |weight| of an output channel."""
        return int(np.abs(self.op.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max())

    @property
    def drives(self) -> bool:
        """Whether no sum of spikes can reach the 24 bits at which it would wrap."""
        return self.worst_row << self.op.exponent < fixed.STATE_LIMIT

    @property
    def _sums(self) -> type:
        return np.int16 if self.worst_row < SHORT else np.int32

    def __call__(self, x: Sent) -> Array:
        """Sums, int32 `[S * B, C_out * H' * W']` wrapped to 24 bits, of spikes or messages."""
        out = np.empty((x.count, len(self.op.weight) * self.size[0] * self.size[1]), np.int32)
        laid_out = (self.layout, self.order, self.op.exponent, out)
        if x.binary:
            _, samples, _, steps = x.rows
            adding_kernel(self._sums)(x.events, samples, steps, *laid_out)
        else:
            add_messages(x.array, *laid_out)
        return out

    def drive(self, layer: Registers, given: Sequence[Sent], sent: Sent) -> None:
        """Fill `sent` with what the layer sends that nothing but these synapses feeds, with spikes."""
        (x,) = given
        kernel = driving_kernel(self._sums, layer.stage.kind(self.worst_row << self.op.exponent))
        events, stage = sent.room_for_events(), layer.stage
        at_work = (stage.neurons, layer.u, layer.v, sent.rows, sent.matrix, stage.order, events)
        kernel(x.events, self.layout, self.op.exponent, *at_work)
        sent.events = events


def growing_order(shape: Shape) -> Array:
    """Where each of the sums of `shape` (C, H, W) belongs, in the order `[H, W, C]` in which they grow."""
    return np.arange(math.prod(shape), dtype=np.int32).reshape(shape).transpose(1, 2, 0).ravel()
