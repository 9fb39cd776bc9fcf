"""Number formats of the chip, and the few rules by which it rounds and overflows.

Authority: lava-nc 0.10.0, `lava/proc/lif/models.py: AbstractPyLifModelFixed` (states, decays, bias),
`lava/proc/dense/models.py` (weights), `lava/proc/conv/utils.py: signed_clamp` (convolution sums).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avnir.ir.operation import Array


@dataclass(frozen=True)
class IntFormat:
    """Integers of `bits` bits, two's complement when `signed`."""

    name: str
    bits: int
    signed: bool

    @property
    def low(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    def holds(self, values: Array | int) -> bool:
        """Whether every value is in range."""
        array = np.asarray(values)
        return array.size == 0 or bool(self.low <= array.min() and array.max() <= self.high)

    def __str__(self) -> str:
        return f"in [{self.low}, {self.high}] ({self.name})"


STATE_BITS = 24
STATE_LIMIT = 1 << (STATE_BITS - 1)
"""M = 2^23: a current lies in (-M, M], a potential in [-M + 1, M - 1]."""
ALIGN = 6
"""Threshold and synaptic input are shifted left by this many bits to the scale of the states."""
DECAY_BITS = 12
DECAY_ONE = 1 << DECAY_BITS
"""4096: a decay is a multiple of 1/4096."""

WEIGHT = IntFormat("8-bit weight", 8, signed=True)
THRESHOLD = IntFormat("17-bit threshold mantissa", 17, signed=False)
BIAS_MANTISSA = IntFormat("13-bit bias mantissa", 13, signed=True)
BIAS_EXPONENT = IntFormat("3-bit bias exponent", 3, signed=False)
WEIGHT_EXPONENT = IntFormat("weight exponent", 3, signed=False)
CURRENT_DECAY = IntFormat("12-bit current decay, the chip adds 1", 12, signed=False)
DELAY = IntFormat("6-bit synaptic delay", 6, signed=False)


def toward_zero(values: Array, shift: int) -> Array:
    """sign(x) * (|x| >> shift): how decays round."""
    return np.sign(values) * (np.abs(values) >> shift)


def wrap32(values: Array) -> Array:
    """Two's complement of 32 bits: the register in which Lava adds the aligned input to the current."""
    return ((values + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def wrap_current(values: Array) -> Array:
    """One wrap by 2^24 of what lies outside (-M, M], as the current register does, and only one."""
    wrapped = np.where(values > STATE_LIMIT, values - 2 * STATE_LIMIT, values)
    return np.where(wrapped <= -STATE_LIMIT, values + 2 * STATE_LIMIT, wrapped)


def clip_potential(values: Array) -> Array:
    """Clip to [-M + 1, M - 1], as the potential register does."""
    return np.clip(values, -STATE_LIMIT + 1, STATE_LIMIT - 1)


def wrap24(values: Array) -> Array:
    """Two's complement of 24 bits: the sum that Lava's convolution sends."""
    return ((values + STATE_LIMIT) & (2 * STATE_LIMIT - 1)) - STATE_LIMIT
