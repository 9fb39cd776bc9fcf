"""Neurons: one program node, its parameters spread over the layer, and its state between blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avnir.hardware.cpu.kernels_lif import lif_kernel
from avnir.ir import integer
from avnir.ir.operation import Array, Shape
from avnir.numerics import fixed


@dataclass(frozen=True)
class LifStage:
    """`keep_u`, `keep_v` 4096ths kept a step, `theta`, `bias` on the scale of v; each int32 `[n]`."""

    keep_u: Array
    keep_v: Array
    theta: Array
    bias: Array
    kernel: Callable[..., None]

    @classmethod
    def plan(cls, op: integer.Lif, shape: Shape) -> LifStage:
        """Spread the parameters over the neurons."""

        def spread(values: Array) -> Array:
            return np.broadcast_to(values, op.shape).reshape(-1).astype(np.int32)

        keep_u = spread(fixed.DECAY_ONE - (op.decay_u + 1))
        return cls(
            keep_u=keep_u,
            keep_v=spread(fixed.DECAY_ONE - op.decay_v),
            theta=spread(op.threshold << fixed.ALIGN),
            bias=spread(op.bias_mantissa << op.bias_exponent),
            kernel=lif_kernel(op.reset, keeps_current=bool(keep_u.any())),
        )

    def registers(self, batch: int) -> Registers:
        """u and v at rest."""
        return Registers(self, *np.zeros((2, batch, len(self.theta)), np.int32))


@dataclass(frozen=True)
class Registers:
    """A layer at work: `u` and `v`, int32 `[B, n]`, are changed by every block."""

    stage: LifStage
    u: Array
    v: Array

    def __call__(self, x: Array) -> Array:
        """Spikes, uint8 `[S * B, n]`, of the summed input `x`; one sample after another in each step."""
        stage, spikes = self.stage, np.empty(x.shape, np.uint8)
        current = x.astype(np.int32, copy=False)
        stage.kernel(current, stage.keep_u, stage.keep_v, stage.theta, stage.bias, self.u, self.v, spikes)
        return spikes
