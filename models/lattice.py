"""An integer program as a snnTorch network in floating point that compiles to the same integers.

Each layer gets its unit of potential, U = 2^n integer steps, so that its threshold is near 1:

    weight = q 2^e / U,     threshold = T / U,     bias = (mantissa 2^f) / (64 U),
    beta = (4096 - decay_v) / 4096,     alpha = (4095 - decay_u) / 4096

All of these are whole numbers over powers of two, exact in float32. What snnTorch then computes differs
from the chip in one thing: the chip rounds what is left of current and potential toward zero in each step.

Compiling it gives every integer back where `avnir.passes.quantise` finds the scale U again. Where it takes
another one for a row (a finer one that represents the same, or a coarser one after an overflow), `settled`
takes what it chose and asks again, until nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from snntorch import Leaky, Synaptic
from torch import Tensor, nn

from avnir.compile import compile_graph
from avnir.errors import Finding, UnsupportedError
from avnir.export import trace
from avnir.ir import integer
from avnir.ir.graph import Node
from avnir.ir.operation import Array
from avnir.models.integer_synapses import matrix
from avnir.numerics import fixed
from avnir.program import Program
from avnir.target import Target

ROUNDS = 8
"""Compilations after which `settled` gives up; two or three are usual."""
TAKEN = frozenset(dir(nn.Module()))
"""Names that no layer can have in a PyTorch module."""


class LatticeNetwork(nn.Module):
    """One time step of the program: spikes `[B, *shape]`, one for each input, to the outputs' by name.

    Raises UnsupportedError, with every finding, where snnTorch's neurons cannot do it.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        if findings := list(_findings(program)):
            raise UnsupportedError("this program has no form in snnTorch", findings)
        self._graph = program.graph
        for node in self._graph.neurons:
            self.add_module(node.name, _neuron(_lif(node)))
            for index, name in enumerate(node.inputs):
                bias = _bias(_lif(node), self._graph[name].op.kind) if index == 0 else None
                self.add_module(
                    f"{node.name}_weights_{index}", _synapses(self._graph[name], _lif(node), bias)
                )

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        values = {node.name: x for node, x in zip(self._graph.inputs, inputs, strict=True)}
        for node in self._graph.neurons:
            current = _sum(self._arrived(node, index, values) for index in range(len(node.inputs)))
            values[node.name] = self.get_submodule(node.name)(current)
        shapes = {node: self._graph.shapes[node.name] for node in self._graph.outputs}
        return {n.name: values[n.inputs[0]].reshape(-1, *shape) for n, shape in shapes.items()}

    def _arrived(self, node: Node, index: int, values: Mapping[str, Tensor]) -> Tensor:
        connection = self._graph[node.inputs[index]]
        x = _sum(values[name] for name in connection.inputs)
        flat = x if connection.op.kind == "Conv" else x.flatten(1)
        made: Tensor = self.get_submodule(f"{node.name}_weights_{index}")(flat)
        return made.reshape(-1, *_lif(node).shape) if made.shape[1:] != _lif(node).shape else made


def settled(program: Program, target: Target, weight_bits: int) -> tuple[Program, LatticeNetwork]:
    """The program that its own network compiles to, and that network.

    Raises UnsupportedError where the program has no form in snnTorch, or none was found that stays.
    """
    for _ in range(ROUNDS):
        network = LatticeNetwork(program)
        again = compile_graph(trace(network, silence(program)), target, weight_bits).program
        if again.digest == program.digest:
            return program, network
        program = again
    problem = f"its integers change each of {ROUNDS} times that it is compiled"
    remedy = "Give its layers thresholds that leave their weights more room, or take more weight bits."
    raise UnsupportedError("these integers cannot be saved", [Finding(program.target, problem, remedy)])


def silence(program: Program) -> dict[str, Tensor]:
    """The least that `avnir.trace` needs to see: two steps without spikes, graded inputs at their lowest."""
    low = {n.name: cast(integer.Input, n.op).message_bits for n in program.graph.inputs}
    return {
        name: torch.full((2, 1, *program.graph.shapes[name]), -float(1 << (bits - 1)) if bits else 0.0)
        for name, bits in low.items()
    }


def moved(first: Program, second: Program) -> int:
    """How many weights of two programs of the same layers differ, as shares of their threshold."""
    return sum(
        int(np.sum(~np.isclose(a, b, rtol=1e-9, atol=0)))
        for a, b in zip(_relative(first), _relative(second), strict=True)
    )


