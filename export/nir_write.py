"""A real graph as a NIR file that other frameworks read, and that reads back as the equal graph.

The graph comes in the form that `avnir.passes.fold_gain` makes. A Lif of reset "zero" is then plainly
NIR's LIF with r = 1 and tau = dt / (1 - beta), or its IF where beta = 1, or with a synaptic current its
CubaLIF with r = tau_mem / dt and w_in = tau_syn / dt. With another reset it is the same with the reset in
the metadata, so that a reader who does not look there gets a hard reset. All parameters are of the
neurons' full shape, those of neurons in float64, weights in their own dtype. An edge is an entry of
`Node.inputs`; several edges into one node are summed, as NIR says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue

from avnir.errors import Finding, GraphError, UnsupportedError
from avnir.export.nir_conv import square_form
from avnir.export.nir_hdf5 import write_file
from avnir.export.nir_schema import FORMAT, MAX_NODES, GraphRecord, NirFile, NirNode, NodeRecord
from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array, Shape, same_array
from avnir.ir.text import graph_digest
from avnir.passes.fold_gain import canonical, canonical_operation, leak_problem, unit_gain


class Refused(Exception):
    """One node that NIR cannot hold."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.finding = (problem, remedy)


def write_nir(graph: Graph, path: Path, metadata: Mapping[str, JsonValue] | None = None) -> None:
    """Write `graph` to `path`, whole or not at all; the same graph gives the same bytes.

    `metadata` (JSON values: versions, origin) goes into the graph's metadata, and is not read back. Raises
    UnsupportedError with every node that has no form in NIR, and GraphError for a graph of another level.
    """
    if graph.level != "real":
        raise GraphError(f"NIR holds graphs of the real level, not of the {graph.level} level")
    nodes, findings = _encoded(verified(graph))
    if findings:
        raise UnsupportedError("the network cannot be written as NIR:", findings)
    edges = tuple((feeder, node.name) for node in graph for feeder in node.inputs)
    record = GraphRecord(
        format=FORMAT,
        dt=float(graph.dt),
        order=[node.name for node in graph],
        digest=graph_digest(graph),
        metadata=dict(metadata or {}),
    )
    write_file(NirFile(nodes, edges, record), Path(path))


def nir_findings(graph: Graph) -> tuple[Finding, ...]:
    """Why `write_nir` would refuse the graph, all of it; empty where it can be written."""
    return tuple(_encoded(verified(graph))[1])


def _encoded(graph: Graph) -> tuple[dict[str, NirNode], list[Finding]]:
    nodes: dict[str, NirNode] = {}
    findings: list[Finding] = []
    if len(graph) > MAX_NODES:
        findings.append(Finding("graph", f"it has {len(graph)} nodes", f"A file holds at most {MAX_NODES}"))
    for node in graph:
        problems = list(_array_problems(node))
        try:
            nodes[node.name] = encode(node, graph.shapes[(node.inputs or (node.name,))[0]], graph.dt)
        except Refused as refused:
            problems.append(refused.finding)
        findings += [Finding(_place(node), problem, remedy) for problem, remedy in problems]
    return nodes, findings


def _place(node: Node) -> str:
    return f"{node.name} ({node.source})" if node.source else node.name


def _array_problems(node: Node) -> Iterator[tuple[str, str]]:
    for name, value in node.op.items():
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in "fiu" or value.dtype.itemsize > 8:
                yield f"{node.op.kind}.{name} has type {value.dtype}", "Use float64, float32 or integers"
            elif not np.all(np.isfinite(value)):
                yield f"{node.op.kind}.{name} has values that are not finite", "Train or load the model again"


def encode(node: Node, shape: Shape, dt: float) -> NirNode:
    """The node as NIR holds it; `shape` is its input's (an Input's own). Raises Refused."""
    kind, fields, extra = _encoder(node.op.kind)(node.op, shape, dt)
    extra |= {"source": node.source} if node.source else {}
    return NirNode(kind, fields, NodeRecord(**extra))


Encoded = tuple[str, dict[str, Array | str], dict[str, Any]]
"""NIR's type, its fields, and what NodeRecord adds."""


def _encoder(kind: str) -> Callable[[Any, Shape, float], Encoded]:
    if kind not in ENCODERS:
        raise Refused(f"{kind} has no form in NIR", LOWERED_BY.get(kind, "Replace it in the model"))
    return ENCODERS[kind]


def _integers(values: Shape) -> Array:
    return np.array(values, np.int64)


def _input(op: real.Input, shape: Shape, dt: float) -> Encoded:
    return "Input", {"shape": _integers(op.shape)}, {"message_bits": op.message_bits}


def _output(op: real.Output, shape: Shape, dt: float) -> Encoded:
    own = {} if op.shape == shape else {"shape": list(op.shape)}
    return "Output", {"shape": _integers(shape)}, own


def _flatten(op: real.Flatten, shape: Shape, dt: float) -> Encoded:
    merged = merged_axes(shape, op.shape)
    if merged is None:
        remedy = "Flatten neighbouring axes only; for 1-d layers use the 2-d ones, on inputs (C, 1, L)"
        raise Refused(
            f"Flatten makes {op.shape} of {shape}, which is no merging of neighbouring axes", remedy
        )
    start, end = (np.array(axis, np.int64) for axis in merged)
    return "Flatten", {"input_type": _integers(shape), "start_dim": start, "end_dim": end}, {}


