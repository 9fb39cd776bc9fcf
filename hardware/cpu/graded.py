"""Layers that send graded messages and keep no state: `avnir.ir.integer_graded` in 32-bit arithmetic.

int32 arrays wrap, as the definition does, and the magnitude of -2^31 is -2^31.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avnir.hardware.cpu.kernels_graded import multiply, relay
from avnir.hardware.cpu.sent import Sent
from avnir.ir.integer_graded import InverseRoot, Product, Relay
from avnir.ir.inverse_root import inverse_root
from avnir.ir.operation import Array, Shape


@dataclass(frozen=True)
class RelayStage:
    """What a Relay sends."""

    op: Relay

    @classmethod
    def plan(cls, op: Relay, shape: Shape) -> RelayStage:
        """Nothing is laid out."""
        return cls(op)

    def __call__(self, x: Array, sent: Sent) -> None:
        """Fill `sent` with the messages of the sums `x`, int32 `[S * B, n]`."""
        relay(x, self.op.threshold, self.op.positive, sent.rows, sent.matrix)


@dataclass(frozen=True)
class InverseRootStage:
    """What an InverseRoot sends: few neurons, so that the definition itself is fast enough."""

    op: InverseRoot

    @classmethod
    def plan(cls, op: InverseRoot, shape: Shape) -> InverseRootStage:
        """Nothing is laid out."""
        return cls(op)

    def __call__(self, x: Array) -> Array:
        """Messages, int32 `[R, n]`, of the sums `x`, int32 `[R, n]`."""
        return inverse_root(x).astype(np.int32)


@dataclass(frozen=True)
class ProductStage:
    """What a Product sends."""

    op: Product

    @classmethod
    def plan(cls, op: Product, shape: Shape) -> ProductStage:
        """Nothing is laid out."""
        return cls(op)

    def __call__(self, first: Array, second: Array, sent: Sent) -> None:
        """Fill `sent` with the messages of the sums at both ports, int32 `[S * B, n]`."""
        multiply(first, second, self.op.exponent, self.op.threshold, sent.rows, sent.matrix)
