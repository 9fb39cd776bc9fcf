"""The engine: all samples together, every layer through a block of steps before the next one begins.

A program is balanced, so on the model's time base step t of a layer depends on step t of the layers before
it, or on an earlier step where a connection has a lag. A connection multiplies the inputs of all steps of a
block at once; neurons go through them one by one, and the layers of a loop together. Every result is an
integer, so the size of a block cannot change a bit. The window is shown again as in `avnir.hardware.cpu`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from avnir.hardware.cpu.order import order_of
from avnir.hardware.gpu.part import Part, Plan
from avnir.hardware.gpu.synapses import full_precision
from avnir.ir.operation import Array
from avnir.ir.presentations import rehearsals
from avnir.program import Program
from avnir.trace import Trace, checked_inputs

BLOCK_BYTES = 2 << 30
"""Most bytes of a block on the device: what all nodes give, and what the largest product takes besides."""


class GpuSession:
    """A program laid out on a device of PyTorch's."""

    def __init__(self, program: Program, device: str) -> None:
        graph = self._graph = program.graph
        needed = rehearsals(graph)
        self._orders = [order_of(graph, needed, shown) for shown in range(1 + max(needed.values()))]
        self._plan = Plan.of(graph, device)
        given = sum(math.prod(shape) * 4 for shape in graph.shapes.values())
        self._row_bytes = given + max((s.workspace for s in self._plan.synapses.values()), default=0)

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, Array], states: bool = False) -> Trace:
        """Run one window per sample: `inputs` integers `[T, B, *shape]` (DataError where one does not fit).

        With `states`, blocks are one step long, so that registers, int32, can be read after each.
        """
        arrays = checked_inputs(self._graph, inputs)
        steps, batch = next(iter(arrays.values())).shape[:2]
        trace = Trace.empty(self._graph, steps, batch, states)
        rows = max(1, BLOCK_BYTES // self._row_bytes)
        with full_precision():
            for samples in _slices(batch, rows):
                held = 1 if states else max(1, rows // (samples.stop - samples.start))
                self._run_part(arrays, trace, samples, held)
        return trace

    def _run_part(self, inputs: Mapping[str, Array], trace: Trace, samples: slice, held: int) -> None:
        """Take the samples through all presentations of the window, `held` steps at a time."""
        part = Part(self._plan, samples.stop - samples.start)
        before: Mapping[str, Array] = {}
        for number, presented in enumerate(trace.presented):
            part.begin()
            order = self._orders[0 if trace.states else number]
            known = {**inputs, **before}
            for span in _slices(len(next(iter(inputs.values()))), held):
                here = np.s_[span, samples]
                given = {name: self._on_device(name, known[name][here]) for name in order.known}
                _note(presented, here, part, part.block(order, given))
            before = presented.spikes

    def _on_device(self, name: str, array: Array) -> Tensor:
        """What an input or a layer sends: spikes uint8, messages int32."""
        graded = self._graph[name].op.message_bits  # type: ignore[attr-defined]
        return torch.from_numpy(array.astype(np.int32 if graded else np.uint8, order="C")).to(
            self._plan.device
        )


def _slices(total: int, most: int) -> Iterator[slice]:
    """All of `total` in slices of at most `most`."""
    return (slice(start, min(start + most, total)) for start in range(0, total, most))


def _note(trace: Trace, here: tuple[slice, slice], part: Part, values: Mapping[str, Tensor]) -> None:
    """Enter a block `here` into the trace: what nodes sent and, of a block of one step, the registers."""
    for record in (trace.spikes, trace.outputs):
        for name in record:
            record[name][here] = values[name].numpy(force=True)
    for name, registers in trace.states.items():
        for register, array in registers.items():
            array[here] = part.registers[name][register].numpy(force=True)
