"""Tell a rounding tie from an error: where float32 and float64 runs of one graph first differ.

PyTorch computes in float32, the graph interpreter in float64. Where a potential meets its threshold to
within float32's rounding, the two may spike differently, and neither is wrong. Whether a difference is
such a tie is not a matter of taste: by the standard model of rounding, a sum of products of which each
passes through at most k operations is off by at most

    gamma_k * (the same sum with absolute values),   gamma_k = k u / (1 - k u),  u = 2^-24

(Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, 2002, lemma 3.1 and section
3.1). The absolute sums follow the network operation by operation, and the neuron step by step. A first
difference beyond that bound is an error of one of the two. The same holds of two float32 runs that sum in
another order, in outputs that are real numbers. No bound is known here for a layer other than a
Lif, nor for one that a leaky integrator feeds: a difference there counts as an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.ir.real import BatchNorm, Conv2d, Lif, Linear, RealOperation, Scale
from avnir.ir.real_graded import WindowSum
from avnir.ir.real_sparse import Sparse
from avnir.trace import Trace
from avnir.verify.compare import Divergence, compare

Term = tuple[Array, Array, int]
"""A sum, the same sum with absolute values, and the roundings on the longest way to it."""

UNIT_ROUNDOFF = 2.0**-24
"""Of float32, round to nearest."""
NEURON_OPERATIONS = 8
"""Roundings in one step of snnTorch's Leaky: product, sum, reset product, difference, again for the reset.
Synaptic's longest way has five: the current's product and sum, the potential's sum, two differences."""
ROOT_OPERATIONS = 4
"""Roundings in a root and a quotient, with room to spare."""
NORM_OPERATIONS = 16
"""Roundings in one batch normalisation, its root and quotient included with room to spare."""


def tie_samples(graph: Graph, inputs: Mapping[str, Array], single: Trace, double: Trace) -> tuple[int, ...]:
    """The samples in which the two traces differ, but first at a tie; `double` is `interpret_real`'s.

    A sample whose first difference is no tie is not listed: it is a real difference.
    """
    ties = []
    for index in _differing(single, double):
        alone = single.samples([index]), double.samples([index])
        where = compare(*alone, ("single", "double")).divergence
        if where is not None and is_tie(
            graph, {n: a[:, [index]] for n, a in inputs.items()}, alone[1], where
        ):
            ties.append(index)
    return tuple(ties)


def _differing(first: Trace, second: Trace) -> list[int]:
    found = [np.any(a != second.spikes[n], axis=(0, *range(2, a.ndim))) for n, a in first.spikes.items()]
    return [int(index) for index in np.flatnonzero(np.any(found, axis=0))]


def is_tie(graph: Graph, inputs: Mapping[str, Array], trace: Trace, where: Divergence) -> bool:
    """Whether the potential at `where` lies within the rounding bound of its threshold.

    `inputs` and `trace` (of `interpret_real`) are of one sample. All earlier spikes agree, so both runs
    saw the same spikes until then.
    """
    node = graph[where.layer]
    if not isinstance(node.op, Lif) or graph.select(lambda op: op.stateful and not op.spiking):
        return False
    potential, bound, flow = 0.0, 0.0, np.zeros(())
    terms = _Terms(graph, inputs, trace)
    state: dict[str, Array] = {}
    size = np.zeros((1, *graph.shapes[where.layer]))
    place = (0, *where.neuron)
    for step in range(where.step + 1):
        current, magnitude, roundings = terms.arriving(node.inputs, step)
        decided = _before_reset(node.op, current, state)
        flow = magnitude * node.op.gain + (0 if node.op.alpha is None else node.op.alpha * flow)
        size = node.op.beta * size + flow + np.abs(node.op.threshold)
        count = roundings + NEURON_OPERATIONS * (step + 1)
        potential = float(decided[place])
        bound = float((size * _gamma(count))[place])
    threshold = float(np.broadcast_to(node.op.threshold, graph.shapes[where.layer])[where.neuron])
    return abs(potential - threshold) <= bound


def output_bound(graph: Graph, inputs: Mapping[str, Array], trace: Trace, name: str) -> Array | None:
    """How far apart two float32 runs of the same spikes may be in an output of real numbers, `[T, B, ...]`.

    `trace` is `interpret_real`'s. Each run is off by gamma_k times the absolute sums at most, k counting the
    roundings of any order of summation. None where an integrator lies behind: no bound is known for it.
    """
    if graph.select(lambda op: op.stateful and not op.spiking):
        return None
    terms, node = _Terms(graph, inputs, trace), graph[name]
    found = [terms.arriving(node.inputs, step) for step in range(len(trace.outputs[name]))]
    bound = np.stack([2 * _gamma(count) * size for _, size, count in found])
    return bound.reshape(trace.outputs[name].shape)


def _gamma(count: int) -> float:
    return count * UNIT_ROUNDOFF / (1 - count * UNIT_ROUNDOFF)


