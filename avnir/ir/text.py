"""Graphs as text: one line for each node, stable, and read back to an equal graph.

    real graph, dt = 0.0001
    image = Input(shape=(1, 28, 28), message_bits=0) : (1, 28, 28)
    conv = Conv2d(weight=float32[8,1,3,3]#0f3c55d2a9b1, stride=(1, 1), ...) <- image : (8, 26, 26)
    lif = Lif(beta=float64:0.9, threshold=float64:1.0, ...) <- conv + skip : (8, 26, 26)

What stands after `<-` is summed; into a `Product`, the last `second` of it apart. A parameter that is
None by default is left out where it is. An array is named by dtype, shape and the head of its digest, and
lies beside the text (`arrays_of`); a 0-d array is written out. The text leaves out `Node.source`, which
takes no part in comparing graphs.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from avnir.errors import GraphError
from avnir.ir import integer_level, real_level
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array, Operation, Shape, digest

DIGEST_DIGITS = 12
"""How many hexadecimal digits of a digest `Operation.text` prints."""

OPERATIONS: Mapping[str, Mapping[str, type[Operation]]] = {
    "real": real_level.OPERATIONS,
    "integer": integer_level.OPERATIONS,
}
"""What a text may name, by level."""

HEAD = re.compile(r"(\w+) graph, dt = (\S+)\Z")
LINE = re.compile(r"(\w+) = (\w+)\((.*)\)(?: <- (\w+(?: \+ \w+)*))? : (\([\d, ]*\))\Z")
PARAMETER = re.compile(r"(\w+)=(\([^()]*\)|'[^']*'|[^,()\[\]']+(?:\[[\d,]*\]#[0-9a-f]+)?)(?:, |\Z)")
ARRAY = re.compile(r"([<>|=]?\w+)\[([\d,]*)\]#([0-9a-f]+)\Z")
SCALAR = re.compile(r"([<>|=]?\w+):(\S+)\Z")


def to_text(graph: Graph) -> str:
    """The graph as text; the same graph gives the same text."""
    lines = [f"{graph.level} graph, dt = {graph.dt!r}"]
    for node in graph:
        fed = f" <- {' + '.join(node.inputs)}" if node.inputs else ""
        lines.append(f"{node.name} = {node.op.text()}{fed} : {graph.shapes[node.name]}")
    return "\n".join(lines) + "\n"


def arrays_of(graph: Graph) -> dict[str, Array]:
    """The arrays that `to_text` names, by the digits that it prints."""
    return {digest(array)[:DIGEST_DIGITS]: array for array in _arrays(graph)}


def graph_digest(graph: Graph) -> str:
    """SHA-256 over the text and over every array: equal graphs, equal digest; sources take no part."""
    parts = [to_text(graph), *(digest(array) for array in _arrays(graph))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _arrays(graph: Graph) -> list[Array]:
    values = [value for node in graph for _, value in node.op.items()]
    return [value for value in values if isinstance(value, np.ndarray) and value.ndim]


def parse(text: str, arrays: Mapping[str, Array]) -> Graph:
    """The graph of a text that `to_text` wrote, with the arrays of `arrays_of`.

    Nothing in the text is executed. Raises GraphError with the number of the line that is wrong, and
    with every rule of the level that the whole breaks.
    """
    numbered = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not numbered:
        raise GraphError("line 1: the text is empty, but must begin with 'real graph, dt = ...'")
    level, dt = _at(numbered[0], _head)
    shapes: dict[str, Shape] = {}
    nodes = [_at(entry, lambda line: _node(line, level, arrays, shapes)) for entry in numbered[1:]]
    return verified(Graph(level, tuple(nodes), dt))


def _at(entry: tuple[int, str], read: Any) -> Any:
    number, line = entry
    try:
        return read(line)
    except (
        GraphError,
        ValueError,
        TypeError,
        AttributeError,
        SyntaxError,
        RecursionError,
        MemoryError,
    ) as error:
        raise GraphError(f"line {number}: {error}") from error


def _head(line: str) -> tuple[str, float]:
    match = HEAD.match(line)
    if not match or match[1] not in OPERATIONS:
        levels = " or ".join(OPERATIONS)
        raise GraphError(f"{line!r} is not '<level> graph, dt = <seconds>' with level {levels}")
    return match[1], float(match[2])


def _node(line: str, level: str, arrays: Mapping[str, Array], shapes: dict[str, Shape]) -> Node:
    match = LINE.match(line)
    if not match:
        raise GraphError(f"{line!r} is not 'name = Kind(parameters) <- inputs : shape'")
    name, kind, parameters, fed, shape = match.groups()
    if kind not in OPERATIONS[level]:
        raise GraphError(f"there is no {kind} on the {level} level, only {', '.join(OPERATIONS[level])}")
    op = _operation(OPERATIONS[level][kind], parameters, arrays)
    inputs = tuple(fed.split(" + ")) if fed else ()
    _check_shape(name, op, inputs, ast.literal_eval(shape), shapes)
    return Node(name, op, inputs)


def _operation(kind: type[Operation], text: str, arrays: Mapping[str, Array]) -> Operation:
    optional = [field.name for field in dataclasses.fields(kind) if "None" in str(field.type)]
    values: dict[str, Any] = dict.fromkeys(optional)
    position = 0
    while position < len(text):
        match = PARAMETER.match(text, position)
        if not match:
            raise GraphError(f"cannot read the parameters from {text[position:]!r} on")
        values[match[1]] = _value(match[2], arrays)
        position = match.end()
    return kind(**values)


def _value(text: str, arrays: Mapping[str, Array]) -> Any:
    if match := ARRAY.match(text):
        return _named_array(match, arrays)
    if match := SCALAR.match(text):
        return _scalar(match[1], match[2])
    return ast.literal_eval(text)


def _named_array(match: re.Match[str], arrays: Mapping[str, Array]) -> Array:
    if match[3] not in arrays:
        raise GraphError(f"there is no array {match[0]} beside the text")
    array = arrays[match[3]]
    shown = f"{array.dtype}{list(array.shape)}#{digest(array)[:DIGEST_DIGITS]}".replace(" ", "")
    if shown != match[0]:
        raise GraphError(f"the array beside the text is {shown}, but the text says {match[0]}")
    return array


def _scalar(dtype: str, text: str) -> Array:
    kind = np.dtype(dtype)
    if kind.kind not in "fiub":
        raise GraphError(f"{dtype} is not a type of numbers")
    return np.array(float(text) if kind.kind == "f" else ast.literal_eval(text), kind)


def _check_shape(
    name: str, op: Operation, inputs: tuple[str, ...], said: Shape, shapes: dict[str, Shape]
) -> None:
    unknown = [feeder for feeder in inputs if feeder not in shapes]
    if unknown and not op.delayed:
        raise GraphError(f"{name} is fed by {', '.join(unknown)}, which no line above makes")
    found = said if unknown else op.output_shape(shapes[inputs[0]] if inputs else ())
    if found != said:
        raise GraphError(f"{name} makes {found}, but the text says {said}")
    shapes[name] = found
