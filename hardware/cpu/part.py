"""Some samples on their way through all layers: what each layer and each lag holds between two blocks.

What nodes send within a block is a `Sent`; what connections bring to neurons is a matrix, int32 `[S * B, n]`,
the samples of a step together.
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
from avnir.hardware.cpu.plans import FILLING, Plans
from avnir.hardware.cpu.sent import Sent
from avnir.hardware.cpu.window import WindowRegisters
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.packed import words_of

Stage = Callable[..., Any]
Room = Mapping[str, Sent]


@dataclass
class Lagged:
    """A connection that gives in a step what it makes of the input of `lag` steps before.

    `waiting`: the inputs of the last steps, silence before the first; see `Sent.block`. `size`: neurons.
    """

    stage: Stage
    waiting: Array
    samples: int
    size: int

    def __call__(self, x: Sent) -> Array:
        """What it gives in the steps of a block."""
        rows = np.concatenate([self.waiting, x.block])
        self.waiting = rows[x.count :].copy()
        return self._given(rows[: x.count])

    def due(self, rows: int) -> Array:
        """What it gives in the next steps, before their input is known; of at most `lag` steps."""
        return self._given(self.waiting[:rows])

    def take(self, x: Sent) -> None:
        """The input of those steps."""
        self.waiting = np.concatenate([self.waiting[x.count :], x.block])

    def begin(self) -> None:
        """Forget what waits: a presentation begins."""
        self.waiting = np.zeros_like(self.waiting)

    def _given(self, rows: Array) -> Array:
        given: Array = self.stage(Sent.alone(rows, self.samples, self.size))
        return given


class Part:
    """`samples` samples at rest before their first step."""

    def __init__(self, graph: Graph, plans: Plans, samples: int) -> None:
        self.samples = samples
        self._graph, self._plans = graph, plans
        self.layers: dict[str, Registers | DeltaRegisters | WindowRegisters] = {
            n.name: plans.stages[n.name].registers(samples) for n in graph.select(lambda op: op.stateful)
        }
        self._ports = {node.name: node.op.ports(node.inputs) for node in graph}  # type: ignore[attr-defined]
        self._lagged = {
            node.name: _lagged(graph, node, plans.stages[node.name], samples)
            for node in graph.select(lambda op: op.delayed)
        }
        self._stages: Mapping[str, Stage] = {**plans.stages, **self.layers, **self._lagged}

    def begin(self) -> None:
        """Begin a presentation of the window, the first or another."""
        for held in (*self.layers.values(), *self._lagged.values()):
            held.begin()

    def block(self, order: Order, known: Room, room: Room) -> None:
        """Fill `room`, by node that sends, for a block of steps, of which `known` holds what `order` says."""
        values: dict[str, Any] = dict(known)
        for nodes in order.computed:
            if len(nodes) > 1:
                self._go_round(nodes, values, room)
            elif nodes[0].name not in self._plans.made_later:
                values[nodes[0].name] = self._made(nodes[0], values, room)

    def _made(self, node: Node, values: Mapping[str, Any], room: Room) -> Any:
        """What a node gives: a matrix of a connection, a Sent of all others."""
        if node.op.connection:  # type: ignore[attr-defined]
            return self._stages[node.name](self._arriving(node, values))
        if node.name in room:
            self._fill(node, values, room[node.name])
        return room.get(node.name)

    def _arriving(self, connection: Node, values: Mapping[str, Any]) -> Sent:
        """What feeds a connection, as one."""
        feeding: list[Sent] = [values[name] for name in connection.inputs]
        if len(feeding) == 1:
            return feeding[0]
        return Sent.alone(_summed(sent.array for sent in feeding), self.samples)

    def _fill(self, node: Node, values: Mapping[str, Any], sent: Sent) -> None:
        """Enter what neurons send, or an output shows."""
        driver = self._plans.drivers.get(node.name)
        if driver:
            given = [self._arriving(self._graph[name], values) for name in driver.connections]
            driver.stage.drive(self.layers[node.name], given, sent)
        elif node.op.kind == "Output":
            sent.cube[:] = values[node.inputs[0]].cube
        else:
            sums = [self._arrived(port, values) for port in self._ports[node.name]]
            if node.op.kind in FILLING:
                self._stages[node.name](*sums, sent)
            else:
                sent.fill(self._stages[node.name](*sums))

    def _arrived(self, port: Sequence[str], values: Mapping[str, Any]) -> Array:
        """The sum modulo 2^32 of what arrives at a port of neurons; of one connection as it is."""
        first, *others = port
        total = self._given(first, values)
        if others and first not in self._plans.awaited:
            total = total.astype(np.int32)
        for name in others:
            if name in self._plans.adding:
                self._plans.stages[name].add(self._arriving(self._graph[name], values), total)
            else:
                total += self._given(name, values)
        return total

    def _given(self, connection: str, values: Mapping[str, Any]) -> Array:
        """The matrix of a connection, made now if it was awaited."""
        if connection not in self._plans.awaited:
            return np.asarray(values[connection])
        return np.asarray(self._made(self._graph[connection], values, {}))

    def _go_round(self, loop: Sequence[Node], values: dict[str, Any], room: Room) -> None:
        """A loop, as many steps at a time as its shortest lag makes known beforehand."""
        delayed = [node for node in loop if node.name in self._lagged]
        stride = self.samples * min(node.op.lag for node in delayed)  # type: ignore[attr-defined]
        inside = {node.name for node in loop}
        feeding = {name: values[name] for node in loop for name in node.inputs if name not in inside}
        sending = {name: room[name] for name in inside & room.keys()}
        pieces = []
        rows = next(iter(sending.values())).count
        for start in range(0, rows, stride):
            here = slice(start, min(start + stride, rows))
            made = {name: _cut(value, here, self.samples) for name, value in feeding.items()}
            spare = {name: sent.like(here.stop - start) for name, sent in sending.items()}
            for node in loop:
                lagged = self._lagged.get(node.name)
                made[node.name] = lagged.due(here.stop - start) if lagged else self._made(node, made, spare)
            for node in delayed:
                self._lagged[node.name].take(self._arriving(node, made))
            pieces.append(made)
        for name in inside - sending.keys():
            values[name] = np.concatenate([made[name] for made in pieces])
        for name, sent in sending.items():
            sent.fill(np.concatenate([made[name].block for made in pieces]))
            values[name] = sent


def _lagged(graph: Graph, node: Node, stage: Stage, samples: int) -> Lagged:
    """A connection before which nothing was sent, as its input will be."""
    binary = len(node.inputs) == 1 and not getattr(graph[node.inputs[0]].op, "message_bits", 0)
    size, rows = math.prod(graph.shapes[node.inputs[0]]), node.op.lag * samples  # type: ignore[attr-defined]
    silence = np.zeros((rows, words_of(size)), np.int64) if binary else np.zeros((rows, size), np.int32)
    return Lagged(stage, silence, samples, size)


def _cut(value: Any, here: slice, samples: int) -> Any:
    """Some rows of what a node gave, a Sent or a matrix."""
    return Sent.alone(value.block[here], samples, value.size) if isinstance(value, Sent) else value[here]


def _summed(arrays: Iterable[Array]) -> Array:
    """The sum modulo 2^32 of what several nodes give; a single array as it is."""
    first, *others = arrays
    if not others:
        return first
    total = first.astype(np.int32)
    for array in others:
        total += array
    return total
