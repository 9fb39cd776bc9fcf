"""The integer level: exactly the chip's arithmetic, one chip step at a time.

Spikes travel from a neuron layer or an Input through a connection (Dense, Conv, Sparse) into neurons,
and a connection delivers `1 + delay` steps after the spike. Layout is `(C, H, W)` row-major, as on the
real level; a Dense or Sparse sees its input flattened. `Sparse` stands in `avnir.ir.integer_sparse`,
layers that send graded messages in `avnir.ir.integer_graded` and `avnir.ir.integer_delta`, and
`avnir.ir.integer_level` lists all.

All integers are computed in int64 here, wide enough for every intermediate value; widths and
overflows are those of `avnir.numerics.fixed`, whose docstring names the authority.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from avnir.errors import GraphError
from avnir.ir.geometry import Pair, conv_size, correlate, correlate_adjoint, reshaped
from avnir.ir.integration import check_arrays, check_integration, leaked, next_current
from avnir.ir.operation import Array, Operation, Shape, require
from avnir.ir.real import RESETS
from avnir.numerics import fixed


@dataclass(frozen=True, eq=False)
class IntegerOperation(Operation):
    """An operation of the integer level; `step` is its definition."""

    level: ClassVar[str] = "integer"
    connection: ClassVar[bool] = False

    def ports(self, inputs: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """Which of what feeds it arrives at which port; a port sees the sum. One port, but for a Product."""
        return (inputs,)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        """One chip step: `x` int64 `[B, *input_shape]`; `state` is the operation's own, int64.

        With several ports `x` is `[ports, B, *input_shape]`.
        """
        raise NotImplementedError(self.kind)

    def needs(self) -> Mapping[str, int]:
        """What it asks of a target, by the name of the limit (`avnir.target.Limits`)."""
        return {}


@dataclass(frozen=True, eq=False)
class Input(IntegerOperation):
    """A named input of `shape`; `message_bits` 0: binary spikes, n: graded spikes, signed, n bits."""

    shape: Shape = ()
    message_bits: int = 0

    def check(self) -> None:
        require(0 <= self.message_bits <= 24, self, "message_bits", "in [0, 24]")

    def output_shape(self, shape: Shape) -> Shape:
        return self.shape

    def needs(self) -> Mapping[str, int]:
        return {"message_bits": self.message_bits}


@dataclass(frozen=True, eq=False)
class Output(IntegerOperation):
    """A named output: the spikes or messages of the layer that feeds it, seen as `shape`."""

    shape: Shape = ()

    def output_shape(self, shape: Shape) -> Shape:
        return reshaped(self, shape, self.shape)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        return x.reshape(len(x), *self.shape)


@dataclass(frozen=True, eq=False)
class Connection(IntegerOperation):
    """Synapses: what arrives is `(sum of weight * spike) << exponent`, `1 + delay` steps later.

    `weight` int8, `exponent` 0 to 7, `delay` 0 to 62 further steps for all synapses. `lag` says how many
    steps of the model lie between a spike and its arrival: 0 forward, 1 in a recurrent connection. It
    changes no arithmetic; it is what the chip's `1 + delay` steps are balanced against.
    """

    connection: ClassVar[bool] = True
    weight: Array
    exponent: int = 0
    delay: int = 0
    lag: int = 0

    def check(self) -> None:
        require(self.weight.dtype == np.int8, self, "weight", "an int8 array")
        require(fixed.WEIGHT_EXPONENT.holds(self.exponent), self, "exponent", str(fixed.WEIGHT_EXPONENT))
        require(0 <= self.delay <= MAX_DELAY, self, "delay", f"in [0, {MAX_DELAY}]")
        require(0 <= self.lag <= 1 + MAX_DELAY, self, "lag", f"in [0, {1 + MAX_DELAY}]")

    @property
    def delayed(self) -> bool:
        return self.lag > 0

    def needs(self) -> Mapping[str, int]:
        low, high = min(int(self.weight.min()), 0), max(int(self.weight.max()), 0)
        size = max(high.bit_length(), max(-low - 1, 0).bit_length())
        return {"delay_steps": self.delay, "weight_bits": 1 + size}

    def synaptic_words(self, bits: int) -> int:
        """Words of 64 bits that the synapses take in one core's memory, at `bits` bits a weight.

        Derived from the utilisation tables that lava-dl's netx tutorials print.
        """
        raise NotImplementedError(self.kind)

    def fan_out(self, shape: Shape, nonzero: bool) -> Array:
        """Synapses that a spike of each source neuron reaches, int64 of the source's `shape`.

        All stored ones, borders exact; with `nonzero`, without those of weight 0.
        """
        raise NotImplementedError(self.kind)

    def synapses_summed(self, values: Array) -> Array:
        """Of `values`, one for each weight, the sum over the synapses of each output: `[C_out or out]`."""
        return np.asarray(values.reshape(len(values), -1).sum(axis=1))

    def worst_sum(self) -> Array:
        """The largest |sum| that binary spikes can cause, per output `[C_out or out]`, int64."""
        weight = self.weight.astype(np.int64)
        excite, inhibit = (self.synapses_summed(np.maximum(w, 0)) for w in (weight, -weight))
        return np.maximum(excite, inhibit) << self.exponent


MAX_DELAY = 62
"""Davies et al., "Loihi", IEEE Micro 38(1), 2018: delays up to 62 steps in 6 bits."""


@dataclass(frozen=True, eq=False)
class Dense(Connection):
    """All to all: `weight` int8 `[out, in]`."""

    def check(self) -> None:
        super().check()
        require(self.weight.ndim == 2, self, "weight", "a matrix [out, in]")

    def output_shape(self, shape: Shape) -> Shape:
        reshaped(self, shape, self.weight.shape[1:])
        return (len(self.weight),)

    def fan_out(self, shape: Shape, nonzero: bool) -> Array:
        counted = (self.weight != 0) if nonzero else np.ones(self.weight.shape, bool)
        return counted.sum(axis=0, dtype=np.int64).reshape(shape)

    def synaptic_words(self, bits: int) -> int:
        neurons, axons = self.weight.shape
        return axons * math.ceil((neurons * (bits + 12) + 16) / 64)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        return (x.reshape(len(x), -1) @ self.weight.astype(np.int64).T) << self.exponent


@dataclass(frozen=True, eq=False)
class Conv(Connection):
    """Cross-correlation, `weight` int8 `[C_out, C_in/groups, kH, kW]`; the shifted sum wraps at 24 bits."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def check(self) -> None:
        super().check()
        require(self.weight.ndim == 4, self, "weight", "[C_out, C_in/groups, kH, kW]")
        require(
            self.groups >= 1 and len(self.weight) % self.groups == 0, self, "groups", "a divisor of C_out"
        )

    def output_shape(self, shape: Shape) -> Shape:
        channels = self.weight.shape[1] * self.groups
        if len(shape) != 3 or shape[0] != channels:
            raise GraphError(f"Conv takes ({channels}, H, W), but its input is {shape}")
        return (len(self.weight), *conv_size(self, shape, self.weight.shape[2:]))

    def fan_out(self, shape: Shape, nonzero: bool) -> Array:
        counted = ((self.weight != 0) | (not nonzero)).astype(np.int64)
        reached = np.ones((1, *self.output_shape(shape)), np.int64)
        size = (shape[1], shape[2])
        sums = correlate_adjoint(
            reached, counted, size, self.stride, self.padding, self.dilation, self.groups
        )
        return sums[0]

    def synaptic_words(self, bits: int) -> int:
        channels, per_group, height, width = self.weight.shape
        return height * width * per_group * self.groups * (math.ceil(channels * bits / 64) + 1)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        weight = self.weight.astype(np.int64)
        total = correlate(x, weight, self.stride, self.padding, self.dilation, self.groups)
        return fixed.wrap24(total << self.exponent)


