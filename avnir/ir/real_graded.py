"""Layers of the real level that send numbers: products, sums over time, inverse roots.

What they give travels as graded messages, as spikes do: it ends the synapses that lead to it and begins
others. What attention and normalisation are made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.errors import GraphError
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


@dataclass(frozen=True, eq=False)
class InverseRoot(RealOperation):
    """y = 1 / sqrt(x) where x > 0, else 0."""

    graded: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        above = x > 0
        return np.where(above, 1 / np.sqrt(np.where(above, x, 1.0)), 0.0)


@dataclass(frozen=True, eq=False)
class Sparse(RealOperation):
    """y[target[k]] += weight[k] * x[source[k]] for every synapse k, of a sample flattened row by row.

    `size` is (out, in); `weight` floating point, `source` and `target` int32, all of one length; sorted by
    target, then source, no pair twice, so that equal maps have equal arrays. Moves and repeats of values,
    sums of some of them: whatever is linear and mostly zeros.
    """

    linear: ClassVar[bool] = True
    size: tuple[int, int]
    source: Array
    target: Array
    weight: Array

    @classmethod
    def of(cls, size: tuple[int, int], source: Array, target: Array, weight: Array) -> Sparse:
        """The map of these synapses in any order; those of one pair add up, and 0 is left out."""
        place = target.astype(np.int64) * size[1] + source
        kept, inverse = np.unique(place, return_inverse=True)
        total = np.zeros(len(kept))
        np.add.at(total, inverse.reshape(-1), weight)
        kept, total = kept[total != 0], total[total != 0]
        return cls(size, (kept % size[1]).astype(np.int32), (kept // size[1]).astype(np.int32), total)

    @classmethod
    def moved(cls, inputs: int, places: Array) -> Sparse:
        """y[i] = x[places[i]]: values moved, repeated or left out."""
        flat = places.reshape(-1)
        return cls.of((flat.size, inputs), flat, np.arange(flat.size), np.ones(flat.size))

    def check(self) -> None:
        require(min(self.size) > 0, self, "size", "(out, in), above 0")
        for name, limit in (("target", self.size[0]), ("source", self.size[1])):
            places = getattr(self, name)
            listed = places.dtype == np.int32 and places.ndim == 1 and places.shape == self.weight.shape
            require(listed, self, name, f"int32[{self.weight.size}], one for each weight")
            inside = not places.size or (places.min() >= 0 and places.max() < limit)
            require(bool(inside), self, name, f"in [0, {limit - 1}]")
        place = self.target.astype(np.int64) * self.size[1] + self.source
        require(bool(np.all(np.diff(place) > 0)), self, "target", "sorted, then by source, no pair twice")

    def output_shape(self, shape: Shape) -> Shape:
        if shape != self.size[1:]:
            raise GraphError(f"Sparse takes {self.size[1:]}, but its input is {shape}")
        return self.size[:1]

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        y = np.zeros((self.size[0], len(x)))
        np.add.at(y, self.target, (x[:, self.source] * self.weight.astype(np.float64)).T)
        return np.ascontiguousarray(y.T)
