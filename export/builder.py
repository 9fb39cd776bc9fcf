"""What stands for a tensor while a model is read, and the nodes made so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor, fx, nn

from avnir.export.capture import identifier, place_of
from avnir.export.recurrence import comes_back
from avnir.ir import real
from avnir.ir.graph import Node
from avnir.ir.operation import Array, Operation, Shape
from avnir.ir.real_sparse import Sparse


@dataclass(frozen=True)
class Value:
    """The sum of what `producers` send, `[B, *shape]`, or `[1, B, *shape]` if `window`."""

    producers: tuple[str, ...]
    shape: Shape
    window: bool = False


UNKNOWN = "?"
"""The producer of a refused operation's result, so that what follows is checked too."""


@dataclass(frozen=True)
class Unknown:
    """The result of a refused operation that lost the batch: what uses it is not looked at."""


@dataclass(frozen=True)
class Parameter:
    """A parameter, buffer or constant of the model, with its name."""

    name: str
    tensor: Tensor


@dataclass(frozen=True)
class Root:
    """A square root of `x`, or what one is yet to be taken of, which only a division takes (`aten_root`).

    Not `rooted` yet, or a root; `guard` and `epsilon` as `avnir.ir.real_graded.InverseRoot` has them, no
    guard where empty.
    """

    x: Value
    rooted: bool = False
    guard: str = ""
    epsilon: float = 0.0


@dataclass(frozen=True)
class Zeros:
    """A constant of zeros, of any shape."""


@dataclass(frozen=True)
class State:
    """The neuron's state that the caller hands in, by its position."""

    index: int


@dataclass(frozen=True)
class Membrane:
    """A state after the step of the neuron layer at `path`, in words; `state` if the caller keeps it.

    `node` is the neuron's call and `x` what flows into it.
    """

    path: str
    state: int | None
    words: str
    node: fx.Node
    x: Value
    window: bool = False