@dataclass(frozen=True, eq=False)
class Neurons(IntegerOperation):
    """A layer of neurons of `shape`, which sees the sum of what its connections bring."""

    spiking: ClassVar[bool] = True
    registers: ClassVar[tuple[str, ...]] = ()
    """What it keeps from step to step, by the names in its `state`; int32 in a trace."""
    shape: Shape

    @property
    def message_bits(self) -> int:
        """0: it sends binary spikes; n: graded messages, signed, of n bits, where 0 is silence."""
        return 0

    @property
    def microcode(self) -> str:
        """What of it needs a programmable neuron, in words; empty where the chip's fixed one does it."""
        raise NotImplementedError(self.kind)

    @property
    def native(self) -> bool:
        """Whether the chip's fixed neuron does it, without microcode."""
        return not self.microcode

    def needs(self) -> Mapping[str, int]:
        return {"message_bits": self.message_bits}

    def output_shape(self, shape: Shape) -> Shape:
        return reshaped(self, shape, self.shape)


@dataclass(frozen=True, eq=False)
class Lif(Neurons):
    """Current-based leaky integrate-and-fire neurons of `shape`, with a the summed input:

        u <- wrap( tz(u (4096 - (decay_u + 1)), 12) + (a << 6) )
        v <- clip( tz(v (4096 - decay_v), 12) + u + (bias_mantissa << bias_exponent) )
        s  = v > (threshold << 6),   then the reset (`avnir.ir.real.RESETS`, with threshold << 6)

    tz rounds toward zero, wrap and clip are the 24-bit registers'. decay_u 0 to 4095 (4095 keeps no
    current), decay_v 0 to 4096 (4096 keeps no potential; the chip holds 12 bits, so 4096 is a
    `decay_v` of 4095 with Loihi's one-bit offset), threshold 17 bits, bias mantissa 13 bits
    signed, bias exponent 0 to 7. decay_u, decay_v, threshold, bias_mantissa: int32, 0-d or `shape`.

    `scale`, float64, 0-d or `shape`, is for reports: how many integer steps, before the shift by 6, make
    one unit of the model's membrane potential.

    Only `zero` is the fixed neuron of Loihi 1 and 2; the other resets need a programmable neuron,
    where their terms are added before the clip. The sums are made in 32-bit registers, which wrap
    (only reachable when the current has overflowed). State u, v start at 0.
    """

    stateful: ClassVar[bool] = True
    registers: ClassVar[tuple[str, ...]] = ("u", "v")
    decay_u: Array
    decay_v: Array
    threshold: Array
    bias_mantissa: Array
    bias_exponent: int = 0
    reset: str = "zero"
    scale: Array = field(default_factory=lambda: np.array(1.0))

    def check(self) -> None:
        check_arrays(self, self.shape, "threshold")
        check_integration(self, self.shape)
        require(fixed.THRESHOLD.holds(self.threshold), self, "threshold", str(fixed.THRESHOLD))
        require(self.reset in RESETS, self, "reset", f"one of {', '.join(RESETS)}")

    @property
    def microcode(self) -> str:
        return "" if self.reset == "zero" else f"the reset {self.reset!r}"

    def needs(self) -> Mapping[str, int]:
        return {"threshold_bits": int(self.threshold.max()).bit_length()}

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        a = x.reshape(len(x), *self.shape)
        u = state.get("u", np.zeros_like(a))
        v = state.get("v", np.zeros_like(a))
        theta = self.threshold.astype(np.int64) << fixed.ALIGN
        bias = self.bias_mantissa.astype(np.int64) << self.bias_exponent
        above = (v > theta).astype(np.int64)

        u = next_current(u, a, self.decay_u)
        if self.reset == "zero_delayed":
            v = (1 - above) * v
        v = leaked(v, self.decay_v) + u + bias
        if self.reset == "zero_next":
            v = (1 - above) * v
        if self.reset in ("subtract", "subtract_delayed"):
            v = v - above * theta
        v = fixed.clip_potential(fixed.wrap32(v))
        spikes = (v > theta).astype(np.int64)
        if self.reset == "zero":
            v = (1 - spikes) * v
        elif self.reset == "subtract":
            v = fixed.clip_potential(v - (spikes - above) * theta)
        state["u"], state["v"] = u, v
        return spikes
