"""How much of a run is held at a time, so that it stays within a budget.

The trace of the samples that are at work is held until it is taken; so are the registers of those that each
thread has in hand, and the values of one block of theirs. As many samples as fit go through the whole window
together. Where not even one fits, each goes alone, and its trace is taken some steps at a time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from avnir.errors import MemoryLimitError
from avnir.ir.graph import Graph
from avnir.ir.presentations import presentations
from avnir.packed import WORD, words_of
from avnir.pieces import row_bytes

COPIES = 3
"""Of a block's values: themselves, and at most twice as much that stages take while they compute, such as
frames with padding and sums in float32 (`avnir.hardware.cpu.conv`)."""


@dataclass(frozen=True)
class Share:
    """Samples and steps of which the trace is held at a time."""

    samples: int
    steps: int


@dataclass(frozen=True)
class Footprint:
    """Bytes that a run takes: of a step of a sample `traced` in each of the presentations, packed and as it
    is read (`avnir.packed`), and `computed`.

    `kept` is for a sample, whatever the steps: registers, and what waits in lags. A block of values has
    `block` bytes, or one step; there are `threads` of them.
    """

    traced: int
    computed: int
    kept: int
    presentations: int
    block: int
    threads: int

    @classmethod
    def of(cls, graph: Graph, computed: int, block: int, threads: int, states: bool) -> Footprint:
        """Of a program; `states`: whether the trace has registers too."""
        traced = row_bytes(graph, states) + _packed(graph)
        return cls(traced, computed, _kept(graph), presentations(graph), block, threads)

    def window(self, samples: int, steps: int) -> int:
        """The bytes of as many samples in the whole window, dealt to all threads."""
        at_work = min(samples, self.threads)
        in_hand = -(-samples // at_work)
        return self.presentations * samples * steps * self.traced + at_work * self._part(in_hand, steps)

    def alone(self, steps: int) -> int:
        """The bytes of one sample of which some steps of one presentation are held."""
        return steps * self.traced + self._part(1, steps)

    def _part(self, samples: int, steps: int) -> int:
        row = samples * self.computed
        return samples * self.kept + COPIES * max(row, min(self.block, steps * row))

    def share(self, room: int | None, steps: int, batch: int) -> Share:
        """The most of `steps` x `batch` in `room` bytes, all for None; MemoryLimitError if nothing fits."""
        if room is None:
            return Share(batch, steps)
        if samples := _most(lambda count: self.window(count, steps), room, batch):
            return Share(samples, steps)
        if held := _most(self.alone, room, steps):
            return Share(1, held)
        raise MemoryLimitError(self.alone(1), room)


def _most(cost: Callable[[int], int], room: int, limit: int) -> int:
    """The largest number up to `limit` that costs at most `room`; costs grow with the number."""
    return bisect_right(range(1, limit + 1), room, key=cost)


def _packed(graph: Graph) -> int:
    """Bytes of the spikes of one step of one sample, as bits."""
    spiking = graph.select(lambda op: op.spiking and not op.message_bits)  # type: ignore[attr-defined]
    return WORD // 8 * sum(words_of(math.prod(graph.shapes[node.name])) for node in spiking)


def _kept(graph: Graph) -> int:
    """Bytes of the registers and of what waits in lags, int32, of one sample."""
    registers: list[int] = [
        len(node.op.registers) * math.prod(graph.shapes[node.name])  # type: ignore[attr-defined]
        for node in graph.select(lambda op: op.stateful)
    ]
    waiting: list[int] = [
        node.op.lag * math.prod(graph.shapes[node.inputs[0]])  # type: ignore[attr-defined]
        for node in graph.select(lambda op: op.delayed)
    ]
    return 4 * sum(registers + waiting)
