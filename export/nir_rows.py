"""Layers along one axis: what the graph holds as rows (C, 1, L) is (C, L) in the file.

The real level has two-dimensional windows only, so a layer on (C, L) stands between a Flatten to
(C, 1, L) and one back (`avnir.export.aten_rows`). NIR cannot add an axis. So the nodes from the first to the
second, `rows_of` the graph, lose theirs in the file:

    Flatten to (C, 1, L)     a Flatten that merges nothing
    Conv2d, height 1         Conv1d with one group: a dense weight with zeros between the groups, since
                             nir 1.0.8 takes its input's channels from `weight.shape[1]`
    SumPool2d, AvgPool2d     Conv1d that sums each channel's windows, or each element over the kernel's
                             size; x / n and x (1 / n) may differ in float64's last digit
    all else                 the same with parameters (C, L)

The metadata names the nodes, and says what they were. A Conv1d of a file without metadata becomes the three
nodes in which avnir's tracer holds one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avnir.errors import InterchangeError
from avnir.export.nir_conv import dense_weight
from avnir.export.nir_encode import Encoded, Refused, encode, flatten, integers, made
from avnir.export.nir_schema import NirNode, NodeRecord
from avnir.ir import real
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape

ENDS = ("Flatten", "Output", "Input", "Linear")
"""What does not hand rows on."""


def rows_of(graph: Graph) -> frozenset[str]:
    """The nodes whose samples (C, 1, L) the file holds as (C, L): from where NIR cannot add the axis on."""
    rows = {node.name for node in graph.select(lambda op: op.kind == "Flatten") if _adds_axis(graph, node)}
    grown = rows
    while grown:
        grown = {
            node.name
            for node in graph
            if node.op.kind not in ENDS and node.name not in rows and not rows.isdisjoint(node.inputs)
        }
        rows = rows | grown
    return frozenset(rows)


def _adds_axis(graph: Graph, node: Node) -> bool:
    before, after = graph.shapes[node.inputs[0]], graph.shapes[node.name]
    return len(before) == 2 and after == (before[0], 1, before[1])


def in_file(name: str, shape: Shape, rows: frozenset[str]) -> Shape:
    """The shape of a node's samples in the file."""
    return (shape[0], *shape[2:]) if name in rows and len(shape) == 3 else shape


def touches(node: Node, rows: frozenset[str]) -> bool:
    """Whether the node has another form in the file."""
    return node.name in rows or not rows.isdisjoint(node.inputs)


def encode_row(node: Node, graph: Graph, rows: frozenset[str]) -> NirNode:
    """A node that `touches` rows as NIR holds it. Raises Refused."""
    feeder = node.inputs[0]
    shape = graph.shapes[feeder]
    if not node.op.delayed and any((name in rows) != (feeder in rows) for name in node.inputs):
        raise Refused(
            f"its inputs {', '.join(node.inputs)} of shape {shape} are partly (C, L) in NIR, partly not",
            "Use 1-d layers on both ways, or on none",
        )
    if node.op.kind == "Flatten":
        return made(node, _flatten(node, graph, rows))
    if node.op.kind in ROW_ENCODERS:
        return made(node, ROW_ENCODERS[node.op.kind](node.op, shape))
    return _squeezed(encode(node, shape, graph.dt))


def _flatten(node: Node, graph: Graph, rows: frozenset[str]) -> Encoded:
    before, after = (in_file(name, graph.shapes[name], rows) for name in (node.inputs[0], node.name))
    kind, fields, extra = flatten(before, after)
    return kind, fields, extra | ({"shape": list(graph.shapes[node.name])} if node.name in rows else {})


def _conv(op: real.Conv2d, shape: Shape) -> Encoded:
    flat = (op.weight.shape[2], op.stride[0], op.padding[0], op.dilation[0])
    if shape[1] != 1 or flat != (1, 1, 0, 1):
        remedy = "Use 1-d layers, or 2-d ones on inputs (C, H, W)"
        raise Refused(f"it is no 1-d layer, but works on {shape}, which is (C, L) in NIR", remedy)
    weight = dense_weight(op.weight, op.groups)[:, :, 0]
    bias = np.zeros(len(weight), weight.dtype) if op.bias is None else op.bias
    extra: dict[str, Any] = {} if op.bias is not None else {"bias": False}
    if op.groups > 1:
        extra |= {"kernel": op.weight.shape[2:], "padding": op.padding, "groups": op.groups}
    return _conv1d(weight, bias, op, shape, op.dilation[1], extra)


