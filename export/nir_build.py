"""The nodes of a NIR file as nodes of a graph, one after the other, each after what it waits for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from avnir.errors import InterchangeError
from avnir.export.nir_decode import DECODERS, stale
from avnir.export.nir_rows import conv2d, expanded, in_file
from avnir.export.nir_schema import NirNode
from avnir.ir import real
from avnir.ir.graph import Node
from avnir.ir.operation import Shape
from avnir.passes.fold_gain import free_name


@dataclass
class Built:
    """The nodes that were made so far of a file's, and the shapes of what they give, by the file's names.

    `rows` are the nodes that the file holds as (C, L) (`avnir.export.nir_rows`); None in a foreign file.
    """

    dt: float
    rows: frozenset[str] | None
    taken: set[str]
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    """What gives a node's output, where it is not the node of its name."""

    def add(self, name: str, nir: NirNode, inputs: list[str]) -> None:
        """Make the node `name`; raises InterchangeError, GraphError or Refused."""
        if bool(inputs) == (nir.kind == "Input"):
            raise InterchangeError(f"{nir.kind} has {len(inputs)} inputs")
        if nir.kind == "Conv1d" and self.rows is None:
            self._add_conv1d(name, nir, inputs)
            return
        nir, shape = self._in_graph(name, nir, inputs, fed_shape(inputs, self.shapes))
        if nir.kind not in DECODERS:
            raise InterchangeError(stale("the list of rows"))
        self._keep(Node(name, DECODERS[nir.kind](nir, shape, self.dt), tuple(inputs), nir.record.source))

    def _in_graph(self, name: str, nir: NirNode, inputs: list[str], shape: Shape) -> tuple[NirNode, Shape]:
        """The node as the decoders take it, and the shape that they take."""
        rows = self.rows or frozenset()
        fed = name in rows if nir.kind == "Delay" else bool(inputs) and inputs[0] in rows
        if nir.kind == "Flatten":
            return nir, in_file(inputs[0], shape, rows)
        if not fed:
            return nir, shape
        return expanded(nir, shape), shape

    def _add_conv1d(self, name: str, nir: NirNode, inputs: list[str]) -> None:
        shape = fed_shape(inputs, self.shapes)
        if len(shape) != 2:
            raise InterchangeError(f"Conv1d takes (C, L), but its input is {shape}")
        before, after = (self._free(f"{name}_{what}") for what in ("rows", "sequence"))
        wide = (shape[0], 1, shape[1])
        op = DECODERS["Conv2d"](conv2d(nir), wide, self.dt)
        channels, _, length = op.output_shape(wide)
        self._keep(Node(before, real.Flatten(wide), tuple(inputs)))
        self._keep(Node(name, op, (before,)))
        self._keep(Node(after, real.Flatten((channels, length)), (name,)))
        self.shapes[name], self.sent[name] = (channels, length), after

    def _free(self, wanted: str) -> str:
        self.taken.add(name := free_name(wanted, self.taken))
        return name

    def _keep(self, node: Node) -> None:
        shape = node.op.shape if isinstance(node.op, real.Delay) else fed_shape(node.inputs, self.shapes)
        self.shapes[node.name] = node.op.output_shape(shape)
        self.nodes.append(node)

    def whole(self) -> list[Node]:
        """The nodes, fed by those that give what the file's names stand for."""
        return [
            dataclasses.replace(
                node,
                inputs=tuple(
                    name if self.sent.get(name) == node.name else self.sent.get(name, name)
                    for name in node.inputs
                ),
            )
            for node in self.nodes
        ]


def fed_shape(inputs: Sequence[str], shapes: Mapping[str, Shape]) -> Shape:
    """The shape of what feeds a node, as far as it is known; it is checked again in the whole graph."""
    known = [feeder for feeder in inputs if feeder in shapes]
    if len({shapes[feeder] for feeder in known}) > 1:
        parts = ", ".join(f"{feeder} {shapes[feeder]}" for feeder in known)
        raise InterchangeError(f"what feeds it is added and needs one shape, but is {parts}")
    return shapes[known[0]] if known else ()
