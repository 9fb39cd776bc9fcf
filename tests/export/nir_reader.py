"""A reader of NIR that knows nothing of avnir: nir's own nodes, stepped by forward Euler in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import numpy as np

from avnir.ir.geometry import correlate
from avnir.ir.operation import Array

State = dict[str, Array]


def run(graph: Any, inputs: Mapping[str, Array], dt: float) -> dict[str, Array]:
    """What every node gives, `[T, B, ...]`.

    A Delay gives what it got steps ago. In a loop without one, what a neuron sends comes a step later.
    """
    feeders: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for before, after in graph.edges:
        feeders[after].append(before)
    delays = {name for name, node in graph.nodes.items() if type(node).__name__ == "Delay"}
    order, late = _ordered({n: [] if n in delays else f for n, f in feeders.items()}, graph.nodes)
    memory: dict[str, State] = {name: {} for name in order}
    kept: dict[str, list[Array]] = {name: [] for name in order}
    steps, batch = next(iter(inputs.values())).shape[:2]
    for t in range(steps):
        for name in order:
            node = graph.nodes[name]
            if name in inputs:
                value = inputs[name][t].astype(np.float64).reshape(batch, *node.input_type["input"])
            elif name in delays:
                before = t - round(float(node.delay.flat[0]) / dt)
                value = np.zeros((batch, *node.delay.shape))
                value = sum(kept[feeder][before] for feeder in feeders[name]) if before >= 0 else value
            else:
                arrived = [
                    kept[f][t - ((f, name) in late)] for f in feeders[name] if t or (f, name) not in late
                ]
                x = sum(arrived) if arrived else np.zeros((batch, *node.input_type["input"]))
                value = STEPS[type(node).__name__](node, x, memory[name], dt)
            kept[name].append(value)
    return {name: np.stack(values) for name, values in kept.items()}


def _ordered(waits: Mapping[str, list[str]], nodes: Any) -> tuple[list[str], set[tuple[str, str]]]:
    """An order for one step, and the edges that lead from a neuron round a loop."""
    late: set[tuple[str, str]] = set()
    while True:
        left = {name: [f for f in fed if (f, name) not in late] for name, fed in waits.items()}
        try:
            return list(TopologicalSorter(left).static_order()), late
        except CycleError as error:
            path = error.args[1]
            late |= {(a, b) for a, b in pairwise(path) if hasattr(nodes[a], "v_threshold")}


def _flatten(node: Any, x: Any, state: State, dt: float) -> Array:
    axes = len(x.shape) - 1
    start, end = int(node.start_dim) % axes + 1, int(node.end_dim) % axes + 1
    return x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])


def _conv(node: Any, x: Any, state: State, dt: float) -> Array:
    pairs = [tuple(np.broadcast_to(p, 2).tolist()) for p in (node.stride, node.padding, node.dilation)]
    y = correlate(x, node.weight.astype(np.float64), *pairs, int(node.groups))
    return y + node.bias[:, None, None]


def _fire(node: Any, v: Array, state: State) -> Array:
    spikes = v > node.v_threshold
    state["v"] = np.where(spikes, node.v_reset, v)
    return spikes.astype(np.float64)


def _lif(node: Any, x: Any, state: State, dt: float) -> Array:
    rate = dt / node.tau
    v = (1 - rate) * state.get("v", 0.0) + rate * (node.v_leak + node.r * x)
    return _fire(node, v, state)


def _if(node: Any, x: Any, state: State, dt: float) -> Array:
    return _fire(node, state.get("v", 0.0) + dt * node.r * x, state)


def _cuba(node: Any, x: Any, state: State, dt: float) -> Array:
    synaptic, rate = dt / node.tau_syn, dt / node.tau_mem
    state["i"] = (1 - synaptic) * state.get("i", 0.0) + synaptic * node.w_in * x
    v = (1 - rate) * state.get("v", 0.0) + rate * (node.v_leak + node.r * state["i"])
    return _fire(node, v, state)


STEPS: Mapping[str, Callable[[Any, Any, State, float], Array]] = {
    "Output": lambda node, x, state, dt: x,
    "Flatten": _flatten,
    "Linear": lambda node, x, state, dt: x @ node.weight.T.astype(np.float64),
    "Affine": lambda node, x, state, dt: x @ node.weight.T.astype(np.float64) + node.bias,
    "Conv2d": _conv,
    "Scale": lambda node, x, state, dt: x * node.scale,
    "LIF": _lif,
    "IF": _if,
    "CubaLIF": _cuba,
}