def _pool(op: real.Pool2d, shape: Shape) -> Encoded:
    if shape[1] != 1 or (op.kernel[0], op.stride[0], op.padding[0]) != (1, 1, 0):
        remedy = "Use 1-d layers, or 2-d ones on inputs (C, H, W)"
        raise Refused(f"it is no 1-d layer, but works on {shape}, which is (C, L) in NIR", remedy)
    share = 1 / op.kernel[1] if op.kind == "AvgPool2d" else 1.0
    weight = np.eye(shape[0])[:, :, None] * np.full(op.kernel[1], share)
    return _conv1d(weight, np.zeros(shape[0]), op, shape, 1, {"pool": op.kind})


def _conv1d(
    weight: Array, bias: Array, op: Any, shape: Shape, dilation: int, extra: dict[str, Any]
) -> Encoded:
    numbers = {
        "input_shape": shape[2],
        "stride": op.stride[1],
        "padding": op.padding[1],
        "dilation": dilation,
        "groups": 1,
    }
    whole: dict[str, Array | str] = {name: integers(value) for name, value in numbers.items()}
    return "Conv1d", {"weight": weight, "bias": bias, **whole}, extra


ROW_ENCODERS: Mapping[str, Callable[[Any, Shape], Encoded]] = {
    "Conv2d": _conv,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
}


def _squeezed(nir: NirNode) -> NirNode:
    """The node on (C, L): its parameters lose their axis of 1, and so does an Output's shape."""
    fields = {name: _without_axis(name, nir.array(name)) for name in nir.fields}
    return dataclasses.replace(nir, fields=fields)


def _without_axis(name: str, value: Array) -> Array:
    return np.delete(value, 1) if name == "shape" else value[:, 0] if value.ndim == 3 else value


def expanded(nir: NirNode, shape: Shape) -> NirNode:
    """The node that is `nir` in the file as one on rows; `shape` is that of its input in the graph."""
    if nir.kind == "Conv1d":
        return _pool2d(nir) if nir.record.pool else conv2d(nir)
    if nir.kind == "Output" and len(shape) == 3 and nir.array("shape").shape == (2,):
        return dataclasses.replace(nir, fields={"shape": np.insert(nir.array("shape"), 1, 1)})
    fields = {name: nir.array(name) for name in nir.fields}
    return dataclasses.replace(
        nir, fields={name: v[:, None] if v.ndim == 2 else v for name, v in fields.items()}
    )


def conv2d(nir: NirNode) -> NirNode:
    """A Conv1d on (C, L) as the Conv2d of height 1 on (C, 1, L)."""
    weight, padding = _kernel(nir), nir.fields["padding"]
    fields: dict[str, Array | str] = {
        "weight": weight[:, :, None],
        "bias": nir.array("bias"),
        "stride": integers((1, _one(nir, "stride"))),
        "padding": padding if isinstance(padding, str) else integers((0, _one(nir, "padding"))),
        "dilation": integers((1, _one(nir, "dilation"))),
        "groups": nir.array("groups"),
    }
    if "input_shape" in nir.fields:
        fields["input_shape"] = integers((1, _one(nir, "input_shape")))
    return dataclasses.replace(nir, kind="Conv2d", fields=fields)


def _pool2d(nir: NirNode) -> NirNode:
    sizes = {
        "kernel_size": (1, _kernel(nir).shape[2]),
        "stride": (1, _one(nir, "stride")),
        "padding": (0, _one(nir, "padding")),
    }
    fields: dict[str, Array | str] = {name: integers(pair) for name, pair in sizes.items()}
    return NirNode(str(nir.record.pool), fields, NodeRecord(source=nir.record.source))


def _kernel(nir: NirNode) -> Array:
    weight = nir.array("weight")
    if weight.ndim != 3:
        raise InterchangeError(f"weight has shape {weight.shape}, but must be [C_out, C_in, L]")
    return weight


def _one(nir: NirNode, field: str) -> int:
    values = nir.array(field).reshape(-1)
    if len(values) != 1:
        raise InterchangeError(f"{field} has {len(values)} values, but must be one")
    return int(values[0])
