"""Sums over the window on the integer level: what is known when a window has passed, for the next one.

A microcode neuron of Loihi 2; Lava has none like it. When the layer's window begins anew is counted in chip
steps, as the reset of Lava's `LIFReset` is. Computed in 32 bits, which wrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.ir.integer_graded import Messengers
from avnir.ir.operation import Array, require
from avnir.numerics import fixed


@dataclass(frozen=True, eq=False)
class WindowSum(Messengers):
    """Neurons that add up what arrives in the window of `steps` steps that belongs to a sample, x:

        sum <- sum + x;   sent: held, or with `running` the sum, this step's x in it
        where the same window is shown again:   held <- sum, or 0 with `running`;   sum <- 0

    For a sample that is shown for the first time both are 0 (`avnir.ir.presentations`).
    """

    stateful: ClassVar[bool] = True
    registers: ClassVar[tuple[str, ...]] = ("sum", "held")
    steps: int = 1
    running: bool = False

    def check(self) -> None:
        super().check()
        require(self.steps >= 1, self, "steps", "at least 1")

    @property
    def rehearsed(self) -> bool:
        return not self.running

    @property
    def microcode(self) -> str:
        return "a sum over the window"

    def begin(self, state: dict[str, Array]) -> None:
        total = state.get("sum")
        state.clear()
        if total is not None and self.rehearsed:
            state["held"] = total

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        arriving = x.reshape(len(x), *self.shape)
        state.setdefault("held", np.zeros_like(arriving))
        state["sum"] = fixed.wrap32(state.get("sum", np.zeros_like(arriving)) + arriving)
        return state["sum"] if self.running else state["held"]
