"""The connections of a program as they were before its wide sums were cut into parts (`split_sums`).

A relay that hands on what arrives, and sends it to one neuron with weight 1, changes nothing but the time:
the connection into it and the one behind it are one connection, whose synapses end where the relays' do
(`avnir.passes.split_sums`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.integer_graded import Relay
from avnir.ir.integer_sparse import Sparse


def rejoined(program: Graph) -> Graph:
    """An integer graph without such relays; the graph itself where it has none."""
    relays = {node.name: node for node in program.neurons if _sums_parts(program, node)}
    if not relays:
        return program
    sums = {program.consumers[name][0]: relay.inputs[0] for name, relay in relays.items()}
    return program.with_nodes(_nodes(program, relays, sums))


def _sums_parts(program: Graph, node: Node) -> bool:
    """Whether it is such a relay."""
    op, behind = node.op, program.consumers[node.name]
    if not isinstance(op, Relay) or op.threshold or op.positive or len(node.inputs) != 1 or len(behind) != 1:
        return False
    before, after = program[node.inputs[0]].op, program[behind[0]].op
    if not isinstance(before, Sparse) or not isinstance(after, Sparse) or after.exponent:
        return False
    return bool(np.all(after.weight == 1)) and np.array_equal(after.source, np.arange(after.size[1]))


def _nodes(program: Graph, relays: dict[str, Node], sums: dict[str, str]) -> Iterator[Node]:
    """`sums` says which connection stands for each one behind a relay."""
    joined = {into: program[behind].op for behind, into in sums.items()}
    for node in program:
        if node.name in joined:
            yield Node(node.name, _joined(node.op, joined[node.name]), node.inputs, node.source)  # type: ignore[arg-type]
        elif node.name not in relays and node.name not in sums:
            inputs = tuple(sums.get(name, name) for name in node.inputs)
            yield Node(node.name, node.op, inputs, node.source)


def _joined(parts: Sparse, whole: Sparse) -> Sparse:
    """Synapse k ends where its relay's only synapse does."""
    target = whole.target[parts.target]
    order = np.lexsort((target, parts.source))
    return Sparse(
        parts.weight[order],
        parts.exponent,
        lag=parts.lag,
        size=(whole.size[0], parts.size[1]),
        source=parts.source[order],
        target=target[order],
    )
