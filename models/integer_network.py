"""An integer program as a PyTorch module: the same spikes as the chip, bit for bit, and gradients.

The trainable values are shadows of the integers, real numbers of which the forward pass takes the nearest
whole one; the gradient passes that rounding unchanged (straight through). Weights are kept as fractions of
the largest that the bits hold, biases as offsets in thresholds, one for each channel, so that one learning
rate fits all. Sums of integers are exact in float32 while none can reach 2^24, else they are made in float64.

Held while training: one weight of each row, its largest, which sets the row's scale when the network is
quantised again; the others' size is at most that. And the current stays free of overflow for every possible
input, where it was at the start (`avnir.passes.quantise` promises it): where a row's worst sum would reach
2^17, its weights shrink.

Time is the model's: a connection's delay balances the chip's latencies and drops out, its lag remains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from avnir.errors import Finding, UnsupportedError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.models.classifier import Classifier
from avnir.models.integer_lif import Neurons, window
from avnir.models.integer_synapses import Synapses, nearest
from avnir.numerics import fixed
from avnir.program import Program
from avnir.trace import Trace, checked_inputs

EXACT_FLOAT32 = 1 << 24
"""Whole numbers up to this, and sums whose every part stays below it, are exact in float32."""
CURRENT_LIMIT = fixed.STATE_LIMIT >> fixed.ALIGN
"""2^17: a summed input of this size overflows the 24-bit current."""
SHRINK = 0.999
"""Of the limit: where a row's weights go that reach it, so that rounding them rarely needs another round."""

Arriving = Callable[[str, int], Tensor]
"""A source and a lag to the spikes that come from it, `[T, B, *shape]`."""
Registers = tuple[Tensor, Tensor]


