"""A run in pieces, for those that do not fit into memory at once; and what of it is worth keeping.

Steps, samples and presentations of the window are independent of each other where they are counted, so sums
over pieces are those over the whole trace, in whatever order the pieces come.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from avnir.errors import MemoryLimitError
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.trace import Trace

COUNTED = 1 << 24
"""Entries that are counted at once: numpy marks each in a byte."""


@dataclass(frozen=True)
class Piece:
    """What a run leaves in some `steps` of some `samples`, when the window is shown for the time `number`.

    `trace` `[S, b, *shape]` has no rehearsals; it has outputs in the last presentation alone.
    """

    number: int
    steps: slice
    samples: slice
    trace: Trace

    @property
    def last(self) -> bool:
        """Whether it is of the last presentation, which computes what the model does."""
        return bool(self.trace.outputs)


def pieces_of(trace: Trace, samples: slice | None = None) -> Iterator[Piece]:
    """A trace as one piece for each presentation; `samples` are its own among those of the run."""
    steps, batch = next(iter(trace.outputs.values())).shape[:2]
    for number, presented in enumerate(trace.presented):
        alone = dataclasses.replace(presented, rehearsals=())
        yield Piece(number, slice(0, steps), samples or slice(0, batch), alone)


@dataclass(frozen=True)
class Need:
    """Bytes that work over a batch takes: `each` for a sample at work, `once` however many are."""

    each: int
    once: int = 0

    def __add__(self, other: Need) -> Need:
        return Need(self.each + other.each, self.once + other.once)

    def samples(self, room: int, batch: int, together: int = 1) -> int:
        """How many of `batch` samples can be at work in `room` bytes: all, or a multiple of `together`.

        Raises MemoryLimitError where `together` of them, or all where they are fewer, are too many.
        """
        least = self.once + min(together, batch) * self.each
        if least > room:
            raise MemoryLimitError(least, room)
        fit = (room - self.once) // self.each
        return batch if fit >= batch else fit // together * together

    def left(self, room: int, samples: int) -> int:
        """The bytes of `room` that so many samples at work do not take; `once` is among them."""
        return room - samples * self.each


def put(trace: Trace, piece: Piece) -> None:
    """Enter a piece into the trace of the whole run."""
    whole = trace.presented[piece.number].named()
    for name, array in piece.trace.named().items():
        whole[name][piece.steps, piece.samples] = array


def row_bytes(graph: Graph, states: bool) -> int:
    """Bytes of one step of one sample in a trace of a program, for each presentation of the window."""
    probe = Trace.empty(graph, 1, 1, states)
    registers = (array for layer in probe.states.values() for array in layer.values())
    return sum(array.nbytes for array in (*probe.spikes.values(), *probe.outputs.values(), *registers))


@dataclass
class Totals:
    """What is kept of a run of `steps` x `samples`: its outputs, and how much was sent.

    `outputs[name]` `[T, B, *shape]`; `spikes[layer]` of the last presentation; `messages[layer]` of every
    presentation, int64 of the layer's shape; `shown`: how many presentations there were. All are 0 before the
    first piece is added.
    """

    graph: Graph
    steps: int
    samples: int
    outputs: dict[str, Array] = field(init=False)
    spikes: dict[str, int] = field(init=False)
    messages: dict[str, Array] = field(init=False)
    shown: int = 0

    def __post_init__(self) -> None:
        neurons = [node.name for node in self.graph.neurons]
        self.outputs = {
            name: np.zeros((self.steps, self.samples, *array.shape[2:]), array.dtype)
            for name, array in Trace.empty(self.graph, 1, 1, False).outputs.items()
        }
        self.spikes = dict.fromkeys(neurons, 0)
        self.messages = {name: np.zeros(self.graph.shapes[name], np.int64) for name in neurons}

    def add(self, piece: Piece) -> None:
        """Count what was sent in a piece."""
        self.shown = max(self.shown, piece.number + 1)
        for name, sent in piece.trace.spikes.items():
            found = counted(sent)
            self.messages[name] += found
            self.spikes[name] += int(found.sum()) if piece.last else 0
        for name, array in piece.trace.outputs.items():
            self.outputs[name][piece.steps, piece.samples] = array

    @property
    def size(self) -> int:
        """Bytes of what is kept."""
        return sum(array.nbytes for array in (*self.outputs.values(), *self.messages.values()))

    @property
    def trace(self) -> Trace:
        """The outputs alone, from which a host reads the classes."""
        return Trace({}, self.outputs)

    def sent(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Messages of every layer, and of the `inputs` `[T, B, *shape]`, each time that they were shown."""
        return {**self.messages, **{name: self.shown * counted(array) for name, array in inputs.items()}}


def counted(sent: Array) -> Array:
    """How many messages each neuron sent: int64 `[*shape]` of `[T, B, *shape]`, some steps at a time."""
    total = np.zeros(sent.shape[2:], np.int64)
    together = max(1, COUNTED // math.prod(sent.shape[1:]))
    for start in range(0, len(sent), together):
        total += np.count_nonzero(sent[start : start + together], axis=(0, 1))
    return total


def readable(size: float) -> str:
    """Bytes in the largest unit of which there is one at least."""
    power = min(int(math.log(max(size, 1), 1024)), 4)
    return f"{size / 1024**power:.{min(power, 1)}f} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
