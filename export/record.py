"""Graphs and arrays as JSON: structure in the record, numbers beside it, named by digest."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array, Operation, digest
from avnir.ir.real_level import OPERATIONS


class Store:
    """Arrays by digest: `put` gives the name, and keeps equal arrays once."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def put(self, array: Array) -> str:
        name = digest(array)
        self.arrays[name] = array
        return name

    def packed(self, array: Array) -> dict[str, Any]:
        """An array in its smallest exact form: bits for zeros and ones, short integers, or as it is."""
        shape = list(array.shape)
        if array.size and np.all((array == 0) | (array == 1)):
            return {"form": "bits", "shape": shape, "array": self.put(np.packbits(array.astype(bool)))}
        if np.all(array == np.round(array)) and np.all(np.abs(array) < 2**31):
            low, high = int(array.min(initial=0)), int(array.max(initial=0))
            kind = np.result_type(np.min_scalar_type(min(low, -1)), np.min_scalar_type(max(high, 0)))
            return {"form": "integers", "shape": shape, "array": self.put(array.astype(kind))}
        return {"form": "reals", "shape": shape, "array": self.put(array.astype(np.float32))}


def unpacked(entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Array:
    """The array that `Store.packed` took, as uint8, integers or float32; ValueError where it disagrees."""
    shape, array = _integers(entry["shape"]), arrays[entry["array"]]
    if entry["form"] != "bits":
        if array.shape != shape:
            raise ValueError(f"an array of shape {array.shape} is declared as {shape}")
        return array
    size = math.prod(shape)
    if array.dtype != np.uint8 or array.shape != ((size + 7) // 8,) or min(shape, default=0) < 0:
        raise ValueError(f"packed bits of shape {array.shape} are declared as {shape}")
    return np.unpackbits(array, count=size).reshape(shape)


def graph_record(graph: Graph, store: Store) -> dict[str, Any]:
    """The graph as JSON; its arrays go into the store."""
    return {"dt": graph.dt, "nodes": [_node_record(node, store) for node in graph]}


def _node_record(node: Node, store: Store) -> dict[str, Any]:
    optional = _optional(type(node.op))
    given = ((name, value) for name, value in node.op.items() if value is not None or name not in optional)
    values = {k: {"array": store.put(v)} if isinstance(v, np.ndarray) else v for k, v in given}
    return {
        "name": node.name,
        "op": node.op.kind,
        "inputs": list(node.inputs),
        "source": node.source,
        "values": values,
    }


def _optional(kind: type[Operation]) -> set[str]:
    """The parameters that are None unless given, and then left out."""
    return {f.name for f in dataclasses.fields(kind) if f.default is None}


def graph_from(record: Mapping[str, Any], arrays: Mapping[str, Array]) -> Graph:
    """The verified real graph; ValueError, KeyError, TypeError or GraphError where the record is wrong."""
    nodes = tuple(_node(entry, arrays) for entry in record["nodes"])
    return verified(Graph("real", nodes, _real(record["dt"])))


def _node(entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Node:
    kind = OPERATIONS[entry["op"]]
    values = entry["values"]
    types = {f.name: str(f.type) for f in dataclasses.fields(kind)}
    if set(values) | _optional(kind) != set(types):
        raise ValueError(f"{kind.__name__} has the parameters {', '.join(values)}")
    decoded = {name: _READERS[types[name]](value, arrays) for name, value in values.items()}
    inputs = tuple(_text(name) for name in entry["inputs"])
    return Node(_text(entry["name"]), kind(**decoded), inputs, _text(entry["source"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no integer")
    return value


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _real(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _integers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no list of integers")
    return tuple(map(_integer, value))


def _pair(value: Any) -> tuple[int, ...]:
    if len(_integers(value)) != 2:
        raise ValueError(f"{value!r} is no pair of integers")
    return _integers(value)


def _array(value: Any, arrays: Mapping[str, Array]) -> Array:
    return arrays[value["array"]]


_READERS: Mapping[str, Callable[[Any, Mapping[str, Array]], Any]] = {
    "Array": _array,
    "Array | None": lambda value, arrays: None if value is None else _array(value, arrays),
    "Pair": lambda value, arrays: _pair(value),
    "Shape": lambda value, arrays: _integers(value),
    "bool": lambda value, arrays: _truth(value),
    "tuple[int, int]": lambda value, arrays: _pair(value),
    "int": lambda value, arrays: _integer(value),
    "int | None": lambda value, arrays: None if value is None else _integer(value),
    "float": lambda value, arrays: _real(value),
    "str": lambda value, arrays: _text(value),
}
"""How each declared type of a parameter is read; the keys are the annotations in `avnir.ir.real_level`."""
