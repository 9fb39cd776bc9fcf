"""How faults are planted: in the program, which the slow interpreter then runs, or in what was recorded.

Nothing here is shared with the diagnosis: the neuron of the chip is written once more, with its faults as
flags.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.integer import Lif
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array, Operation
from avnir.trace import Trace
from tests.faults.programs import Planted

Fault = Callable[[Planted], Trace]
"""What somebody records who runs the program with a fault."""


@dataclass(frozen=True, eq=False)
class FaultyLif(Lif):
    """The chip's neuron with a hard reset, in plain arithmetic, with something wrong."""

    at_least: bool = False
    floor: bool = False
    leak_after: bool = False
    no_inhibition: bool = False
    rest: int = 0
    saturate: bool = False
    jitter: tuple[int, ...] = ()

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        a = x.reshape(len(x), *self.shape)
        u, v, rest, t = (state.get(name, np.zeros_like(a)) for name in ("u", "v", "rest", "t"))
        u = self._part(u, 4095 - self.decay_u.astype(np.int64)) + 64 * a
        u = np.clip(u, 1 - 2**23, 2**23) if self.saturate else (u + 2**23 - 1) % 2**24 - 2**23 + 1
        bias = self.bias_mantissa.astype(np.int64) * 2**self.bias_exponent
        keep = 4096 - self.decay_v.astype(np.int64)
        v = self._part(v + u + bias, keep) if self.leak_after else self._part(v, keep) + u + bias
        v = np.clip(v, 1 - 2**23, 2**23 - 1)
        v = np.where(v < 0, 0, v) if self.no_inhibition else v
        v = np.where(rest > 0, 0, v)
        theta = 64 * (self.threshold.astype(np.int64) + self._jitter(t))
        spikes = (v >= theta) if self.at_least else (v > theta)
        state.update(u=u, v=np.where(spikes, 0, v), t=t + 1)
        state["rest"] = np.where(spikes, self.rest, np.where(rest > 0, rest - 1, 0))
        return spikes.astype(np.int64)

    def _part(self, values: Array, keep: Array) -> Array:
        if self.floor:
            return values * keep // 4096
        return np.where(values < 0, -(-values * keep // 4096), values * keep // 4096)

    def _jitter(self, t: Array) -> Array:
        return np.array(self.jitter)[t % len(self.jitter)] if self.jitter else np.zeros_like(t)


def neuron(layer: str, **wrong: Any) -> Fault:
    """A layer whose neurons do something wrong (`FaultyLif`)."""

    def faulty(op: Operation) -> Operation:
        return FaultyLif(**dict(op.items()), **wrong)

    return _run(layer, faulty)


def value(name: str, parameter: str, change: Callable[[Array], Any], at: Any = ...) -> Fault:
    """A parameter of an operation changed, everywhere or at one place."""

    def faulty(op: Operation) -> Operation:
        old = getattr(op, parameter)
        shape = op.shape if parameter != "weight" and at is not ... else np.shape(old)  # type: ignore[attr-defined]
        new = np.broadcast_to(old, shape).astype(np.int64)
        new[at] = change(new[at])
        kept = new.astype(np.asarray(old).dtype)
        return op.replace(**{parameter: kept})

    return _run(name, faulty)


def setting(name: str, **settings: Any) -> Fault:
    """Parameters that are no arrays set to something else."""
    return _run(name, lambda op: op.replace(**settings))


def _run(name: str, faulty: Callable[[Operation], Operation]) -> Fault:
    """The slow interpreter's run with one operation replaced; what is early comes early, as on the chip."""

    def record(planted: Planted) -> Trace:
        graph = planted.program.graph
        nodes = (_replaced(n, faulty(n.op)) if n.name == name else n for n in graph)
        return interpret_integer(Graph("integer", tuple(nodes), graph.dt), planted.inputs)

    return record


def _replaced(node: Node, op: Operation) -> Node:
    return dataclasses.replace(node, op=op)


def both(*faults: Mapping[str, Any]) -> Fault:
    """Several weights changed at once: `name`, `at`, `by`."""

    def record(planted: Planted) -> Trace:
        graph = planted.program.graph
        ops = {node.name: node.op for node in graph}
        for fault in faults:
            weight = ops[fault["name"]].weight.copy()  # type: ignore[attr-defined]
            weight[fault["at"]] += fault["by"]
            ops[fault["name"]] = ops[fault["name"]].replace(weight=weight)
        nodes = tuple(_replaced(node, ops[node.name]) for node in graph)
        return interpret_integer(Graph("integer", nodes, graph.dt), planted.inputs)

    return record


def shown(change: Callable[[Array], Array], name: str) -> Fault:
    """The program, right, but with one input changed."""

    def record(planted: Planted) -> Trace:
        inputs = {**planted.inputs, name: change(planted.inputs[name])}
        return interpret_integer(planted.program.graph, inputs)

    return record


def recorded(layer: str, change: Callable[[Array], Array]) -> Fault:
    """The program, right, but one layer recorded otherwise, `[T, B, *shape]`."""

    def record(planted: Planted) -> Trace:
        spikes = {**planted.ours.spikes, layer: change(planted.ours.spikes[layer])}
        return Trace(spikes, planted.ours.outputs)

    return record


def everywhere(change: Callable[[str, Array], Array]) -> Fault:
    """The program, right, but every layer recorded otherwise."""

    def record(planted: Planted) -> Trace:
        spikes = {name: change(name, sent) for name, sent in planted.ours.spikes.items()}
        return Trace(spikes, planted.ours.outputs)

    return record


def named_otherwise(one: str, other: str) -> Fault:
    """The program, right, but two layers recorded under each other's names."""

    def record(planted: Planted) -> Trace:
        spikes = planted.ours.spikes
        return Trace({**spikes, one: spikes[other], other: spikes[one]}, planted.ours.outputs)

    return record


def without_reset(planted: Planted) -> Trace:
    """All samples one after the other as one long window: states are never cleared."""

    def joined(array: Array) -> Array:
        return array.swapaxes(0, 1).reshape(-1, 1, *array.shape[2:])

    inputs = {name: joined(array) for name, array in planted.inputs.items()}
    steps, batch = next(iter(planted.inputs.values())).shape[:2]
    trace = interpret_integer(planted.program.graph, inputs)
    apart = {n: a.reshape(batch, steps, *a.shape[2:]).swapaxes(0, 1) for n, a in trace.spikes.items()}
    return Trace(apart, {})


def one_step_later(sent: Array) -> Array:
    """Moved by a step, silent in the first."""
    moved = np.roll(sent, 1, axis=0)
    moved[0] = 0
    return moved


def permuted(sent: Array) -> Array:
    """All neurons in an order drawn by lot."""
    flat = sent.reshape(*sent.shape[:2], -1)
    return flat[..., np.random.default_rng(4).permutation(flat.shape[-1])].reshape(sent.shape)


def two_exchanged(sent: Array) -> Array:
    """Neurons 3 and 11 in each other's place."""
    order = np.arange(sent.shape[-1])
    order[[3, 11]] = 11, 3
    return sent[..., order]


def channel_last(sent: Array) -> Array:
    """(H, W, C) written where (C, H, W) belongs."""
    return np.ascontiguousarray(np.moveaxis(sent, 2, -1)).reshape(sent.shape)


def some_lost(sent: Array) -> Array:
    """One in a hundred spikes is lost."""
    return sent * (np.random.default_rng(1).random(sent.shape) > 0.01)


def with_noise(layer: str) -> Fault:
    """Every neuron of a layer leaks by a share of its own."""

    def faulty(op: Operation) -> Operation:
        noise = np.random.default_rng(2).integers(-300, 300, op.shape)  # type: ignore[attr-defined]
        return op.replace(decay_v=np.clip(op.decay_v + noise, 0, 4096).astype(np.int32))  # type: ignore[attr-defined]

    return _run(layer, faulty)


def dead_half(sent: Array) -> Array:
    """The second half of the neurons is silent."""
    made = sent.reshape(*sent.shape[:2], -1).copy()
    made[..., made.shape[-1] // 2 :] = 0
    return made.reshape(sent.shape)
