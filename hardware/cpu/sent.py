"""What a node sends in a block of steps, wherever it lies: in a trace, an input, or a matrix of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.hardware.cpu.kernels_events import LANES, Events, Rows, list_events
from avnir.ir.operation import Array


@dataclass
class Sent:
    """Some steps of some neighbouring samples, `rows` of `matrix`, C-contiguous `[T * B, n]`.

    uint8 for binary spikes, int32 for everything else. See `avnir.hardware.cpu.kernels_events`.
    """

    matrix: Array
    rows: Rows

    @classmethod
    def alone(cls, array: Array, samples: int) -> Sent:
        """All of an array `[S * B, n]`, the samples of a step together."""
        return cls(array, (0, samples, samples, len(array) // samples))

    @classmethod
    def within(cls, array: Array, steps: slice, samples: slice) -> Sent:
        """A part of an array `[T, B, *shape]`."""
        batch = array.shape[1]
        rows = (steps.start * batch + samples.start, samples.stop - samples.start, batch)
        return cls(array.reshape(len(array) * batch, -1), (*rows, steps.stop - steps.start))

    @classmethod
    def readable(cls, array: Array, steps: slice, samples: slice, dtype: type) -> Sent:
        """The same of an array of any kind: a copy where kernels could not be given it as it is."""
        if array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable:
            return cls.within(array, steps, samples)
        part = np.require(array[steps, samples], dtype, ["C", "W"])
        return cls.alone(part.reshape(math.prod(part.shape[:2]), -1), part.shape[1])

    @property
    def cube(self) -> Array:
        """As `[S, B, n]`, without a copy."""
        first, samples, batch, steps = self.rows
        step, sample = divmod(first, batch)
        return self.matrix.reshape(-1, batch, self.matrix.shape[1])[
            step : step + steps, sample : sample + samples
        ]

    @cached_property
    def array(self) -> Array:
        """As `[S * B, n]`, the samples of a step together; a copy where others lie between them."""
        first, samples, batch, steps = self.rows
        if samples == batch:
            return self.matrix[first : first + steps * batch]
        return np.ascontiguousarray(self.cube.reshape(steps * samples, -1))

    def fill(self, array: Array) -> None:
        """Enter what is to be sent, `[S * B, n]` or `[S, B, n]`."""
        self.cube[:] = array.reshape(self.cube.shape)

    def like(self, count: int) -> Sent:
        """Room of its own for `count` rows of the same samples."""
        return Sent.alone(np.empty((count, self.matrix.shape[1]), self.matrix.dtype), self.rows[1])

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.rows[1] * self.rows[3]

    @property
    def binary(self) -> bool:
        """Whether these are spikes, not messages."""
        return self.matrix.dtype == np.uint8

    @cached_property
    def events(self) -> Events:
        """The spikes in a list, made when it is first asked for."""
        start, index = self.room_for_events()
        list_events(self.matrix, self.rows, start, index)
        return start, index

    def room_for_events(self) -> Events:
        """A list that can hold as many spikes as there may be; memory that is not written costs nothing."""
        size = self.count * self.matrix.shape[1] + LANES
        return np.empty(self.count + 1, np.int64), np.empty(size, np.int32)
