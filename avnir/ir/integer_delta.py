"""Sigma-delta layers of the integer level: they send only by how much their activation changed.

All of them are microcode neurons of Loihi 2. Everything is computed in 32 bits, which wrap: the magnitude of
-2^31 is -2^31. A window begins from silence, with all registers 0.

Source: lava-nc 0.10.0, `lava/proc/sdn/models.py: PyDeltaModelFixed, PySigmaDeltaModelFixed` and
`lava/proc/sdn/process.py`, which shifts threshold and bias. As there, the bits that the last shift drops are
lost, and do not wait in the residue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from avnir.ir.integer_graded import MESSAGE_THRESHOLD, Messengers
from avnir.ir.integration import check_arrays
from avnir.ir.operation import Array, require
from avnir.numerics import fixed

EXPONENT = fixed.IntFormat("3 bits", 3, signed=False)
BIAS = fixed.IntFormat("16 bits after the shift", 16, signed=True)
"""Widths that Lava declares: `precision=3` of both exponents, 16 of the bias, 24 of the threshold."""


@dataclass(frozen=True, eq=False)
class Delta(Messengers):
    """Neurons that send by how much what arrives, x, differs from what they sent in sum:

        a = x << (spike_exponent + state_exponent)
        d = a - act + residue;   act <- a
        s = d where |d| >= threshold << (spike_exponent + state_exponent), else 0
        residue <- d - s;   sent: s >> state_exponent, rounded down

    With `cumulative` s is d where |error| is that large, after error <- error + d; sending sets error to 0.

    `threshold` 0 to 2^23 - 1 after the shift, exponents 0 to 7. Registers act, residue, error.
    """

    stateful: ClassVar[bool] = True
    registers: ClassVar[tuple[str, ...]] = ("act", "residue", "error")
    threshold: int = 1
    cumulative: bool = False
    spike_exponent: int = 0
    state_exponent: int = 0

    def check(self) -> None:
        super().check()
        for name in ("spike_exponent", "state_exponent"):
            require(EXPONENT.holds(getattr(self, name)), self, name, str(EXPONENT))
        shifted = MESSAGE_THRESHOLD.holds(self.threshold << self.shift)
        require(shifted, self, "threshold", f"{MESSAGE_THRESHOLD} after a shift by {self.shift}")

    @property
    def microcode(self) -> str:
        return "a change that is sent"

    @property
    def shift(self) -> int:
        """By how much the threshold is shifted to the scale of the registers."""
        return self.spike_exponent + self.state_exponent

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        return self.changed(fixed.wrap32(x.reshape(len(x), *self.shape) << self.shift), state)

    def changed(self, activation: Array, state: dict[str, Array]) -> Array:
        """What is sent of an activation."""
        act, residue, error = (state.get(r, np.zeros_like(activation)) for r in ("act", "residue", "error"))
        delta = fixed.wrap32(activation - act + residue)
        if self.cumulative:
            error = fixed.wrap32(error + delta)
        size = fixed.wrap32(np.abs(error if self.cumulative else delta))
        sent = np.where(size >= self.threshold << self.shift, delta, 0)
        state["act"], state["residue"] = activation, delta - sent
        state["error"] = np.where(fixed.wrap32(np.abs(sent)) > 0, 0, error)
        return sent >> self.state_exponent


@dataclass(frozen=True, eq=False)
class SigmaDelta(Delta):
    """Neurons that add up the changes that arrive, x, and send by how much their activation changed:

        sigma <- sigma + x
        a = sigma + (bias << (spike_exponent + state_exponent)),   with `rectify` at least 0

    and then as a Delta, in which this a is not shifted. `bias` int32, 0-d or `shape`, 16 bits signed after
    the shift. Registers sigma, act, residue, error.
    """

    registers: ClassVar[tuple[str, ...]] = ("sigma", "act", "residue", "error")
    bias: Array = field(default_factory=lambda: np.array(0, np.int32))
    rectify: bool = True

    def check(self) -> None:
        super().check()
        check_arrays(self, self.shape, "bias")
        shifted = self.bias.astype(np.int64) << self.shift
        require(BIAS.holds(shifted), self, "bias", f"{BIAS} by {self.shift}")

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        arriving = x.reshape(len(x), *self.shape)
        sigma = fixed.wrap32(state.get("sigma", np.zeros_like(arriving)) + arriving)
        state["sigma"] = sigma
        activation = fixed.wrap32(sigma + (self.bias.astype(np.int64) << self.shift))
        return self.changed(np.maximum(activation, 0) if self.rectify else activation, state)
