"""The network as a picture: layers where the chip reaches them in time, connections between them.

The picture runs down. A layer stands at the chip step in which it does what the model does in step t; the
connections that bring its input stand just above it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from avnir.ir.graph import Graph, Node
from avnir.ir.integer import Connection, Neurons
from avnir.ir.latency import latencies
from avnir.ir.presentations import presentations
from avnir.place.placement import Placement
from avnir.report.figures import MINUS, counted, listed, percent, size
from avnir.report.layered import Box, Drawing, drawn
from avnir.verify.compare import Comparison

LINE = 15.0
"""Pixels from one line of text to the next."""
LETTER = 7.0
"""Pixels that a letter takes, on average, at this size."""
LETTERS = 20
"""Letters in a line of a name, where it can be broken."""
GUTTER = 62.0
"""Pixels left of the picture, for the chip steps."""
MARGIN = 12.0
TOP = 32.0
"""Pixels above the picture, for the title of the chip steps."""
GAP = 26.0

HOST, FIXED, PROGRAMMABLE, WIRES = "host", "fixed", "programmable", "wires"
_PART = re.compile(r"[^_]*_*")


@dataclass(frozen=True)
class NodeView:
    """A box: its corner and size in pixels, what stands in it, and the facts about it."""

    index: int
    kind: str
    left: float
    top: float
    width: float
    height: float
    lines: tuple[tuple[float, str, str], ...]
    title: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class EdgeView:
    """A line between two boxes, by their indices; `back` where it closes a loop."""

    first: int
    last: int
    path: str
    back: bool


@dataclass(frozen=True)
class NetworkView:
    """The picture in pixels; `steps`: height and text of the chip steps at its left."""

    width: float
    height: float
    gutter: float
    nodes: tuple[NodeView, ...]
    edges: tuple[EdgeView, ...]
    steps: tuple[tuple[float, str], ...]
    sentences: tuple[str, ...]
    kinds: tuple[tuple[str, str], ...]


def network_view(graph: Graph, placement: Placement, compared: Comparison | None) -> NetworkView:
    """The picture of an integer graph; `compared` gives each layer's agreement with the model."""
    late = latencies(graph)
    agreement = {layer.layer: layer.agreement for layer in compared.layers} if compared else {}
    texts = {node.name: tuple(_lines(node, graph, agreement)) for node in graph}
    boxes = [_box(node, texts[node.name], late[node.name]) for node in graph]
    edges = [(name, node.name) for node in graph for name in node.inputs]
    drawing = drawn(boxes, edges, GAP)
    index = {node.name: number for number, node in enumerate(graph)}
    facts = {node.name: tuple(_facts(node, graph, late, placement, agreement)) for node in graph}
    nodes = [
        _node_view(index[box.name], graph[box.name], box, drawing, texts[box.name], facts[box.name])
        for box in boxes
    ]
    return NetworkView(
        round(drawing.width + GUTTER + 2 * MARGIN),
        round(drawing.height + TOP + MARGIN),
        GUTTER,
        tuple(nodes),
        tuple(_edge_view(index[a], index[b], points, boxes) for (a, b), points in drawing.edges.items()),
        tuple(_steps(graph, late, drawing)),
        tuple(_sentences(graph, late)),
        tuple(_kinds(graph)),
    )


