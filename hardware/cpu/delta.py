"""Sigma-delta neurons: one program node, its parameters laid out, and its registers between blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avnir.hardware.cpu.kernels_delta import send_changes
from avnir.ir.integer_delta import Delta, SigmaDelta
from avnir.ir.operation import Array, Shape


@dataclass(frozen=True)
class DeltaStage:
    """`bias`, `numbers`: see `avnir.hardware.cpu.kernels_delta`."""

    op: Delta
    bias: Array
    numbers: Array
    integrates: bool
    rectify: bool

    @classmethod
    def plan(cls, op: Delta, shape: Shape) -> DeltaStage:
        """What arrives is shifted, and nothing is added to it."""
        return cls(op, np.zeros(op.shape, np.int32).reshape(-1), _numbers(op, op.shift), False, False)

    @classmethod
    def plan_sigma(cls, op: SigmaDelta, shape: Shape) -> DeltaStage:
        """What arrives is added up as it is."""
        bias = np.broadcast_to(op.bias << op.shift, op.shape).reshape(-1).astype(np.int32)
        return cls(op, bias, _numbers(op, 0), True, op.rectify)

    def registers(self, batch: int) -> DeltaRegisters:
        """All at rest."""
        return DeltaRegisters(self, np.zeros((4, batch, len(self.bias)), np.int32))


def _numbers(op: Delta, shift: int) -> Array:
    return np.array([shift, op.threshold << op.shift, op.state_exponent, op.cumulative], np.int32)


@dataclass(frozen=True)
class DeltaRegisters:
    """A layer at work; `held` int32 `[4, B, n]`, sigma, act, residue and error, is changed by every block."""

    stage: DeltaStage
    held: Array

    def __call__(self, x: Array) -> Array:
        """Messages, int32 `[S * B, n]`, of the summed input `x`; one sample after another in each step."""
        stage, sent = self.stage, np.empty(x.shape, np.int32)
        send_changes(x, self.held, stage.bias, stage.numbers, stage.integrates, stage.rectify, sent)
        return sent

    def begin(self) -> None:
        """Set all to zero."""
        self.held[:] = 0

    def register(self, name: str) -> Array:
        """One of its registers, `[B, n]`."""
        return np.asarray(self.held[("sigma", "act", "residue", "error").index(name)])
