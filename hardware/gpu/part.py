"""Some samples on their way through all layers: what each layer and each lag holds between two blocks.

What a node gives in a block is a tensor `[S, B, *shape]`: spikes uint8, messages and sums int32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avnir.hardware.cpu.order import Order
from avnir.hardware.gpu.neurons import STEPS, Registers, Step, summed
from avnir.hardware.gpu.synapses import LINEAR, Synapses
from avnir.ir.graph import Graph, Node
from avnir.ir.message_bounds import largest_values

Values = dict[str, Tensor]


@dataclass(frozen=True)
class Plan:
    """A graph laid out on a device."""

    graph: Graph
    device: str
    synapses: Mapping[str, Synapses]
    steps: Mapping[str, Step]

    @classmethod
    def of(cls, graph: Graph, device: str) -> Plan:
        """Bring weights and parameters to the device."""
        largest = largest_values(graph)
        synapses = {
            node.name: Synapses.plan(
                node.op, graph.shapes[node.inputs[0]], sum(largest[name] for name in node.inputs), device
            )
            for node in graph
            if node.op.kind in LINEAR
        }
        steps = {node.name: STEPS[node.op.kind](node.op, device) for node in graph if node.op.kind in STEPS}
        return cls(graph, device, synapses, steps)

    def zeros(self, *shape: int) -> Tensor:
        """Silence, int32."""
        return torch.zeros(shape, dtype=torch.int32, device=self.device)


class Part:
    """`samples` samples at rest before their first step."""

    def __init__(self, plan: Plan, samples: int) -> None:
        self._plan, self._samples = plan, samples
        self.registers: dict[str, Registers] = {node.name: {} for node in plan.graph.neurons}
        self._waiting: Values = {}

    def begin(self) -> None:
        """Begin a presentation of the window, the first or another: what is on its way is forgotten."""
        for node in self._plan.graph.neurons:
            held = self.registers[node.name]
            node.op.begin(held)
            for register in node.op.registers:  # type: ignore[attr-defined]
                held.setdefault(register, self._plan.zeros(self._samples, *node.op.shape))  # type: ignore[attr-defined]
        for node in self._plan.graph.select(lambda op: op.delayed):
            shape = self._plan.graph.shapes[node.inputs[0]]
            self._waiting[node.name] = self._plan.zeros(node.op.lag, self._samples, *shape)  # type: ignore[attr-defined]

    def block(self, order: Order, known: Mapping[str, Tensor]) -> Values:
        """What every node gives in a block of steps, of which `known` holds what `order` says."""
        values = dict(known)
        for nodes in order.computed:
            if len(nodes) > 1:
                values |= self._round(nodes, values)
            else:
                values[nodes[0].name] = self._alone(nodes[0], values)
        return values

    def _alone(self, node: Node, values: Mapping[str, Tensor]) -> Tensor:
        """What a node gives that feeds nothing that feeds it."""
        if node.name not in self._waiting:
            return self._made(node, values)
        arriving = summed(values[name] for name in node.inputs)
        self._take(node, arriving)
        return self._due(node, len(arriving))

    def _made(self, node: Node, values: Mapping[str, Tensor]) -> Tensor:
        ports = [summed(values[name] for name in port) for port in node.op.ports(node.inputs)]  # type: ignore[attr-defined]
        if node.name in self._plan.synapses:
            return self._plan.synapses[node.name](*ports)
        shaped = [port.reshape(*port.shape[:2], *node.op.shape) for port in ports]  # type: ignore[attr-defined]
        if node.name not in self._plan.steps:
            return shaped[0]
        return self._plan.steps[node.name](*(port.int() for port in shaped), self.registers[node.name])

    def _round(self, loop: Sequence[Node], values: Mapping[str, Tensor]) -> Values:
        """What a loop gives, as many steps at a time as its shortest lag makes known beforehand."""
        delayed = [node for node in loop if node.name in self._waiting]
        stride = min(len(self._waiting[node.name]) for node in delayed)
        pieces = []
        steps = len(next(iter(values.values())))
        for start in range(0, steps, stride):
            made = {name: value[start : start + stride] for name, value in values.items()}
            for node in loop:
                lagged, count = node.name in self._waiting, min(stride, steps - start)
                made[node.name] = self._due(node, count) if lagged else self._made(node, made)
            for node in delayed:
                self._take(node, summed(made[name] for name in node.inputs))
            pieces.append(made)
        return {node.name: torch.cat([made[node.name] for made in pieces]) for node in loop}

    def _take(self, node: Node, x: Tensor) -> None:
        """What arrives at a connection with a lag waits."""
        self._waiting[node.name] = torch.cat([self._waiting[node.name], x.int()])

    def _due(self, node: Node, count: int) -> Tensor:
        """What a connection with a lag gives in the next steps, of what waits longest."""
        waiting = self._waiting[node.name]
        self._waiting[node.name] = waiting[count:]
        return self._plan.synapses[node.name](waiting[:count])
