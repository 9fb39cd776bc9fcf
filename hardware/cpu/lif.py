"""Neurons: one program node, its parameters spread over the layer, and its state between blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avnir.hardware.cpu.kernels_lif import (
    LANES,
    LIMIT,
    THETA,
    Kind,
    lif_kernel,
    listing_kernel,
    readout_kernel,
)
from avnir.hardware.cpu.sent import Sent
from avnir.hardware.cpu.tiles import aligned
from avnir.ir.integer import Lif
from avnir.ir.integer_graded import Readout
from avnir.ir.operation import Array, Shape
from avnir.ir.real import RESETS
from avnir.numerics import fixed

AS_SENT = np.empty(0, np.int32)
"""The order of neurons that lie as they send."""


@dataclass(frozen=True)
class LifStage:
    """`count` places for neurons, in memory for `size`; `neurons`: see `avnir.hardware.cpu.kernels_lif`.

    `order` int32: which neuron lies where, AS_SENT for those that lie as they send. `reset` is empty for
    neurons that send potentials. `kept`: the largest share of a potential that a step keeps; `peak_bias`: the
    largest |bias|.
    """

    neurons: Array
    count: int
    order: Array
    reset: str
    keeps_current: bool
    kept: float
    peak_bias: int

    @classmethod
    def plan(cls, op: Lif, shape: Shape, order: Array = AS_SENT) -> LifStage:
        """Spread the parameters over the neurons."""
        return cls._of(op, op.threshold << fixed.ALIGN, order, op.reset)

    @classmethod
    def plan_readout(cls, op: Readout, shape: Shape) -> LifStage:
        """The same for neurons that have no threshold."""
        return cls._of(op, np.array(0), AS_SENT, "")

    @classmethod
    def _of(cls, op: Lif | Readout, theta: Array, order: Array, reset: str) -> LifStage:
        kept, bias = fixed.DECAY_ONE - op.decay_v, op.bias_mantissa << op.bias_exponent
        share = (kept / fixed.DECAY_ONE).astype(np.float32).view(np.int32)
        integrated = (fixed.DECAY_ONE - (op.decay_u + 1), share, theta, bias)
        spread = np.stack([np.broadcast_to(values, op.shape).reshape(-1) for values in integrated])
        held = spread[:, order] if order.size else spread
        keeps_current = bool(np.any(op.decay_u != fixed.CURRENT_DECAY.high))
        largest = float(kept.max() / fixed.DECAY_ONE), int(np.abs(bias).max())
        return cls(_in_groups(held), held.shape[1], order, reset, keeps_current, *largest)

    def kind(self, worst: int | None = None) -> Kind:
        """What the kernel is compiled for, if no |sum| of the input exceeds `worst`; None: if any may arrive.

        With u = a << 6, |u| <= U, and resets that set v to 0 only, |v| <= (U + |bias|) / (1 - kept).
        """
        reset, wraps, clips = RESETS.index(self.reset or "none"), True, True
        if worst is not None and not self.keeps_current:
            peak = worst << fixed.ALIGN
            wraps = peak >= LIMIT
            bounded = peak + self.peak_bias < (LIMIT - 1) * (1 - self.kept)
            clips = wraps or not bounded or not self.reset.startswith("zero")
        return reset, self.keeps_current, wraps, clips

    @property
    def size(self) -> int:
        """The neurons made up to whole groups."""
        return -(-self.count // LANES) * LANES

    def registers(self, batch: int) -> Registers:
        """u and v at rest."""
        held = aligned((2 * batch * self.size + LANES,), np.int32)  # kernels read up to LANES beyond the last
        return Registers(self, *held[:-LANES].reshape(2, batch, self.size))


def _in_groups(neurons: Array) -> Array:
    """int32 `[4, LANES]` if all are alike, else longer; what fills the last group up never spikes."""
    count = neurons.shape[1]
    if count % LANES == 0 and np.all(neurons == neurons[:, :1]):
        return np.ascontiguousarray(neurons[:, :LANES], np.int32)
    size = max(2, -(-count // LANES)) * LANES
    held = aligned((len(neurons) * size + LANES,), np.int32)  # kernels read up to LANES beyond the last
    padded = held[:-LANES].reshape(len(neurons), size)
    padded[THETA] = LIMIT
    padded[:, :count] = neurons
    return padded


@dataclass(frozen=True)
class Registers:
    """A layer at work; `u` and `v`, int32 `[B, size]` in its own order, are changed by every block."""

    stage: LifStage
    u: Array
    v: Array

    def __call__(self, x: Array, sent: Sent) -> None:
        """Fill `sent` with what is sent for the summed input `x` `[S * B, n]`, in the layer's own order."""
        stage, sums = self.stage, x.astype(np.int32, copy=False)
        if stage.size > stage.count:
            sums = np.zeros((len(x), stage.size), np.int32)
            sums[:, : stage.count] = x
        given = (sums, stage.neurons, self.u, self.v, sent.rows)
        if not stage.reset:
            readout_kernel(stage.kind())(*given, sent.matrix)
        elif not stage.order.size:
            lif_kernel(stage.kind())(*given, sent.pieces)
        else:
            events = sent.room_for_events()
            listing_kernel(stage.kind())(*given, sent.matrix, stage.order, events)
            sent.events = events

    def begin(self) -> None:
        """Set all to zero."""
        self.u[:] = self.v[:] = 0

    def register(self, name: str) -> Array:
        """One of its registers, `[B, n]`, in the order in which the layer sends."""
        held = {"u": self.u, "v": self.v}[name][:, : self.stage.count]
        return held[:, np.unique(self.stage.order, return_index=True)[1]] if self.stage.order.size else held
