"""Neurons between the levels: some of what the chip rounds is rounded, the rest is as in the model.

A LIF does the same in any unit, so it is written in one in which nothing else is lost: in register steps,
64 S to one unit of the potential (`avnir.numerics.fixed.ALIGN`), where its weights are integers, so that sums
are whole and meet a threshold as on the chip; in the model's own unit where they are the model's, so that
sums meet it as in the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from avnir.ir.integer import Neurons
from avnir.ir.operation import Array, Shape
from avnir.ir.real import Li, Lif, RealOperation
from avnir.numerics import fixed

NEAR = 1e-6
"""Register steps: less than a decay leaves of one (1/4096), more than float64 rounds of 24 bits (2^-29)."""


@dataclass(frozen=True)
class Registers:
    """What the chip's registers do to a state: `steps` of them are one unit of the layer, 0-d or its shape.

    `rounds`: a decay rounds toward zero to a whole step. `ends`: the current wraps and the potential is
    clipped at 24 bits. (Where a current wraps twice in a step, which no compiled program can, the chip's
    32-bit sums differ from this.)
    """

    steps: Array
    rounds: bool = False
    ends: bool = False

    def decayed(self, values: Array, kept: Array) -> Array:
        """What a step keeps of a state: `kept` of 1."""
        left = values * kept
        if not self.rounds:
            return left
        steps = left * self.steps
        whole = np.abs(steps - np.rint(steps)) <= NEAR
        return np.where(whole, left, np.trunc(steps) / self.steps)

    def current(self, values: Array) -> Array:
        """The current as its register holds it."""
        if not self.ends:
            return values
        steps = values * self.steps
        outside = (steps > fixed.STATE_LIMIT) | (steps <= -fixed.STATE_LIMIT)
        return np.where(outside, fixed.wrap_current(steps) / self.steps, values)

    def potential(self, values: Array) -> Array:
        """The potential as its register holds it."""
        if not self.ends:
            return values
        outside = np.abs(values * self.steps) >= fixed.STATE_LIMIT
        return np.where(outside, np.sign(values) * (fixed.STATE_LIMIT - 1) / self.steps, values)


@dataclass(frozen=True, eq=False)
class MixedLif(Lif):
    """A Lif in the unit of its layer, whose states are held in `registers`."""

    registers: Registers = field(default_factory=lambda: Registers(np.array(1.0)))

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        v = state.get("v", np.zeros_like(x))
        above = (v > self.threshold).astype(np.float64)
        if self.reset == "zero_delayed":
            v = (1 - above) * v
        v = self.registers.decayed(v, self.beta) + _input(self, self.registers, x, state)
        if self.reset == "zero_next":
            v = (1 - above) * v
        if self.reset in ("subtract", "subtract_delayed"):
            v = v - above * self.threshold
        v = self.registers.potential(v)
        spikes = (v > self.threshold).astype(np.float64)
        if self.reset == "zero":
            v = (1 - spikes) * v
        elif self.reset == "subtract":
            v = self.registers.potential(v - (spikes - above) * self.threshold)
        state["v"] = v
        return spikes


@dataclass(frozen=True, eq=False)
class MixedLi(Li):
    """A read-out in the unit of its layer, whose states are held in `registers`."""

    registers: Registers = field(default_factory=lambda: Registers(np.array(1.0)))

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        v = self.registers.decayed(state.get("v", np.zeros_like(x)), self.beta)
        state["v"] = self.registers.potential(v + _input(self, self.registers, x, state))
        return state["v"]


def _input(op: MixedLif | MixedLi, registers: Registers, x: Array, state: dict[str, Array]) -> Array:
    """What a step adds to the potential: what has become of the current, and the bias."""
    kept = 0.0 if op.alpha is None else registers.decayed(state.get("i", np.zeros_like(x)), op.alpha)
    state["i"] = registers.current(kept + op.gain * x)
    return state["i"] if op.bias is None else state["i"] + op.bias


@dataclass(frozen=True, eq=False)
class Sender(RealOperation):
    """A layer of the integer level that sends numbers, among real ones: what arrives is made whole."""

    graded: ClassVar[bool] = True
    op: Neurons

    @property
    def rehearsed(self) -> bool:
        return self.op.rehearsed

    def begin(self, state: dict[str, Array]) -> None:
        self.op.begin(state)

    def ports(self, inputs: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        return self.op.ports(inputs)

    def output_shape(self, shape: Shape) -> Shape:
        return self.op.output_shape(shape)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        return self.op.step(np.rint(x).astype(np.int64), state).astype(np.float64)
