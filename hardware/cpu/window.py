"""Sums over the window: one program node, and its registers between blocks. int32 arrays wrap, as it does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avnir.hardware.cpu.kernels_window import add_window
from avnir.hardware.cpu.sent import Sent
from avnir.ir.integer_window import WindowSum
from avnir.ir.operation import Array, Shape


@dataclass(frozen=True)
class WindowStage:
    """What a WindowSum adds up."""

    op: WindowSum

    @classmethod
    def plan(cls, op: WindowSum, shape: Shape) -> WindowStage:
        """Nothing is laid out."""
        return cls(op)

    def registers(self, batch: int) -> WindowRegisters:
        """Both at rest."""
        return WindowRegisters(self.op.running, *np.zeros((2, batch, math.prod(self.op.shape)), np.int32))


@dataclass(frozen=True)
class WindowRegisters:
    """A layer at work; `total` and `held`, int32 `[B, n]`, are the registers sum and held."""

    running: bool
    total: Array
    held: Array

    def __call__(self, x: Array, sent: Sent) -> None:
        """Fill `sent` with the messages of the summed input `x`, int32 `[S * B, n]`."""
        add_window(x, self.total, self.held, self.running, sent.rows, sent.matrix)

    def begin(self) -> None:
        """Hold the sum of the presentation before, unless it runs; all is 0 before the first."""
        self.held[:] = 0 if self.running else self.total
        self.total[:] = 0

    def register(self, name: str) -> Array:
        """One of its registers, `[B, n]`."""
        return {"sum": self.total, "held": self.held}[name]
