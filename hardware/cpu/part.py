"""Some samples on their way through all layers: what each layer and each lag holds between two blocks.

All values within a block are matrices `[R, n]`, R = steps x samples with the samples of a step together:
uint8 for binary spikes, int32 for everything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.hardware.cpu.delta import DeltaRegisters
from avnir.hardware.cpu.lif import Registers
from avnir.hardware.cpu.order import Order
from avnir.hardware.cpu.window import WindowRegisters
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array

Stage = Callable[..., Array]


@dataclass
class Lagged:
    """A connection that gives in a step what it makes of the input of `lag` steps before.

    `waiting` `[lag * B, n]`: the inputs of the last steps, silence before the first.
    """

    stage: Stage
    waiting: Array

    def __call__(self, x: Array) -> Array:
        """What it gives in the steps of a block `x` `[S * B, n]`."""
        rows = np.concatenate([self.waiting, x])
        self.waiting = rows[len(x) :].copy()
        return self.stage(rows[: len(x)])

    def due(self, rows: int) -> Array:
        """What it gives in the next steps, before their input is known; of at most `lag` steps."""
        return self.stage(self.waiting[:rows])

    def take(self, x: Array) -> None:
        """The input of those steps."""
        self.waiting = np.concatenate([self.waiting[len(x) :], x])

    def begin(self) -> None:
        """Forget what waits: a presentation begins."""
        self.waiting = np.zeros_like(self.waiting)


class Part:
    """`samples` samples at rest before their first step."""

    def __init__(self, graph: Graph, plans: Mapping[str, Any], samples: int) -> None:
        self.samples = samples
        self._graph = graph
        self.layers: dict[str, Registers | DeltaRegisters | WindowRegisters] = {
            n.name: plans[n.name].registers(samples) for n in graph.select(lambda op: op.stateful)
        }
        self._ports = {node.name: node.op.ports(node.inputs) for node in graph}  # type: ignore[attr-defined]
        self._lagged = {
            node.name: Lagged(plans[node.name], _silence(graph, node, samples))
            for node in graph.select(lambda op: op.delayed)
        }
        self._stages: Mapping[str, Stage] = {**plans, **self.layers, **self._lagged}

    def begin(self) -> None:
        """Begin a presentation of the window, the first or another."""
        for held in (*self.layers.values(), *self._lagged.values()):
            held.begin()

    def block(self, order: Order, known: Mapping[str, Array]) -> dict[str, Array]:
        """What nodes send in a block of steps, of which `known` holds what `order` says, `[S, B, *shape]`."""
        rows = self.samples * len(next(iter(known.values())))
        values = {name: _matrix(self._graph[name], array) for name, array in known.items()}
        for nodes in order.computed:
            if len(nodes) > 1:
                self._go_round(nodes, values, rows)
            else:
                values[nodes[0].name] = self._made(nodes[0], values)
        return values

    def _made(self, node: Node, values: Mapping[str, Array]) -> Array:
        sums = [_summed(values[name] for name in port) for port in self._ports[node.name]]
        return self._stages[node.name](*sums) if node.name in self._stages else sums[0]

    def _go_round(self, loop: Sequence[Node], values: dict[str, Array], rows: int) -> None:
        """A loop, as many steps at a time as its shortest lag makes known beforehand."""
        delayed = [node for node in loop if node.name in self._lagged]
        stride = self.samples * min(node.op.lag for node in delayed)  # type: ignore[attr-defined]
        inside = {node.name for node in loop}
        feeding = {name: values[name] for node in loop for name in node.inputs if name not in inside}
        pieces = []
        for start in range(0, rows, stride):
            here = slice(start, min(start + stride, rows))
            made = {name: array[here] for name, array in feeding.items()}
            for node in loop:
                lagged = self._lagged.get(node.name)
                made[node.name] = lagged.due(here.stop - start) if lagged else self._made(node, made)
            for node in delayed:
                self._lagged[node.name].take(_summed(made[name] for name in node.inputs))
            pieces.append(made)
        values.update({name: np.concatenate([made[name] for made in pieces]) for name in inside})


def _silence(graph: Graph, node: Node, samples: int) -> Array:
    """No input in any of the steps that a connection lags behind, in the type that its input will have."""
    binary = len(node.inputs) == 1 and not getattr(graph[node.inputs[0]].op, "message_bits", 0)
    size = math.prod(graph.shapes[node.inputs[0]])
    return np.zeros((node.op.lag * samples, size), np.uint8 if binary else np.int32)  # type: ignore[attr-defined]


def _matrix(node: Node, block: Array) -> Array:
    """An input block `[S, B, *shape]` as a matrix `[S * B, n]` that a kernel may be given."""
    dtype = np.int32 if node.op.message_bits else np.uint8  # type: ignore[attr-defined]
    return np.require(block, dtype, ["C", "W"]).reshape(block.shape[0] * block.shape[1], -1)


def _summed(arrays: Iterable[Array]) -> Array:
    """The sum modulo 2^32 of what several nodes send; a single array as it is."""
    first, *others = arrays
    if not others:
        return first
    total = first.astype(np.int32)
    for array in others:
        total += array
    return total
