"""What a node sends in a block of steps, wherever it lies: in a trace, an input, or a matrix of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.hardware.cpu.kernels_events import LANES, Events, Rows, count_spikes, list_events, pack
from avnir.ir.operation import Array
from avnir.packed import unpacked, words_of

PROBED = 256
"""Rows of a block in which spikes are counted to estimate its density; a guess never changes a result."""


class UnreadableSpikesError(ValueError):
    """Bytes that are no spikes."""


@dataclass
class Sent:
    """Some steps of some neighbouring samples, `rows` of `matrix`, of `size` neurons.

    C-contiguous: int64 `[T * B, words]` for binary spikes, packed as `avnir.packed` says; for everything else
    int32 `[T * B, size]`. See `avnir.hardware.cpu.kernels_events`.
    """

    matrix: Array
    rows: Rows
    size: int

    @classmethod
    def alone(cls, matrix: Array, samples: int, size: int | None = None) -> Sent:
        """All of a matrix, the samples of a step together; `size` for spikes."""
        return cls(matrix, (0, samples, samples, len(matrix) // samples), size or matrix.shape[1])

    @classmethod
    def within(cls, array: Array, steps: slice, samples: slice, size: int) -> Sent:
        """A part of an array `[T, B, ...]`."""
        batch = array.shape[1]
        rows = (steps.start * batch + samples.start, samples.stop - samples.start, batch)
        matrix = array.reshape(len(array) * batch, -1)
        return cls(matrix, (*rows, steps.stop - steps.start), size)

    @classmethod
    def of_input(cls, array: Array, steps: slice, samples: slice, binary: bool) -> Sent:
        """The same of numbers of any kind, `[T, B, *shape]`: as they are where kernels can take them so.

        Spikes are packed.
        """
        size, dtype = math.prod(array.shape[2:]), np.uint8 if binary else np.int32
        readable = array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable
        if not readable:
            array = np.require(array[steps, samples], dtype, ["C", "W"])
            steps, samples = slice(0, array.shape[0]), slice(0, array.shape[1])
        numbers = cls.within(array, steps, samples, size)
        return numbers._packed() if binary else numbers

    def _packed(self) -> Sent:
        """Of spikes in bytes; UnreadableSpikesError where they are other numbers than 0 and 1."""
        words = np.empty((self.count, words_of(self.size)), np.int64)
        if not pack(self.matrix, self.rows, words):
            raise UnreadableSpikesError
        return Sent.alone(words, self.rows[1], self.size)

    @property
    def pieces(self) -> Array:
        """The matrix of spikes by 16 of them, uint16, for kernels that step 16 neurons at once."""
        return self.matrix.view(np.uint16)

    @property
    def cube(self) -> Array:
        """The matrix's items as `[S, B, ...]`, without a copy."""
        first, samples, batch, steps = self.rows
        step, sample = divmod(first, batch)
        return self.matrix.reshape(-1, batch, self.matrix.shape[1])[
            step : step + steps, sample : sample + samples
        ]

    @cached_property
    def block(self) -> Array:
        """As `[S * B, ...]`, the samples of a step together; a copy where others lie between them."""
        first, samples, batch, steps = self.rows
        if samples == batch:
            return self.matrix[first : first + steps * batch]
        return np.ascontiguousarray(self.cube.reshape(steps * samples, -1))

    @property
    def array(self) -> Array:
        """What is sent, `[S * B, n]`: uint8, or int32."""
        return unpacked(self.block[None], (self.size,))[0] if self.binary else self.block

    def fill(self, block: Array) -> None:
        """Enter what is to be sent, as `block` or `cube` have it."""
        self.cube[:] = block.reshape(self.cube.shape)

    def like(self, count: int) -> Sent:
        """Room of its own for `count` rows of the same samples."""
        room = np.zeros((count, self.matrix.shape[1]), self.matrix.dtype)
        return Sent.alone(room, self.rows[1], self.size)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.rows[1] * self.rows[3]

    @property
    def binary(self) -> bool:
        """Whether these are spikes, not messages."""
        return self.matrix.dtype == np.int64

    @cached_property
    def density(self) -> float:
        """The share of neurons that spike in a step, of spikes, estimated from some of the rows."""
        some = self.cube[:: max(1, self.count // PROBED)]
        found = count_spikes(np.ascontiguousarray(some).reshape(-1))
        return found / (math.prod(some.shape[:2]) * self.size)

    @cached_property
    def events(self) -> Events:
        """The spikes in a list, made when it is first asked for."""
        start, index = self.room_for_events()
        list_events(self.matrix, self.rows, start, index)
        return start, index

    def room_for_events(self) -> Events:
        """A list that can hold as many spikes as there may be; memory that is not written costs nothing."""
        size = self.count * self.size + LANES
        return np.empty(self.count + 1, np.int64), np.empty(size, np.int32)
