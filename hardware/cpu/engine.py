"""The engine: samples are dealt to threads; each thread takes its samples through all layers.

A program is balanced, so on the model's time base step t of a layer depends on step t of the layers
before it, or on an earlier step where a connection has a lag. A layer can therefore work through a whole
block of steps before the next one begins, what is on its way in a delay never has to be kept, and only
the layers of a loop go step by step, together. Samples are independent and every result is an integer,
so neither the number of threads nor the size of a block can change a bit.

Spikes are listed once (`kernels_events`) and every connection goes through the list, so that work grows with
spikes times what they reach. Most layers take the sums of their synapses as they are made (`plans`), and what
they send is written where the trace wants it.

A program that needs the window several times goes through it as often. What a layer sends no longer changes
after the rehearsals that it needs (`avnir.ir.presentations`), and is taken over from the presentation before.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numba
import numpy as np

from avnir.hardware.cpu.memory import Footprint
from avnir.hardware.cpu.order import Order, order_of
from avnir.hardware.cpu.part import Part
from avnir.hardware.cpu.plans import plans_of
from avnir.hardware.cpu.record import record
from avnir.hardware.cpu.sent import Sent, UnreadableSpikesError
from avnir.hardware.cpu.tiles import available
from avnir.ir.graph import Node
from avnir.ir.operation import Array
from avnir.ir.presentations import rehearsals
from avnir.packed import Packed
from avnir.pieces import Piece, pieces_of
from avnir.program import Program
from avnir.trace import Trace, checked_inputs

BLOCK_BYTES = 128 << 20
"""Most bytes of the values of one block of one thread, as if half of all neurons spiked. Each block costs a
call of some microseconds for every node: S-CMRL, of 159, took 119 ms with blocks of 16 MB and 50 with 128,
two convolutions 19 and 17."""
BLOCK_STEPS = 64
"""Steps that a block should have: neurons load their states and parameters once a block."""


class CpuSession:
    """A program laid out for the processor, with the threads that run it."""

    def __init__(self, program: Program, threads: int | None = None, tiles: bool = True) -> None:
        self._graph = program.graph
        self._threads = threads or numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="avnir-cpu")
        needed = rehearsals(self._graph)
        self._orders = [order_of(self._graph, needed, shown) for shown in range(1 + max(needed.values()))]
        self._plans = plans_of(self._graph, tiles and available())
        self._row_bytes = sum(math.prod(self._graph.shapes[n.name]) * self._width(n) for n in self._graph)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def run(self, inputs: Mapping[str, Array], states: bool = False) -> Trace:
        """Run one window per sample: `inputs` integers `[T, B, *shape]` (DataError where one does not fit).

        With `states`, blocks are one step long, so that registers, int32, can be read after each.
        """
        arrays = checked_inputs(self._graph, inputs, _bytes)
        steps, batch = next(iter(arrays.values())).shape[:2]
        settled = [] if states else [order.known for order in self._orders]
        trace = record(self._graph, steps, batch, states, settled)
        parts = self._pool.map(lambda part: self._run_part(arrays, trace, part), self._parts(steps, batch))
        try:
            deque(parts, maxlen=0)
        except UnreadableSpikesError:
            checked_inputs(self._graph, inputs)
            raise
        return trace

    def run_in_pieces(
        self,
        inputs: Mapping[str, Array],
        take: Callable[[Piece], object],
        states: bool = False,
        room: int | None = None,
    ) -> None:
        """`run`, handing its trace to `take` in pieces, so that all takes at most `room` bytes at a time.

        None for all of it at once. Pieces come in order: samples, then presentations, then steps. Raises
        MemoryLimitError where one step of one sample takes more.
        """
        arrays = checked_inputs(self._graph, inputs)
        steps, batch = next(iter(arrays.values())).shape[:2]
        footprint = Footprint.of(self._graph, self._row_bytes, BLOCK_BYTES, self._threads, states)
        share = footprint.share(room, steps, batch)
        for first in range(0, batch, share.samples):
            samples = slice(first, min(first + share.samples, batch))
            if share.steps < steps:
                self._run_alone(arrays, samples, share.steps, states, take)
            else:
                self._run_together(arrays, samples, states, take)

    def _run_together(
        self, inputs: Mapping[str, Array], samples: slice, states: bool, take: Callable[[Piece], object]
    ) -> None:
        """Some samples in the whole window, whose trace is gone when this returns."""
        here = {name: array[:, samples] for name, array in inputs.items()}
        for piece in pieces_of(self.run(here, states), samples):
            take(piece)

    def _run_alone(
        self,
        inputs: Mapping[str, Array],
        sample: slice,
        held: int,
        states: bool,
        take: Callable[[Piece], object],
    ) -> None:
        """One sample, of which the trace of `held` steps is there at a time; every presentation in full."""
        steps = len(next(iter(inputs.values())))
        part = Part(self._graph, self._plans, 1)
        for number in range(len(self._orders)):
            part.begin()
            for start in range(0, steps, held):
                span = slice(start, min(start + held, steps))
                here = {name: array[span, sample] for name, array in inputs.items()}
                presented = record(self._graph, span.stop - start, 1, states).presented[number]
                self._present(part, self._orders[0], here, None, presented, slice(0, 1))
                take(Piece(number, span, sample, replace(presented, rehearsals=())))

    def _parts(self, steps: int, batch: int) -> Iterator[slice]:
        """The batch in parts of nearly equal size, small enough for blocks of BLOCK_STEPS steps."""
        rows = max(1, BLOCK_BYTES // self._row_bytes)
        samples = max(1, rows // min(steps, BLOCK_STEPS))
        wanted = max(math.ceil(batch / samples), self._threads)
        count = min(batch, math.ceil(wanted / self._threads) * self._threads)
        return _shared(batch, count)

    def _width(self, node: Node) -> int:
        """Bytes of what a node gives, for each neuron: a sum, a message, or a spike, perhaps listed too."""
        if node.name in self._plans.merged or node.op.kind == "Output":
            return 0
        return 2 if node.op.spiking and not node.op.message_bits else 4  # type: ignore[attr-defined]

    def _run_part(self, inputs: Mapping[str, Array], trace: Trace, samples: slice) -> None:
        """Take the samples through all presentations of the window, and write them into the trace."""
        part = Part(self._graph, self._plans, samples.stop - samples.start)
        for number, presented in enumerate(trace.presented):
            part.begin()
            order = self._orders[0 if trace.states else number]
            before = trace.rehearsals[number - 1] if number else None
            self._present(part, order, inputs, before, presented, samples)

    def _present(
        self,
        part: Part,
        order: Order,
        inputs: Mapping[str, Array],
        before: Trace | None,
        presented: Trace,
        samples: slice,
    ) -> None:
        """Take the samples through all steps, block by block, and write them into the trace.

        `before` is the trace of the presentation before, from which settled layers are taken over.
        """
        steps = len(next(iter(inputs.values())))
        most = 1 if presented.states else max(1, BLOCK_BYTES // (self._row_bytes * part.samples))
        for span in _shared(steps, math.ceil(steps / most)):
            known = {
                name: self._sent(before.spikes, name, span, samples)
                if before and name not in inputs
                else Sent.of_input(inputs[name], span, samples, not _bits(self._graph[name]))
                for name in order.known
            }
            part.block(order, known, self._room(presented, span, samples))
            _note(presented, np.s_[span, samples], part)

    def _sent(self, sent: Mapping[str, Array], name: str, span: slice, samples: slice) -> Sent:
        """Where what a node sends lies in the spikes or outputs of a trace that `record` made."""
        packed: Packed = sent  # type: ignore[assignment]
        return Sent.within(packed.held[name], span, samples, math.prod(packed.shapes[name]))

    def _room(self, trace: Trace, span: slice, samples: slice) -> dict[str, Sent]:
        """The same of all layers, and of outputs that show no layer."""
        room = {name: self._sent(trace.spikes, name, span, samples) for name in trace.spikes}
        apart = (name for name in trace.outputs if self._graph[name].inputs[0] not in room)
        return room | {name: self._sent(trace.outputs, name, span, samples) for name in apart}


def _bytes(array: Array) -> bool:
    """Whether an input is in bytes, which are checked as they are packed: reading them twice takes longer."""
    return bool(array.dtype == np.uint8)


def _bits(node: Node) -> int:
    """Of the messages of an input; 0 for spikes."""
    return int(node.op.message_bits)  # type: ignore[attr-defined]


def _shared(total: int, count: int) -> Iterator[slice]:
    """All of `total` in `count` slices of nearly equal size."""
    edges = [total * k // count for k in range(count + 1)]
    return itertools.starmap(slice, itertools.pairwise(edges))


def _note(trace: Trace, here: tuple[slice, slice], part: Part) -> None:
    """Enter the registers after a block of one step, `here` `[1, B]`."""
    for name, registers in trace.states.items():
        layer = part.layers[name]
        for register, array in registers.items():
            array[here] = layer.register(register).reshape(array[here].shape)
