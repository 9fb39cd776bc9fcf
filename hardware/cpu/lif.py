"""Neurons: one program node, its parameters spread over the layer, and its state between blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avnir.hardware.cpu.kernels_lif import lif_kernel
from avnir.ir.integer import Lif
from avnir.ir.integer_graded import Readout
from avnir.ir.operation import Array, Shape
from avnir.numerics import fixed


@dataclass(frozen=True)
class LifStage:
    """`keep_u`, `keep_v` 4096ths kept a step, `theta`, `bias` on the scale of v; each int32 `[n]`.

    `sends`: the type of what it sends, uint8 spikes or int32 potentials.
    """

    keep_u: Array
    keep_v: Array
    bias: Array
    theta: Array
    kernel: Callable[..., None]
    sends: type

    @classmethod
    def plan(cls, op: Lif, shape: Shape) -> LifStage:
        """Spread the parameters over the neurons."""
        kernel = lif_kernel(op.reset, keeps_current=_keeps_current(op))
        return cls(*_integration(op), _spread(op, op.threshold << fixed.ALIGN), kernel, np.uint8)

    @classmethod
    def plan_readout(cls, op: Readout, shape: Shape) -> LifStage:
        """The same for neurons that have no threshold."""
        kernel = lif_kernel("none", keeps_current=_keeps_current(op), sends_potential=True)
        return cls(*_integration(op), _spread(op, np.array(0)), kernel, np.int32)

    def registers(self, batch: int) -> Registers:
        """u and v at rest."""
        return Registers(self, *np.zeros((2, batch, len(self.theta)), np.int32))


def _spread(op: Lif | Readout, values: Array) -> Array:
    return np.broadcast_to(values, op.shape).reshape(-1).astype(np.int32)


def _integration(op: Lif | Readout) -> tuple[Array, Array, Array]:
    """`keep_u`, `keep_v` and `bias`."""
    return (
        _spread(op, fixed.DECAY_ONE - (op.decay_u + 1)),
        _spread(op, fixed.DECAY_ONE - op.decay_v),
        _spread(op, op.bias_mantissa << op.bias_exponent),
    )


def _keeps_current(op: Lif | Readout) -> bool:
    return bool(np.any(op.decay_u != fixed.CURRENT_DECAY.high))


@dataclass(frozen=True)
class Registers:
    """A layer at work: `u` and `v`, int32 `[B, n]`, are changed by every block."""

    stage: LifStage
    u: Array
    v: Array

    def __call__(self, x: Array) -> Array:
        """What is sent, `[S * B, n]`, of the summed input `x`; one sample after another in each step."""
        stage = self.stage
        sent: Array = np.empty(x.shape, stage.sends)
        current = x.astype(np.int32, copy=False)
        stage.kernel(current, stage.keep_u, stage.keep_v, stage.theta, stage.bias, self.u, self.v, sent)
        return sent

    def begin(self) -> None:
        """Set all to zero."""
        self.u[:] = self.v[:] = 0

    def register(self, name: str) -> Array:
        """One of its registers, `[B, n]`."""
        return {"u": self.u, "v": self.v}[name]