def _lines(node: Node, graph: Graph, agreement: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """What stands in the box: a style and a text a line."""
    if isinstance(node.op, Connection):
        yield "wire", _synapses(node.op)
        if node.op.delay:
            yield "delay", f"+{counted(node.op.delay, 'step')}"
        if node.op.lag:
            yield "delay", f"from t {MINUS} {node.op.lag}"
        return
    for part in _broken(node.name):
        yield "name", part
    yield "shape", f"{node.op.kind} {size(graph.shapes[node.name])}"
    if node.name in agreement:
        yield "agreement", f"{percent(agreement[node.name])} equal"


def _synapses(op: Connection) -> str:
    kernel = op.weight.shape[2:]
    return f"{op.kind} {size(kernel)}" if kernel else op.kind


def _broken(name: str) -> Iterator[str]:
    """A long name in lines, broken behind underscores."""
    line = ""
    for part in _PART.findall(name):
        if line and len(line) + len(part) > LETTERS:
            yield line
            line = ""
        line += part
    yield line


def _box(node: Node, lines: Sequence[tuple[str, str]], late: int) -> Box:
    letters = max(len(text) for _, text in lines)
    rank = 2 * late - 1 if isinstance(node.op, Connection) else 2 * late + (node.op.kind == "Output")
    pad = 8.0 if isinstance(node.op, Connection) else 12.0
    return Box(node.name, rank, round(letters * LETTER + 2 * pad), LINE * len(lines) + pad)


def _node_view(
    index: int,
    node: Node,
    box: Box,
    drawing: Drawing,
    lines: Sequence[tuple[str, str]],
    facts: tuple[tuple[str, str], ...],
) -> NodeView:
    x, y = drawing.centres[box.name]
    top = y - box.height / 2 + TOP
    first = top + (box.height - LINE * len(lines)) / 2 + 11.5
    return NodeView(
        index,
        _kind(node),
        round(x - box.width / 2 + GUTTER + MARGIN, 1),
        round(top, 1),
        box.width,
        box.height,
        tuple((round(first + LINE * i, 1), style, text) for i, (style, text) in enumerate(lines)),
        node.name,
        facts,
    )


def _kind(node: Node) -> str:
    if isinstance(node.op, Neurons):
        return FIXED if node.op.native else PROGRAMMABLE
    return WIRES if isinstance(node.op, Connection) else HOST


_KINDS = (
    (HOST, "on the host"),
    (FIXED, "the chip's own neuron"),
    (PROGRAMMABLE, "programmable neuron"),
    (WIRES, "synapses"),
)


def _kinds(graph: Graph) -> Iterator[tuple[str, str]]:
    found = {_kind(node) for node in graph}
    return ((kind, text) for kind, text in _KINDS if kind in found)


def _facts(
    node: Node,
    graph: Graph,
    late: Mapping[str, int],
    placement: Placement,
    agreement: Mapping[str, float],
) -> Iterator[tuple[str, str]]:
    """What a table says of a node, a name and a text each."""
    op = node.op
    yield "operation", op.kind
    yield "shape", size(graph.shapes[node.name])
    if isinstance(op, Connection):
        weight = op.weight
        yield "from", listed(node.inputs)
        yield "weights", f"{size(weight.shape)}, {weight.min()} to {weight.max()}, exponent {op.exponent}"
        yield "delay", f"1 + {op.delay} chip steps" + (f", lag {op.lag}" if op.lag else "")
        return
    yield "time", _when(late[node.name])
    if node.inputs:
        yield "fed by", listed(node.inputs)
    if isinstance(op, Neurons):
        yield "neurons", f"{math.prod(graph.shapes[node.name]):,}"
        yield "runs on", op.microcode or "the chip's own neuron"
        pieces = placement.layers.get(node.name, ())
        yield "cores", _numbered((piece.chip, piece.core) for piece in pieces)
    if node.name in agreement:
        yield "equal spike slots", percent(agreement[node.name], 3)
    if node.source:
        yield "in your code", node.source


def _numbered(addresses: Iterable[tuple[int, int]]) -> str:
    """Cores by number, with the chip where there are several."""
    found = sorted(set(addresses))
    several = any(chip for chip, _ in found)
    return ", ".join(f"{chip}:{core}" if several else str(core) for chip, core in found) or "none"


def _when(late: int) -> str:
    return "model step t in chip step t" + (f" + {late}" if late else "")


def _steps(graph: Graph, late: Mapping[str, int], drawing: Drawing) -> Iterator[tuple[float, str]]:
    places = sorted({late[node.name] for node in graph if not isinstance(node.op, Connection)})
    for place in places:
        if 2 * place in drawing.ranks:
            yield round(drawing.ranks[2 * place] + TOP, 1), f"t + {place}" if place else "t"


def _sentences(graph: Graph, late: Mapping[str, int]) -> Iterator[str]:
    yield (
        "In the model every layer sees its input in the same time step t. On the chip each connection takes "
        "one step, and more where it waits for a longer path: what the model does in step t, the chip does "
        "in the step at the left."
    )
    times = presentations(graph)
    if times > 1:
        yield (
            f"Sums over the whole window are known when it has passed, so the window is shown {times} times; "
            "the picture is of one of them."
        )


def _edge_view(
    first: int, last: int, points: Sequence[tuple[float, float]], boxes: Sequence[Box]
) -> EdgeView:
    a, b = boxes[first], boxes[last]
    return EdgeView(first, last, _curve(points, a, b), b.rank < a.rank)


def _curve(points: Sequence[tuple[float, float]], first: Box, last: Box) -> str:
    """The line from the border of one box to that of the other, through its bends."""
    (x0, y0), *inner, (x1, y1) = points
    below = 1 if y1 >= y0 else -1
    places = [(x0, y0 + below * first.height / 2), *inner, (x1, y1 - below * last.height / 2)]
    shifted = [(x + GUTTER + MARGIN, y + TOP) for x, y in places]
    path = f"M{_number(shifted[0][0])} {_number(shifted[0][1])}"
    return path + "".join(_arc(a, b) for a, b in pairwise(shifted))


def _arc(a: tuple[float, float], b: tuple[float, float]) -> str:
    """One piece, upright at both ends."""
    middle = (a[1] + b[1]) / 2
    if abs(a[0] - b[0]) < 0.5:
        return f"V{_number(b[1])}"
    numbers = (a[0], middle, b[0], middle, *b)
    return "C" + " ".join(map(_number, numbers))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