class Refused(Exception):
    """An operation cannot be taken: what is wrong and what to use instead."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


@dataclass
class Builder:
    """The nodes made so far; `layers` maps each neuron node to its module's path, `taken`: names in use.

    `steps`: those of the examples' window, of which one is exported.
    `rows`: what was reshaped from (C, 1, L) to (C, L), so that it need not be reshaped back. By the position
    of a state that the caller hands in: `held`, those that a neuron took as its own, `own_spikes`, what a
    recurrent neuron gives back for one, and `delays`, what stands for one that is computed with.
    """

    modules: Mapping[str, nn.Module]
    batch: int
    window: bool
    taken: set[str]
    steps: int
    nodes: dict[str, Node] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    rows: dict[tuple[str, ...], Value] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    own_spikes: dict[int, Value] = field(default_factory=dict)
    delays: dict[int, Value] = field(default_factory=dict)

    def emit(
        self, node: fx.Node, op: real.RealOperation, x: Value, layer: str | None = None, label: str = ""
    ) -> Value:
        """The output of a new node for `op`, named after its module and `label`; `layer`: a neuron's path."""
        shape = op.output_shape(x.shape)
        place = place_of(node)
        path = place.path if layer is None else layer
        own = layer is not None or (place.leaf and op.kind != "Scale")
        suffix = label or ("" if own else op.kind.lower())
        name = self.fresh("_".join(part for part in (path, suffix) if part))
        self.nodes[name] = Node(name, op, x.producers, str(place))
        if layer is not None:
            self.layers[name] = layer
        return Value((name,), shape, x.window)

    def delay(self, node: fx.Node, shape: Shape, label: str) -> Value:
        """What comes a step later, of spikes that `close` names when they are made."""
        name = self.fresh(label)
        self.nodes[name] = Node(name, real.Delay(shape), (), str(place_of(node)))
        return Value((name,), shape)

    def close(self, delay: Value, spikes: Value) -> None:
        """Let the delay get these spikes."""
        (name,) = delay.producers
        self.nodes[name] = replace(self.nodes[name], inputs=spikes.producers)

    def sum(self, node: fx.Node, a: Value, b: Value) -> Value:
        """Both; the longer sum first, so that c + (a + b) is rounded like (a + b) + c; x + x is 2 x."""
        first, second = sorted((a, b), key=lambda value: -len(value.producers))
        counts = Counter((*first.producers, *second.producers))
        names = [self.multiple(node, Value((name,), a.shape, a.window), n) for name, n in counts.items()]
        return self.written(node, Value(tuple(names), a.shape, a.window))

    def written(self, node: fx.Node, x: Value) -> Value:
        """The sum with no path first that a recurrent neuron would bring back itself (`recurrence`)."""
        if len(x.producers) < 2 or not comes_back(self.nodes, x.producers[0]):
            return x
        first, second, *rest = x.producers
        if comes_back(self.nodes, second):
            return self.emit(node, real.Scale(np.array(1, np.float32)), x)
        return replace(x, producers=(second, first, *rest))

    def multiple(self, node: fx.Node, x: Value, count: int) -> str:
        if count > 1 and x.producers != (UNKNOWN,):
            x = self.emit(node, real.Scale(np.array(count, np.float32)), x)
        return x.producers[0]

    def is_binary(self, x: Value) -> bool:
        """Whether `x` is known to be one train of zeros and ones, possibly pooled or reshaped."""
        node = self.nodes.get(x.producers[0])
        if len(x.producers) != 1 or node is None:
            return x.producers == (UNKNOWN,)
        if node.op.kind in ("Flatten", "MaxPool2d") or _picks(node.op):
            return self.is_binary(Value(node.inputs, ()))
        if node.op.delayed and node.inputs:
            return self.is_binary(Value(node.inputs, ()))
        return node.op.spiking or node.op.delayed or getattr(node.op, "message_bits", None) == 0

    def is_held(self, x: Value) -> bool:
        """Whether `x` is the same in every step of a window: made of sums over it alone."""
        waiting, seen = list(x.producers), {UNKNOWN}
        while waiting:
            name = waiting.pop()
            if name in seen or self.nodes[name].op.rehearsed:
                continue
            seen.add(name)
            node = self.nodes[name]
            if not node.inputs or node.op.stateful or node.op.delayed or node.op.kind == "WindowSum":
                return False
            waiting += node.inputs
        return True

    def tensor_shape(self, x: Value) -> Shape:
        """The shape of the exported tensor that `x` stands for: of one step, with the batch."""
        return (*((1,) if x.window else ()), self.batch, *x.shape)

    def fresh(self, text: str) -> str:
        """A name that is not taken: the text itself, or with a number."""
        name = base = identifier(text)
        count = 1
        while name in self.taken:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name

    def layout(self, shape: Sequence[int], steps: int = 1) -> tuple[Shape, bool]:
        """The sample's shape in a tensor's, and whether the axis of time stands before the batch."""
        if tuple(shape[:1]) == (self.batch,):
            return tuple(shape[1:]), False
        if self.window and tuple(shape[:2]) == (steps, self.batch):
            return tuple(shape[2:]), True
        raise Refused(
            "moves or drops the batch", "Keep the batch first: x.flatten(1), x.view(x.size(0), ...)"
        )


def _picks(op: Operation) -> bool:
    """Whether each output is one of the inputs, or 0: weights of zeros and at most a single one a row."""
    if isinstance(op, Sparse):
        return bool(np.all(op.weight == 1) and np.all(np.diff(op.target) > 0))
    weight: Array | None = getattr(op, "weight", None)
    if op.kind not in ("Linear", "Conv2d") or weight is None or getattr(op, "bias", None) is not None:
        return False
    rows = weight.reshape(len(weight), -1)
    return bool(np.all((rows == 0) | (rows == 1)) and np.all(np.count_nonzero(rows, axis=1) <= 1))


@dataclass(frozen=True)
class Call:
    """One operation, as its handler sees it: arguments by their names in PyTorch's schema, with defaults."""

    builder: Builder
    node: fx.Node
    arguments: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def result(self) -> Any:
        """PyTorch's own description of the result: a tensor without data, or a list of such."""
        return self.node.meta["val"]

    def operands(self) -> Iterable[Any]:
        """Every argument, those in lists one by one."""
        for value in self.arguments.values():
            yield from value if isinstance(value, list | tuple) else (value,)

    def emit(self, op: real.RealOperation, x: Value, layer: str | None = None, label: str = "") -> Value:
        return self.builder.emit(self.node, op, x, layer, label)


Handler = Callable[[Call], Any]
"""Takes one operation: gives what stands for its result, or raises Refused."""
