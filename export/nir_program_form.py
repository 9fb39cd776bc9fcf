"""The shapes that a program's layers have in a NIR file, and where its biases go.

NIR can merge axes (Flatten), but cannot split them. So a layer of neurons that does not get its input in its
own shape, such as a picture fed by a Dense, is flat in the file; a Conv that reads such a layer, or whose
kernel has no square form (`avnir.export.nir_conv`), is there the matrix of the same map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from avnir.export.nir_conv import square_form
from avnir.export.nir_guard import MAX_BYTES
from avnir.ir import real
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.numerics import fixed


@dataclass(frozen=True)
class Form:
    """How a program's graph stands in a NIR file."""

    graph: Graph

    def fed(self, node: Node) -> Shape:
        """The shape of what feeds the node, in the program."""
        return self.graph.shapes[node.inputs[0]]

    @cached_property
    def squares(self) -> Mapping[str, real.Conv2d | None]:
        """For each Conv the convolution that NIR can hold, its weight int8; None where there is none.

        There is none either where all of them together would be larger than a file may be.
        """
        found: dict[str, real.Conv2d | None] = {}
        left = MAX_BYTES
        for node in self.graph:
            if node.op.kind != "Conv":
                continue
            op: Any = node.op
            size = len(op.weight) * op.weight.shape[1] * op.groups * max(op.weight.shape[2:]) ** 2
            room = size <= left
            left -= size if room else 0
            plain = real.Conv2d(op.weight, None, op.stride, op.padding, op.dilation, op.groups)
            found[node.name] = square_form(plain, self.fed(node)) if room else None
        return found

    @cached_property
    def given(self) -> Mapping[str, Shape]:
        """The shape that each node gives in the file."""
        shapes = {node.name: self.graph.shapes[node.name] or (1,) for node in self.graph}
        while True:
            again = {node.name: _GIVEN[node.op.kind](self, node, shapes) for node in self.graph}
            if again == shapes:
                return shapes
            shapes = again

    def taken(self, node: Node) -> Shape:
        """The shape that a node takes in the file."""
        if node.op.connection:  # type: ignore[attr-defined]
            return self.fed(node) if self.convolves(node) else flat(self.fed(node))
        return self.given[node.name]

    def reshaped(self, node: Node) -> bool:
        """Whether some of what it feeds takes it flat, and it is not."""
        given, fed = self.given[node.name], self.graph.consumers[node.name]
        return any(self.taken(self.graph[name]) != given for name in fed)

    def convolves(self, node: Node) -> bool:
        """Whether the node is a convolution in the file too."""
        return _convolves(self, node, self.given)

    def closes_loop(self, node: Node) -> bool:
        """Whether a connection leads from one layer back into it, a step later: a cycle without a Delay."""
        op: Any = node.op
        return op.lag == 1 and node.inputs == self.graph.consumers[node.name] and len(node.inputs) == 1

    @cached_property
    def carriers(self) -> Mapping[str, str]:
        """The layers whose bias can be that of a connection which feeds them, with its name.

        That needs neurons without a current, and synapses of their own that answer in the same step.
        """
        layers = [node for node in self.graph.neurons if has_bias(node.op) and not has_current(node.op)]
        found = {node.name: next(self._carriers(node), None) for node in layers}
        return {layer: name for layer, name in found.items() if name is not None}

    def _carriers(self, node: Node) -> Iterator[str]:
        bias = bias_of(node.op, self.graph.shapes[node.name])
        for name in node.inputs:
            own = self.graph.consumers[name] == (node.name,) and not self.graph[name].op.delayed
            maps = bias.reshape(len(self.graph[name].op.weight), -1)  # type: ignore[attr-defined]
            if own and (not self.convolves(self.graph[name]) or np.all(maps == maps[:, :1])):
                yield name


def flat(shape: Shape) -> Shape:
    """All axes merged into one."""
    return (math.prod(shape),)


def matrix(op: Any, shape: Shape) -> Array:
    """The map of a Conv on an input `shape` as int8 `[out, in]`, both row-major."""
    outputs, grouped = op.output_shape(shape), op.weight.reshape(op.groups, -1, *op.weight.shape[1:])
    channels = (op.groups, grouped.shape[1]), (op.groups, grouped.shape[2])
    result = np.zeros((*channels[0], *outputs[1:], *channels[1], *shape[1:]), np.int8)
    group = np.arange(op.groups)[:, None, None]
    for i, j in np.ndindex(*op.weight.shape[2:]):
        y, row = _meeting(op, 0, i, outputs[1], shape[1])
        x, column = _meeting(op, 1, j, outputs[2], shape[2])
        result[group, :, y[:, None], x, group, :, row[:, None], column] = grouped[..., i, j][:, None, None]
    return result.reshape(math.prod(outputs), math.prod(shape))


def _meeting(op: Any, axis: int, position: int, windows: int, size: int) -> tuple[Array, Array]:
    """The windows in which this position of the kernel lies on the input, and where on it."""
    window = np.arange(windows)
    place = window * op.stride[axis] + position * op.dilation[axis] - op.padding[axis]
    inside = (place >= 0) & (place < size)
    return window[inside], place[inside]


def has_current(op: Any) -> bool:
    """Whether a Lif keeps any of its current."""
    return bool(np.any(op.decay_u != fixed.CURRENT_DECAY.high))


def has_bias(op: Any) -> bool:
    """Whether a Lif has any bias."""
    return bool(np.any(op.bias_mantissa != 0))


def bias_of(op: Any, shape: Shape) -> Array:
    """A Lif's bias in units of a weight, float64 of `shape`, exact."""
    shifted = op.bias_mantissa.astype(np.float64) * 2.0 ** (op.bias_exponent - fixed.ALIGN)
    return np.broadcast_to(shifted, shape)


def _convolves(form: Form, node: Node, shapes: Mapping[str, Shape]) -> bool:
    fits = all(shapes[name] == form.graph.shapes[name] for name in node.inputs)
    return fits and form.squares.get(node.name) is not None


def _lif(form: Form, node: Node, shapes: Mapping[str, Shape]) -> Shape:
    own = form.graph.shapes[node.name]
    return own if all(shapes[name] == own for name in node.inputs) else flat(own)


def _conv(form: Form, node: Node, shapes: Mapping[str, Shape]) -> Shape:
    own = form.graph.shapes[node.name]
    return own if _convolves(form, node, shapes) else flat(own)


_GIVEN: Mapping[str, Callable[[Form, Node, Mapping[str, Shape]], Shape]] = {
    "Input": lambda form, node, shapes: shapes[node.name],
    "Output": lambda form, node, shapes: shapes[node.inputs[0]],
    "Dense": lambda form, node, shapes: shapes[node.name],
    "Conv": _conv,
    "Lif": _lif,
}
"""What a node gives, from what the others give so far: layers only ever become flat."""
