"""Spikes as bits: an eighth of what they would be as bytes, and read as if they were arrays of bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from avnir.ir.operation import Array, Shape

WORD = 64
"""Spikes of a word."""


def words_of(size: int) -> int:
    """How many words hold the spikes of as many neurons."""
    return -(-size // WORD)


@dataclass(frozen=True)
class Packed(Mapping[str, Array]):
    """Arrays by name, `[T, B, *shape]`: binary spikes uint8, unpacked when first read; messages int32.

    `held[name]` has int64 words `[T, B, words]` of spikes, where bit k of word w is neuron 64 w + k of the
    flattened shape and bits beyond the last are 0; or messages `[T, B, n]`. `shapes[name]`: the shape.
    """

    held: Mapping[str, Array]
    shapes: Mapping[str, Shape]
    _unpacked: dict[str, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getitem__(self, name: str) -> Array:
        if name not in self._unpacked:
            self._unpacked[name] = unpacked(self.held[name], self.shapes[name])
        return self._unpacked[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


def unpacked(held: Array, shape: Shape) -> Array:
    """`[T, B, *shape]` of one entry of `Packed.held`."""
    if held.dtype == np.int32:
        return held.reshape(*held.shape[:2], *shape)
    octets = held.astype("<i8", copy=False).view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, count=math.prod(shape), bitorder="little")
    return bits.reshape(*held.shape[:2], *shape)


def same(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    """Whether both hold the same arrays by the same names; two packed ones are compared as they are."""
    if isinstance(one, Packed) and isinstance(other, Packed):
        one, other = one.held, other.held
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