def merged_axes(before: Shape, after: Shape) -> tuple[int, int] | None:
    """The first and last axis whose merging makes `after` of `before`; None where there are none."""
    axes = len(before)
    last = len(after)
    candidates = ((start, start + axes - last) for start in range(last) if axes >= last)
    return next((pair for pair in candidates if merged_shape(before, *pair) == after), None)


def merged_shape(shape: Shape, start: int, end: int) -> Shape:
    """The shape after merging the axes from `start` to `end`, both included, both from 0."""
    return (*shape[:start], int(np.prod(shape[start : end + 1], dtype=object)), *shape[end + 1 :])


def _linear(op: real.Linear, shape: Shape, dt: float) -> Encoded:
    if op.bias is None:
        return "Linear", {"weight": op.weight}, {}
    return "Affine", {"weight": op.weight, "bias": op.bias}, {}


def _conv(op: real.Conv2d, shape: Shape, dt: float) -> Encoded:
    form = square_form(op, shape)
    if form is None:
        height, width = op.weight.shape[2:]
        remedy = "Give the kernel an odd or an even size on both axes (add a row or column of zeros)"
        raise Refused(f"a kernel of {height}x{width} has no square form that NIR's readers take", remedy)
    fields: dict[str, Array | str] = {
        "input_shape": _integers(shape[1:]),
        "weight": form.weight,
        "bias": np.zeros(len(op.weight), op.weight.dtype) if op.bias is None else op.bias,
        "stride": _integers(op.stride),
        "padding": _integers(form.padding),
        "dilation": _integers(op.dilation),
        "groups": np.array(1, np.int64),
    }
    extra: dict[str, Any] = {} if op.bias is not None else {"bias": False}
    if form is not op:
        extra |= {"kernel": op.weight.shape[2:], "padding": op.padding, "groups": op.groups}
    return "Conv2d", fields, extra


def _pool(op: real.Pool2d, shape: Shape, dt: float) -> Encoded:
    fields = {"kernel_size": op.kernel, "stride": op.stride, "padding": op.padding}
    return op.kind, {name: _integers(pair) for name, pair in fields.items()}, {}


def _scale(op: real.Scale, shape: Shape, dt: float) -> Encoded:
    own = {} if op.scale.shape == shape else {"shape": list(op.scale.shape)}
    return "Scale", {"scale": _full(op.scale, shape)}, own


def _threshold(op: real.Threshold, shape: Shape, dt: float) -> Encoded:
    _require_canonical(op, shape)
    return "Threshold", {"threshold": _full(op.threshold, shape)}, {}


def _lif(op: real.Lif, shape: Shape, dt: float) -> Encoded:
    _require_canonical(op, shape)
    if op.bias is not None:
        raise Refused("Lif.bias has no form in NIR", "Put it into the bias of the Linear or Conv2d in front")
    if problem := leak_problem(op):
        raise Refused(*problem)
    if not same_array(op.gain, canonical(unit_gain(op, dt), shape)):
        raise Refused("its gain is not the one of NIR's r = 1", "Run the pass fold_gain first")
    extra: dict[str, Any] = {} if op.reset == "zero" else {"reset": op.reset}
    zeros = np.zeros(shape)
    fields: dict[str, Array | str] = {
        "r": np.ones(shape),
        "v_threshold": _full(op.threshold, shape),
        "v_reset": zeros,
    }
    if np.all(op.beta == 1):
        return "IF", fields, extra
    tau = _full(dt / (1 - op.beta), shape)
    extra["beta"] = _values(op.beta)
    if op.alpha is None:
        return "LIF", {"tau": tau, "v_leak": zeros, **fields}, extra
    extra["alpha"] = _values(op.alpha)
    tau_syn = _full(dt / (1 - op.alpha), shape)
    fields |= {"tau_mem": tau, "tau_syn": tau_syn, "r": tau / dt, "w_in": tau_syn / dt, "v_leak": zeros}
    return "CubaLIF", fields, extra


def _values(array: Array) -> float | list[float]:
    values: float | list[float] = array.reshape(-1).tolist() if array.ndim else array.item()
    return values


def _require_canonical(op: real.RealOperation, shape: Shape) -> None:
    if op != canonical_operation(op, shape):
        problem = f"the parameters of {op.kind} are not float64, 0-d where uniform, else of shape {shape}"
        raise Refused(problem, "Run the pass fold_gain first")


def _full(values: Array, shape: Shape) -> Array:
    return np.broadcast_to(values, shape).copy()


ENCODERS: Mapping[str, Callable[[Any, Shape, float], Encoded]] = {
    "Input": _input,
    "Output": _output,
    "Flatten": _flatten,
    "Linear": _linear,
    "Conv2d": _conv,
    "AvgPool2d": _pool,
    "SumPool2d": _pool,
    "Scale": _scale,
    "Threshold": _threshold,
    "Lif": _lif,
}
LOWERED_BY: Mapping[str, str] = {
    "BatchNorm": "Run the pass fold_batchnorm first",
    "MaxPool2d": "Run the pass lower_maxpool first",
}
"""What to do about operations that NIR lacks."""
