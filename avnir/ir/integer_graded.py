"""Layers of the integer level whose neurons send graded messages: integers, where 0 is silence.

All of them are microcode neurons of Loihi 2. A connection multiplies its weights by a message, as it does
by the messages of a graded Input. Arithmetic without a register of its own is in 32 bits, which wrap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from avnir.ir.integer import Neurons
from avnir.ir.integration import check_integration, leaked, next_current
from avnir.ir.inverse_root import inverse_root
from avnir.ir.operation import Array, require
from avnir.numerics import fixed

WORD_BITS = 32
"""What Lava computes these neurons in."""
MESSAGE_THRESHOLD = fixed.IntFormat("24 bits, not negative", fixed.STATE_BITS - 1, signed=False)
"""lava-nc 0.10.0 declares the thresholds of these neurons with `precision=24`."""


@dataclass(frozen=True, eq=False)
class Messengers(Neurons):
    """Neurons whose messages are as wide as what arrives makes them: `message_bits` says how wide, 2 to 32.

    That changes nothing that they compute. A program is refused in which messages of fewer than 32 bits could
    be wider than declared (`avnir.ir.message_bounds`); with 32 they may wrap.
    """

    message_bits: int = field(default=fixed.STATE_BITS, kw_only=True)

    def check(self) -> None:
        require(2 <= self.message_bits <= WORD_BITS, self, "message_bits", f"in [2, {WORD_BITS}]")


@dataclass(frozen=True, eq=False)
class Relay(Messengers):
    """Neurons without memory that hand on what arrives, x, the sum modulo 2^32, where it is large enough:

        x where |x| > threshold, else 0;   with `positive`: x where x > threshold, else 0

    `threshold` 0 to 2^23 - 1, for all neurons. |-2^31| is -2^31 in 32 bits, and so never sent.

    Source: lava-nc 0.10.0, `lava/proc/graded/models.py`: GradedVec and GradedReluVec, whose `exp` takes no
    part in what they compute.
    """

    threshold: int = 0
    positive: bool = False

    def check(self) -> None:
        super().check()
        require(MESSAGE_THRESHOLD.holds(self.threshold), self, "threshold", str(MESSAGE_THRESHOLD))

    @property
    def microcode(self) -> str:
        return "a relay of graded messages"

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        message = fixed.wrap32(x.reshape(len(x), *self.shape))
        size = message if self.positive else fixed.wrap32(np.abs(message))
        return message * (size > self.threshold)


@dataclass(frozen=True, eq=False)
class Product(Messengers):
    """Neurons without memory that multiply what arrives at two ports, x1 and x2, each a sum modulo 2^32:

        p = (x1 * x2 modulo 2^32) >> exponent;   p where |p| > threshold, else 0

    The last `second` of what feeds it is its second port, everything before the first. >> rounds down;
    `exponent` 0 to 31, `threshold` 0 to 2^23 - 1. |-2^31| is -2^31, and so never sent. With exponent and
    threshold 0 and ports that are 0 or 1 it is AND.

    Source: lava-nc 0.10.0, `lava/proc/prodneuron/models.py: PyProdNeuronModelFixed`.
    """

    exponent: int = 0
    threshold: int = 0
    second: int = 1

    def check(self) -> None:
        super().check()
        require(0 <= self.exponent < WORD_BITS, self, "exponent", f"in [0, {WORD_BITS - 1}]")
        require(MESSAGE_THRESHOLD.holds(self.threshold), self, "threshold", str(MESSAGE_THRESHOLD))
        require(self.second >= 1, self, "second", "at least 1")

    @property
    def microcode(self) -> str:
        return "a product of two inputs"

    def ports(self, inputs: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        return inputs[: -self.second], inputs[-self.second :]

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        first, second = fixed.wrap32(x.reshape(2, -1, *self.shape))
        product = fixed.wrap32(first * second) >> self.exponent
        return product * (fixed.wrap32(np.abs(product)) > self.threshold)


@dataclass(frozen=True, eq=False)
class InverseRoot(Neurons):
    """Neurons without memory that send the inverse square root of what arrives, x, the sum modulo 2^32.

    About 2^18 / sqrt(x), by the integer steps of `avnir.ir.inverse_root`, and at most 264,045; 0 where
    x <= 0, and of a larger x that of 2^24 - 1. With a Product before it, for squares, a Dense of ones, for
    their sum, and a Product after it, it divides a vector by its length.

    Source: lava-nc 0.10.0, `lava/proc/graded/models.py: InvSqrtModelFP`, which takes one neuron and 1 to
    2^24 - 1.
    """

    @property
    def message_bits(self) -> int:
        return 20

    @property
    def microcode(self) -> str:
        return "an inverse square root"

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        return inverse_root(fixed.wrap32(x.reshape(len(x), *self.shape)))


@dataclass(frozen=True, eq=False)
class Readout(Neurons):
    """Neurons that integrate as a Lif does, never spike, and send their potential v in every step:

        u <- wrap( tz(u (4096 - (decay_u + 1)), 12) + (a << 6) )
        v <- clip( tz(v (4096 - decay_v), 12) + u + (bias_mantissa << bias_exponent) ),   sent as it is

    Parameters, widths, rounding and `scale` are those of `avnir.ir.integer.Lif`; with `decay_v` 0 it does
    not leak. |v| < 2^23.
    """

    stateful: ClassVar[bool] = True
    registers: ClassVar[tuple[str, ...]] = ("u", "v")
    decay_u: Array
    decay_v: Array
    bias_mantissa: Array
    bias_exponent: int = 0
    scale: Array = field(default_factory=lambda: np.array(1.0))

    def check(self) -> None:
        check_integration(self, self.shape)

    @property
    def message_bits(self) -> int:
        return fixed.STATE_BITS

    @property
    def microcode(self) -> str:
        return "a potential that is sent"

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        a = x.reshape(len(x), *self.shape)
        u, v = (state.get(register, np.zeros_like(a)) for register in "uv")
        bias = self.bias_mantissa.astype(np.int64) << self.bias_exponent
        state["u"] = next_current(u, a, self.decay_u)
        state["v"] = fixed.clip_potential(fixed.wrap32(leaked(v, self.decay_v) + state["u"] + bias))
        return state["v"]