def _before_reset(op: Lif, current: Array, state: dict[str, Array]) -> Array:
    """One step of the neuron; the potential that was compared with the threshold, before a reset at once.

    The same operation without a reset at its end, on the same state, gives it.
    """
    late = {"zero": "none", "subtract": "subtract_delayed"}
    probe = dict(state)
    op.replace(reset=late.get(op.reset, op.reset)).step(current, probe)
    op.step(current, state)
    return probe["v"]


def _exact(values: Array) -> Term:
    """Values that no rounding has touched."""
    exact = values.astype(np.float64)
    return exact, np.abs(exact), 0


class _Terms:
    """What every operation gives in every step of the last presentation, each found once."""

    def __init__(self, graph: Graph, inputs: Mapping[str, Array], trace: Trace) -> None:
        self._graph, self._found = graph, dict[tuple[str, int], Term]()
        self._known = {**inputs, **trace.spikes}
        self._batch = next(iter(inputs.values())).shape[1]

    def arriving(self, names: Sequence[str], step: int) -> Term:
        """The sum of what these nodes give in a step."""
        exact, magnitudes, counts = zip(*(self.of(name, step) for name in names), strict=True)
        return np.sum(exact, axis=0), np.sum(magnitudes, axis=0), max(counts) + len(counts) - 1

    def of(self, name: str, step: int) -> Term:
        """What a node gives in a step."""
        if name in self._known:
            return _exact(self._known[name][step])
        if (name, step) not in self._found:
            node = self._graph[name]
            made = OVER_TIME.get(node.op.kind, _Terms._computed)
            self._found[name, step] = made(self, node, step)
        return self._found[name, step]

    def _computed(self, node: Node, step: int) -> Term:
        op: RealOperation = node.op  # type: ignore[assignment]
        x, magnitude, count = self.arriving(node.inputs, step)
        return op.step(x, {}), absolute(op, magnitude), count + roundings(op)

    def _delayed(self, node: Node, step: int) -> Term:
        earlier = step - node.op.steps  # type: ignore[attr-defined]
        if earlier < 0:
            return _exact(np.zeros((self._batch, *self._graph.shapes[node.name])))
        return self.arriving(node.inputs, earlier)

    def _summed(self, node: Node, step: int) -> Term:
        op: WindowSum = node.op  # type: ignore[assignment]
        summed = [self.arriving(node.inputs, t) for t in range(step + 1 if op.running else op.steps)]
        exact, magnitudes, counts = zip(*summed, strict=True)
        return np.sum(exact, axis=0), np.sum(magnitudes, axis=0), max(counts) + len(counts) - 1

    def _multiplied(self, node: Node, step: int) -> Term:
        ports = node.op.ports(node.inputs)  # type: ignore[attr-defined]
        (x, of_x, count_x), (y, of_y, count_y) = (self.arriving(port, step) for port in ports)
        return x * y, of_x * of_y, count_x + count_y + 1

    def _inverse_root(self, node: Node, step: int) -> Term:
        """A relative error of x halves; it is at most gamma * (of_x / x)."""
        x, of_x, count = self.arriving(node.inputs, step)
        root: Array = node.op.step(x, {})  # type: ignore[attr-defined]
        return root, root * np.divide(of_x, x, out=np.ones_like(x), where=x > 0), count + ROOT_OPERATIONS


OVER_TIME = {
    "Delay": _Terms._delayed,
    "WindowSum": _Terms._summed,
    "Product": _Terms._multiplied,
    "InverseRoot": _Terms._inverse_root,
}
"""What takes more than what arrives at one port in the same step."""


@singledispatch
def absolute(op: RealOperation, x: Array) -> Array:
    """What `op` makes of magnitudes `x` when every parameter counts with its absolute value."""
    return op.step(x, {})


@absolute.register(Linear)
@absolute.register(Conv2d)
def _(op: Linear | Conv2d, x: Array) -> Array:
    bias = None if op.bias is None else np.abs(op.bias)
    return op.replace(weight=np.abs(op.weight), bias=bias).step(x, {})


@absolute.register
def _(op: BatchNorm, x: Array) -> Array:
    scale = np.abs(op.affine()[0])
    rest = (1,) * (x.ndim - 2)
    shift = np.abs(op.mean) * scale + np.abs(op.bias)
    return x * scale.reshape(-1, *rest) + shift.reshape(-1, *rest)


@absolute.register
def _(op: Scale, x: Array) -> Array:
    return x * np.abs(op.scale)


@absolute.register
def _(op: Sparse, x: Array) -> Array:
    return op.replace(weight=np.abs(op.weight)).step(x, {})


@singledispatch
def roundings(op: RealOperation) -> int:
    """An upper bound on the roundings that one value passes through in `op`."""
    kernel: tuple[int, int] = getattr(op, "kernel", (1, 1))
    return kernel[0] * kernel[1] + 1


@roundings.register(Linear)
@roundings.register(Conv2d)
def _(op: Linear | Conv2d) -> int:
    return int(op.weight[0].size) + 1


@roundings.register
def _(op: Sparse) -> int:
    return int(np.bincount(op.target).max(initial=0)) + 1


@roundings.register
def _(op: BatchNorm) -> int:
    return NORM_OPERATIONS
