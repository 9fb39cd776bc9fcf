"""Layers of the real level that send numbers: products, sums over time, inverse roots.

What they give travels as graded messages, as spikes do: it ends the synapses that lead to it and begins
others. What attention and normalisation are made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.ir.operation import Array, Shape, require
from avnir.ir.real import RealOperation


@dataclass(frozen=True, eq=False)
class Product(RealOperation):
    """y = x1 * x2: what arrives at its two ports, of one shape, each the sum of what feeds it.

    The last `second` of its inputs are the second port, everything before the first.
    """

    graded: ClassVar[bool] = True
    second: int = 1

    def check(self) -> None:
        require(self.second >= 1, self, "second", "at least 1")

    def ports(self, inputs: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        return inputs[: -self.second], inputs[-self.second :]

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        first, second = x
        return first * second


@dataclass(frozen=True, eq=False)
class WindowSum(RealOperation):
    """Sums over the window of `steps` steps that belongs to a sample.

    `running`: y of step t is the sum of x of the steps 0 to t, its own included. Otherwise y is in every step
    the sum over the whole window. That is known when the window has passed, so the window is shown again: in
    each presentation y is the sum over the one before, and 0 in the first (`avnir.ir.presentations`).
    """

    graded: ClassVar[bool] = True
    stateful: ClassVar[bool] = False
    steps: int = 1
    running: bool = False

    def check(self) -> None:
        require(self.steps >= 1, self, "steps", "at least 1")

    @property
    def rehearsed(self) -> bool:
        return not self.running

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def begin(self, state: dict[str, Array]) -> None:
        if "sum" in state:
            state["held"] = state.pop("sum")

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        state["sum"] = state.get("sum", np.zeros_like(x)) + x
        return state["sum"] if self.running else state.get("held", np.zeros_like(x))


GUARDS = ("under", "beside", "least")


@dataclass(frozen=True, eq=False)
class InverseRoot(RealOperation):
    """y = 1 / sqrt(x), guarded against x = 0 by `epsilon` >= 0; a negative x counts as 0.

    By `guard`:
        under    y = 1 / sqrt(x + epsilon)
        beside   y = 1 / (sqrt(x) + epsilon)
        least    y = 1 / max(sqrt(x), epsilon)
    y is 0 where that is a division by 0: where epsilon is 0 and x is not above it.
    """

    graded: ClassVar[bool] = True
    epsilon: float = 0.0
    guard: str = "under"

    def check(self) -> None:
        require(0 <= self.epsilon < np.inf, self, "epsilon", "finite and at least 0")
        require(self.guard in GUARDS, self, "guard", f"one of {', '.join(GUARDS)}")

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        divisor = self.divisor(np.maximum(x, 0.0))
        above = divisor > 0
        return np.where(above, 1 / np.where(above, divisor, 1.0), 0.0)

    def divisor(self, x: Array) -> Array:
        """What 1 is divided by, of x >= 0."""
        if self.guard == "under":
            return np.sqrt(x + self.epsilon)
        root = np.sqrt(x)
        return root + self.epsilon if self.guard == "beside" else np.maximum(root, self.epsilon)
