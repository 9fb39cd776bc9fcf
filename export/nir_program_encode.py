"""A program's nodes as NIR's; the formulas are in `avnir.export.nir_program`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from avnir.errors import Finding, UnsupportedError
from avnir.export.nir_guard import MAX_BYTES
from avnir.export.nir_program_form import Form, bias_of, has_bias, has_current, matrix
from avnir.export.nir_schema import (
    FORMAT,
    MAX_NODES,
    ArrayRecord,
    GraphRecord,
    IntegerRecord,
    NirFile,
    NirNode,
    NodeRecord,
    ProgramRecord,
)
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.numerics import fixed
from avnir.program import Program

NO_LEAK = 2.0**-60
"""dt / tau of a neuron that does not leak, where it needs a tau: in float64, 1 minus this is 1."""

Fields = dict[str, Array | str]


class Part(NamedTuple):
    """One of the nodes of NIR that a node of the program becomes; the first has its name and record."""

    suffix: str
    kind: str
    fields: Fields


def encode(program: Program) -> NirFile:
    """All that the file holds; the same program gives the same.

    Raises UnsupportedError where it is too large, and with every operation that has no form in NIR.
    """
    graph = program.graph
    if foreign := tuple(_foreign(graph)):
        raise UnsupportedError("the program cannot be written as NIR:", foreign)
    form = Form(graph)
    _require_room(form)
    parts = {node.name: list(_parts(form, node)) for node in graph}
    names = _names(graph, parts)
    nodes = {
        name: NirNode(part.kind, part.fields, NodeRecord() if part.suffix else _record(form, node))
        for node in graph
        for name, part in zip(names[node.name], parts[node.name], strict=True)
    }
    if len(nodes) > MAX_NODES:
        raise _too_large(
            "graph", f"it becomes {len(nodes)} nodes, of which a NIR file holds {MAX_NODES} at most"
        )
    record = GraphRecord(
        format=FORMAT,
        dt=float(graph.dt),
        order=[node.name for node in graph],
        digest=program.digest,
        program=ProgramRecord(target=program.target, provenance=dict(program.provenance)),
    )
    return NirFile(nodes, tuple(_edges(form, names)), record)


def _foreign(graph: Graph) -> Iterator[Finding]:
    for node in graph:
        if node.op.kind not in _ENCODERS:
            remedy = "Use program.json and arrays.npz, which hold it"
            yield Finding(node.source or node.name, f"{node.op.kind} has no form in NIR", remedy)


def _require_room(form: Form) -> None:
    sizes = {node.name: _bytes(form, node) for node in form.graph}
    if sum(sizes.values()) > MAX_BYTES:
        name = max(sizes, key=lambda name: sizes[name])
        problem = f"takes {sizes[name]} bytes of {sum(sizes.values())}, a NIR file {MAX_BYTES} at most"
        raise _too_large(name, problem)


def _too_large(place: str, problem: str) -> UnsupportedError:
    finding = Finding(place, problem, "Use program.json and arrays.npz, which need less")
    return UnsupportedError("the program cannot be written as NIR:", [finding])


def _bytes(form: Form, node: Node) -> int:
    """The bytes of a node's arrays in the file, at most: 8 float64 a neuron, 3 float64 a sum, the weights."""
    given = math.prod(form.given[node.name])
    if not node.op.connection:  # type: ignore[attr-defined]
        return 8 * 8 * given
    square = form.squares.get(node.name) if form.convolves(node) else None
    return 3 * 8 * given + (given * math.prod(form.taken(node)) if square is None else square.weight.size)


def _parts(form: Form, node: Node) -> Iterator[Part]:
    yield Part("", *_ENCODERS[node.op.kind](form, node))
    given = form.given[node.name]
    op: Any = node.op
    if op.connection and op.exponent:
        yield Part("__scaled", "Scale", {"scale": np.full(given, 2.0**op.exponent)})
    if op.connection and op.lag and not form.closes_loop(node):
        yield Part("__later", "Delay", {"delay": np.full(given, op.lag * form.graph.dt)})
    if form.reshaped(node):
        axes = {"start_dim": _integers(0), "end_dim": _integers(len(given) - 1)}
        yield Part("__flat", "Flatten", {"input_type": _integers(given), **axes})


def _names(graph: Graph, parts: Mapping[str, list[Part]]) -> dict[str, list[str]]:
    """The names of each node's parts; those that a node of the program has already get underscores."""
    taken = set(graph.by_name)
    names: dict[str, list[str]] = {}
    for node in graph:
        names[node.name] = [node.name]
        for part in parts[node.name][1:]:
            name = node.name + part.suffix
            while name in taken:
                name += "_"
            taken.add(name)
            names[node.name].append(name)
    return names