def _relative(program: Program) -> Iterator[Array]:
    for node in program.graph.neurons:
        threshold = _lif(node).threshold
        for name in node.inputs:
            op = cast(integer.Connection, program.graph[name].op)
            rows = matrix(op).reshape(len(matrix(op)), -1) * 2.0**op.exponent
            yield rows / np.broadcast_to(threshold, _lif(node).shape).reshape(len(rows), -1)[:, :1]


def _lif(node: Node) -> integer.Lif:
    return cast(integer.Lif, node.op)


def _unit(op: integer.Lif) -> float:
    """The power of two next to the mean threshold."""
    return 2.0 ** round(math.log2(max(float(op.threshold.mean()), 1.0)))


def _synapses(node: Node, neurons: integer.Lif, bias: Array | None) -> nn.Module:
    op = cast(integer.Connection, node.op)
    rows = matrix(op)
    made = _conv(op, bias is not None) if isinstance(op, integer.Conv) else _linear(rows, bias is not None)
    weight = rows.astype(np.float64) * 2.0**op.exponent / _unit(neurons)
    made.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
    if bias is not None:
        made.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))
    return made


def _linear(rows: Array, bias: bool) -> nn.Linear:
    return nn.Linear(rows.shape[1], rows.shape[0], bias)


def _conv(op: integer.Conv, bias: bool) -> nn.Conv2d:
    out, per_group, *kernel = op.weight.shape
    channels, window = per_group * op.groups, (op.stride, op.padding, op.dilation, op.groups)
    return nn.Conv2d(channels, out, (kernel[0], kernel[1]), *window, bias)


def _bias(op: integer.Lif, kind: str) -> Array | None:
    """One for each row of a connection, None where all are 0."""
    if not np.any(op.bias_mantissa):
        return None
    values = (op.bias_mantissa.astype(np.float64) * 2.0**op.bias_exponent) / ((1 << fixed.ALIGN) * _unit(op))
    each = np.broadcast_to(values, op.shape)
    return np.asarray(each[:, 0, 0] if kind == "Conv" else each.reshape(-1))


def _neuron(op: integer.Lif) -> Leaky | Synaptic:
    mechanism, _, delayed = op.reset.partition("_")
    options = {
        "beta": _float32((fixed.DECAY_ONE - op.decay_v) / fixed.DECAY_ONE),
        "threshold": _float32(op.threshold / _unit(op)),
        "init_hidden": True,
        "reset_mechanism": mechanism,
        "reset_delay": bool(delayed) or mechanism == "none",
    }
    if _is_synaptic(op):
        return Synaptic(_float32((fixed.CURRENT_DECAY.high - op.decay_u) / fixed.DECAY_ONE), **options)
    return Leaky(**options)


def _float32(values: Array) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _has_current(op: integer.Lif) -> bool:
    return bool(np.any(op.decay_u != fixed.CURRENT_DECAY.high))


def _is_synaptic(op: integer.Lif) -> bool:
    """Whether it takes a Synaptic, whose bias flows into its current, as only that resets so."""
    return _has_current(op) or op.reset == "zero_next"


def _sum(parts: Iterable[Tensor]) -> Tensor:
    first, *rest = parts
    for part in rest:
        first = first + part
    return first


def _findings(program: Program) -> Iterator[Finding]:
    for node in program.graph.neurons:
        place = node.source or node.name
        if node.name in TAKEN:
            yield Finding(
                place, f"{node.name} is a name that PyTorch needs", "Call the layer something else."
            )
        if node.op.kind != "Lif":
            yield Finding(place, f"a {node.op.kind} does not spike", "Use neurons that spike.")
        else:
            connections = [cast(integer.Connection, program.graph[name].op) for name in node.inputs]
            yield from _neuron_findings(place, _lif(node), connections)


def _neuron_findings(
    place: str, op: integer.Lif, connections: Sequence[integer.Connection]
) -> Iterator[Finding]:
    if any(connection.lag for connection in connections):
        yield Finding(place, "it is fed by spikes of earlier steps", "Train a feed-forward network.")
    if _has_current(op) and op.reset == "zero_delayed":
        yield Finding(place, "Synaptic has no reset zero_delayed", "Use another reset.")
    if _is_synaptic(op) and np.any(op.bias_mantissa):
        yield Finding(place, "its bias would pass through its current", "Leave the bias out.")
    each = np.broadcast_to(op.bias_mantissa, op.shape).reshape(op.shape[0], -1)
    if connections[0].kind == "Conv" and np.any(each != each[:, :1]):
        yield Finding(place, "its bias varies within a channel", "Leave out the bias before a padding.")
