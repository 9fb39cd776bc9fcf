"""The engine: samples are dealt to threads; each thread takes its samples through all layers.

A program is balanced, so on the model's time base step t of a layer depends on step t of the layers
before it, or on an earlier step where a connection has a lag. A layer can therefore work through a whole
block of steps before the next one begins, what is on its way in a delay never has to be kept, and only
the layers of a loop go step by step, together. Samples are independent and every result is an integer,
so neither the number of threads nor the size of a block can change a bit.

A program that needs the window several times goes through it as often. What a layer sends no longer changes
after the rehearsals that it needs (`avnir.ir.presentations`), and is taken over from the presentation before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from avnir.hardware.cpu.conv import ConvStage
from avnir.hardware.cpu.delta import DeltaStage
from avnir.hardware.cpu.dense import DenseStage
from avnir.hardware.cpu.graded import InverseRootStage, ProductStage, RelayStage
from avnir.hardware.cpu.lif import LifStage
from avnir.hardware.cpu.order import order_of
from avnir.hardware.cpu.part import Part
from avnir.hardware.cpu.sparse import SparseStage
from avnir.hardware.cpu.window import WindowStage
from avnir.ir.operation import Array
from avnir.ir.presentations import rehearsals
from avnir.program import Program
from avnir.trace import Trace, checked_inputs

BLOCK_BYTES = 4 << 20
"""Values of one block of one thread, so that they stay in the second-level cache or near it."""
BLOCK_STEPS = 64
"""Steps that a block should have: neurons load their states and parameters once a block."""
PARTS_PER_THREAD = 2
"""Parts of the batch for each thread: more even out what threads take, fewer cost less overhead."""

PLANS: Mapping[str, Callable[..., Any]] = {
    "Dense": DenseStage.plan,
    "Conv": ConvStage.plan,
    "Sparse": SparseStage.plan,
    "Lif": LifStage.plan,
    "Relay": RelayStage.plan,
    "Product": ProductStage.plan,
    "InverseRoot": InverseRootStage.plan,
    "Readout": LifStage.plan_readout,
    "WindowSum": WindowStage.plan,
    "Delta": DeltaStage.plan,
    "SigmaDelta": DeltaStage.plan_sigma,
}
"""How the operations that compute are laid out; Input and Output only hand on."""


class CpuSession:
    """A program laid out for the processor, with the threads that run it."""

    def __init__(self, program: Program, threads: int | None = None) -> None:
        self._graph = program.graph
        self._threads = threads or numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="avnir-cpu")
        needed = rehearsals(self._graph)
        self._orders = [order_of(self._graph, needed, shown) for shown in range(1 + max(needed.values()))]
        shapes = self._graph.shapes
        self._plans = {
            n.name: PLANS[n.op.kind](n.op, shapes[n.inputs[0]]) for n in self._graph if n.op.kind in PLANS
        }
        widths = {True: 4, False: 1}
        self._row_bytes = sum(math.prod(shapes[n.name]) * widths[n.name in self._plans] for n in self._graph)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def run(self, inputs: Mapping[str, Array], states: bool = False) -> Trace:
        """Run one window per sample: `inputs` integers `[T, B, *shape]` (DataError where one does not fit).

        With `states`, blocks are one step long, so that registers, int32, can be read after each.
        """
        arrays = checked_inputs(self._graph, inputs)
        steps, batch = next(iter(arrays.values())).shape[:2]
        trace = Trace.empty(self._graph, steps, batch, states)
        for _ in self._pool.map(lambda part: self._run_part(arrays, trace, part), self._parts(steps, batch)):
            pass
        return trace

    def _parts(self, steps: int, batch: int) -> Iterator[slice]:
        """The batch in parts of nearly equal size, small enough for blocks of BLOCK_STEPS steps."""
        rows = max(1, BLOCK_BYTES // self._row_bytes)
        samples = max(1, rows // min(steps, BLOCK_STEPS))
        wanted = max(math.ceil(batch / samples), self._threads * PARTS_PER_THREAD)
        count = min(batch, math.ceil(wanted / self._threads) * self._threads)
        edges = [batch * k // count for k in range(count + 1)]
        return itertools.starmap(slice, itertools.pairwise(edges))

    def _run_part(self, inputs: Mapping[str, Array], trace: Trace, samples: slice) -> None:
        """Take the samples through all presentations of the window, and write them into the trace."""
        steps, count = len(next(iter(inputs.values()))), samples.stop - samples.start
        block = 1 if trace.states else max(1, BLOCK_BYTES // (self._row_bytes * count))
        part = Part(self._graph, self._plans, count)
        for number, presented in enumerate(trace.presented):
            part.begin()
            order = self._orders[0 if trace.states else number]
            known = {**inputs, **(trace.rehearsals[number - 1].spikes if number else {})}
            known = {name: known[name] for name in order.known}
            for start in range(0, steps, block):
                here = np.s_[start : start + block, samples]
                values = part.block(order, {name: array[here] for name, array in known.items()})
                _write(presented, here, values, part)


def _write(trace: Trace, here: tuple[slice, slice], values: Mapping[str, Array], part: Part) -> None:
    """Enter what a block of steps, `here` `[S, B]`, gave."""
    for name, array in itertools.chain(trace.spikes.items(), trace.outputs.items()):
        array[here] = values[name].reshape(array[here].shape)
    for name, registers in trace.states.items():
        layer = part.layers[name]
        for register, array in registers.items():
            array[here] = layer.register(register).reshape(array[here].shape)