class Layer(nn.Module):
    """A layer of neurons with the connections into it."""

    def __init__(self, node: Node, synapses: Sequence[Synapses]) -> None:
        super().__init__()
        self.node = node
        self.synapses = nn.ModuleList(synapses)
        self.neurons = Neurons.of(self.op)
        self.exact = torch.float32 if sum(s.bound for s in synapses) < EXACT_FLOAT32 else torch.float64
        shape = self.op.shape
        self.mantissa = torch.from_numpy(np.broadcast_to(self.op.bias_mantissa, shape).astype(np.float64))
        self.offset = nn.Parameter(torch.zeros(shape[0], *(1,) * (len(shape) - 1)))
        self.offset.requires_grad_(bool(np.any(self.op.bias_mantissa)))
        width = torch.from_numpy(self.neurons.width).view(shape[0], -1).mean(1)
        self.steps = width.view_as(self.offset) / (1 << self.op.bias_exponent)
        with torch.no_grad():
            self.free = bool((self._accumulated() < CURRENT_LIMIT).all())

    @property
    def op(self) -> integer.Lif:
        return cast(integer.Lif, self.node.op)

    @property
    def connections(self) -> Iterator[Synapses]:
        return (cast(Synapses, part) for part in self.synapses)

    def mantissas(self) -> Tensor:
        """The biases' mantissas, whole numbers in float64 `[*shape]`."""
        moved = self.mantissa + self.offset.double() * self.steps
        low, high = fixed.BIAS_MANTISSA.low, fixed.BIAS_MANTISSA.high
        return nearest(moved).clamp(low, high)

    def forward(self, arriving: Arriving, state: Registers | None) -> tuple[Tensor, Registers]:
        """Spikes `[T, B, *shape]` and the registers after them; `state` None: from zero."""
        total = sum(self._arrived(synapses, arriving) for synapses in self.connections)
        current = cast(Tensor, total)
        steps, batch = current.shape[:2]
        nothing = torch.zeros(batch, current.shape[2], dtype=torch.float64)
        bias = self.mantissas().flatten() * (1 << self.op.bias_exponent)
        spikes, u, v = window(current, bias, state or (nothing, nothing), self.neurons)
        return spikes.view(steps, batch, *self.op.shape), (u, v)

    def _arrived(self, synapses: Synapses, arriving: Arriving) -> Tensor:
        x = cast(Tensor, sum(arriving(name, synapses.op.lag) for name in synapses.node.inputs))
        made = synapses.sums(x.to(self.exact).flatten(0, 1))
        return made.reshape(*x.shape[:2], -1)

    def hold(self) -> None:
        """Keep weights in their rows' size, and the current free of overflow."""
        for synapses in self.connections:
            synapses.hold()
        while self.free and bool((over := self._accumulated() / CURRENT_LIMIT).max() >= 1):
            smaller = torch.where(over >= 1, SHRINK / over, 1.0)
            for synapses in self.connections:
                repeated = smaller.repeat_interleave(len(synapses.shadow) // len(smaller))
                synapses.shadow.mul_(repeated.view_as(synapses.size))

    def _accumulated(self) -> Tensor:
        """The largest |current| of each group of rows over all inputs in all time."""
        groups = math.gcd(*(len(synapses.shadow) for synapses in self.connections))
        sums = [synapses.worst().view(groups, -1).amax(1) for synapses in self.connections]
        lost = fixed.DECAY_ONE - int(self.neurons.keep_u.max())
        return torch.stack(sums).sum(0) * fixed.DECAY_ONE / lost

    def result(self) -> integer.Lif:
        """The operation with the biases as they are now."""
        mantissa = self.mantissas().numpy().astype(np.int32)
        even = np.all(mantissa == mantissa.flat[0])
        return self.op.replace(bias_mantissa=mantissa.reshape(-1)[:1].reshape(()) if even else mantissa)


class IntegerNetwork(Classifier):
    """A program whose weights, of `weight_bits` sign included, and biases are trainable.

    As a classifier it has one output and a window of `steps`; `run` takes any program and any window.
    Raises UnsupportedError, with every finding, for layers that send graded messages.
    """

    def __init__(self, program: Program, weight_bits: int = 8, steps: int = 1) -> None:
        super().__init__()
        if findings := [_graded(node) for node in program.graph.neurons if node.op.kind != "Lif"]:
            raise UnsupportedError("these layers cannot be trained as integers", findings)
        self.program, self.weight_bits, self.steps = program, weight_bits, steps
        self.graph: Graph = program.graph
        self.inputs = tuple(node.name for node in self.graph.inputs)
        largest = (1 << (weight_bits - 1)) - 1
        self.layers = nn.ModuleList(
            Layer(node, [self._synapses(name, largest) for name in node.inputs])
            for node in self.graph.neurons
        )

    def _synapses(self, name: str, largest: int) -> Synapses:
        node = self.graph[name]
        bits = [cast(Any, self.graph[source].op).message_bits for source in self._given(node)]
        peaks = [1 << max(b - 1, 0) for b in bits] + [1] * (len(node.inputs) - len(bits))
        return Synapses(node, largest, sum(peaks), any(bits))

    def _given(self, node: Node) -> Iterator[str]:
        return (name for name in node.inputs if name in self.inputs)

    @property
    def loops(self) -> bool:
        """Whether a layer is fed by one that comes after it, so that the steps must be run one by one."""
        seen = set(self.inputs)
        for layer in self._layers():
            if not all(name in seen for part in layer.connections for name in part.node.inputs):
                return True
            seen.add(layer.node.name)
        return False

    def _layers(self) -> Iterator[Layer]:
        return (cast(Layer, layer) for layer in self.layers)

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return {name: self.graph.shapes[name] for name in self.inputs}

    def identity(self) -> dict[str, Any]:
        return {"program": self.program.digest, "weight_bits": self.weight_bits, "steps": self.steps}

    def window(self, *inputs: Tensor) -> Tensor:
        (out,) = self.graph.outputs
        spikes = self.run(dict(zip(self.inputs, inputs, strict=True)))
        return cast(Tensor, self._shown(out, spikes[out.inputs[0]]))

    def _shown(self, out: Node, spikes: Any) -> Any:
        """Spikes `[T, B, ...]` of a layer in the shape of an output."""
        return spikes.reshape(*spikes.shape[:2], *self.graph.shapes[out.name])

    def run(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Spikes float32 `[T, B, *shape]` of every layer, beside the inputs of that form."""
        if self.training:
            self.hold()
        with torch.backends.nnpack.flags(enabled=False):  # its fast convolutions do not keep integers whole
            return self._by_steps(inputs) if self.loops else self._by_layers(inputs)

    def _by_layers(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        values = dict(inputs)
        for layer in self._layers():
            values[layer.node.name], _ = layer(lambda name, lag: _later(values[name], lag), None)
        return values

    def _by_steps(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        steps, batch = next(iter(inputs.values())).shape[:2]
        past: dict[str, list[Tensor]] = {name: [step[None] for step in x] for name, x in inputs.items()}
        past |= {layer.node.name: [] for layer in self._layers()}
        silent = {name: torch.zeros(1, batch, *self.graph.shapes[name]) for name in past}
        states: dict[str, Registers | None] = dict.fromkeys(past)
        for t in range(steps):

            def arriving(name: str, lag: int, now: int = t) -> Tensor:
                return past[name][now - lag] if now >= lag else silent[name]

            for layer in self._layers():
                spikes, states[layer.node.name] = layer(arriving, states[layer.node.name])
                past[layer.node.name].append(spikes)
        return {name: torch.cat(given) for name, given in past.items()}

    @torch.no_grad()
    def trace(self, inputs: Mapping[str, Array]) -> Trace:
        """Spikes of every layer, and all outputs, uint8 `[T, B, *shape]`: what `interpret_integer` gives."""
        arrays = checked_inputs(self.graph, inputs)
        made = self.run({name: torch.from_numpy(x.astype(np.float64)) for name, x in arrays.items()})
        spikes = {n.name: made[n.name].numpy().astype(np.uint8) for n in self.graph.neurons}
        return Trace(
            spikes, {out.name: self._shown(out, spikes[out.inputs[0]]) for out in self.graph.outputs}
        )

    @torch.no_grad()
    def hold(self) -> None:
        """Keep all that the module's docstring says is held."""
        for layer in self._layers():
            layer.hold()

    @torch.no_grad()
    def trained(self) -> Program:
        """The program with the integers as they are now."""
        self.hold()
        ops: dict[str, integer.IntegerOperation] = {}
        for layer in self._layers():
            ops[layer.node.name] = layer.result()
            ops |= {part.node.name: part.result() for part in layer.connections}
        nodes = (replace(node, op=ops.get(node.name, node.op)) for node in self.graph)
        return replace(self.program, graph=self.graph.with_nodes(nodes))


def _graded(node: Node) -> Finding:
    return Finding(node.source or node.name, f"a {node.op.kind} does not spike", "Use neurons that spike.")


def _later(spikes: Tensor, lag: int) -> Tensor:
    """What arrives `lag` steps later, silence first."""
    if not lag:
        return spikes
    return torch.cat([torch.zeros_like(spikes[:lag]), spikes])[: len(spikes)]