def _edges(form: Form, names: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    for node in form.graph:
        for feeder in node.inputs:
            straight = form.taken(node) == form.given[feeder]
            yield names[feeder][-2 if straight and form.reshaped(form.graph[feeder]) else -1], node.name
        yield from pairwise(names[node.name])


def _record(form: Form, node: Node) -> NodeRecord:
    held = {"weight"} if node.op.kind == "Dense" or form.convolves(node) else set()
    values = {name: _value(value) for name, value in node.op.items() if name not in held}
    record = IntegerRecord(op=node.op.kind, inputs=list(node.inputs), values=values)
    kernel = {"kernel": node.op.weight.shape[2:]} if form.convolves(node) else {}  # type: ignore[attr-defined]
    return NodeRecord(source=node.source, integer=record, **kernel)


def _value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ArrayRecord(dtype=value.dtype.name, shape=list(value.shape), runs=_runs(value.reshape(-1)))
    return list(value) if isinstance(value, tuple) else value


def _runs(values: Array) -> list[tuple[int | float, int]]:
    starts = np.append(np.arange(min(len(values), 1)), 1 + np.flatnonzero(values[1:] != values[:-1]))
    lengths = np.diff(starts, append=len(values))
    return list(zip(values[starts].tolist(), lengths.tolist(), strict=True))


def _integers(values: int | Shape) -> Array:
    return np.array(values, np.int64)


def _input(form: Form, node: Node) -> tuple[str, Fields]:
    return "Input", {"shape": _integers(form.given[node.name])}


def _output(form: Form, node: Node) -> tuple[str, Fields]:
    return "Output", {"shape": _integers(form.given[node.name])}


def _dense(form: Form, node: Node) -> tuple[str, Fields]:
    return _linear(form, node, node.op.weight)  # type: ignore[attr-defined]


def _conv(form: Form, node: Node) -> tuple[str, Fields]:
    square = form.squares[node.name]
    if square is None or not form.convolves(node):
        return _linear(form, node, matrix(node.op, form.fed(node)))
    return "Conv2d", {
        "input_shape": _integers(form.taken(node)[1:]),
        "weight": square.weight,
        "bias": _bias(form, node, len(square.weight)),
        "stride": _integers(square.stride),
        "padding": _integers(square.padding),
        "dilation": _integers(square.dilation),
        "groups": _integers(1),
    }


def _linear(form: Form, node: Node, weight: Array) -> tuple[str, Fields]:
    if node.name not in form.carriers.values():
        return "Linear", {"weight": weight}
    return "Affine", {"weight": weight, "bias": _bias(form, node, len(weight))}


def _bias(form: Form, node: Node, channels: int) -> Array:
    """What the node carries of the bias of the layer that it feeds, before its Scale: `[channels]`."""
    layers = [form.graph[layer] for layer, name in form.carriers.items() if name == node.name]
    if not layers:
        return np.zeros(channels)
    bias = bias_of(layers[0].op, form.graph.shapes[layers[0].name]).reshape(channels, -1)[:, 0]
    return bias / 2.0**node.op.exponent  # type: ignore[attr-defined]


def _lif(form: Form, node: Node) -> tuple[str, Fields]:
    op: Any = node.op
    dt, own, shape = form.graph.dt, form.graph.shapes[node.name], form.given[node.name]

    def full(values: Array) -> Array:
        return np.broadcast_to(values, own).reshape(shape).astype(np.float64)

    theta, leak = full(op.threshold), full(op.decay_v) / fixed.DECAY_ONE
    carried = node.name in form.carriers or not has_bias(op)
    rest = np.zeros(shape) if carried else bias_of(op, own).reshape(shape)
    holds = leak == 0
    if np.all(holds) and carried and not has_current(op):
        return "IF", {"r": np.full(shape, 1 / dt), "v_threshold": theta, "v_reset": np.zeros(shape)}
    leak[holds] = NO_LEAK
    tau = dt / leak
    r = tau / dt if has_current(op) else np.where(holds, tau / dt, 1.0)
    fields: Fields = {"r": r, "v_leak": rest * r, "v_reset": np.zeros(shape)}
    if not has_current(op):
        return "LIF", {"tau": tau, "v_threshold": np.where(holds, theta, theta * leak), **fields}
    tau_syn = dt * fixed.DECAY_ONE / (full(op.decay_u) + 1)
    currents: Fields = {"tau_mem": tau, "tau_syn": tau_syn, "w_in": tau_syn / dt}
    return "CubaLIF", {**currents, "v_threshold": theta, **fields}


_ENCODERS: Mapping[str, Callable[[Form, Node], tuple[str, Fields]]] = {
    "Input": _input,
    "Output": _output,
    "Dense": _dense,
    "Conv": _conv,
    "Lif": _lif,
}
