"""A real graph as a NIR file that other frameworks read, and that reads back as the equal graph.

The graph comes in the form that `avnir.passes.fold_gain` makes. An edge is an entry of `Node.inputs`;
several edges into one node are summed, as NIR says. A file has one of two forms:

    standard   as other frameworks write: a Lif of reset "zero" is plainly NIR's neuron, one of another
               reset is the same with the reset in the metadata, so that a reader who does not look there
               gets a hard reset; a recurrent connection is a loop without its Delay
               (`avnir.export.nir_loops`)
    strict     all of the network in NIR's operations: resets are spelled out (`avnir.passes.spell_resets`),
               every Delay is there

Operations are encoded in `avnir.export.nir_encode`, layers along one axis in `avnir.export.nir_rows`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from avnir.errors import Finding, GraphError, UnsupportedError
from avnir.export.nir_encode import Refused, encode
from avnir.export.nir_hdf5 import write_file
from avnir.export.nir_loops import left_out, without
from avnir.export.nir_rows import encode_row, rows_of, touches
from avnir.export.nir_schema import FORMAT, MAX_NODES, Form, GraphRecord, NirFile, NirNode, ResetRecord
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.text import graph_digest
from avnir.passes.spell_resets import Spelled, spell


def write_nir(
    graph: Graph, path: Path, metadata: Mapping[str, JsonValue] | None = None, form: Form = "standard"
) -> None:
    """Write `graph` to `path`, whole or not at all; the same graph gives the same bytes.

    `metadata` (JSON values: versions, origin) goes into the graph's metadata, and is not read back. Raises
    UnsupportedError with every node that has no form in NIR, and GraphError for a graph of another level.
    """
    if graph.level != "real":
        raise GraphError(f"NIR holds graphs of the real level, not of the {graph.level} level")
    content, findings = nir_content(verified(graph), form, metadata or {})
    if findings:
        raise UnsupportedError("the network cannot be written as NIR:", findings)
    write_file(content, Path(path))


def nir_findings(graph: Graph, form: Form = "standard") -> tuple[Finding, ...]:
    """Why `write_nir` would refuse the graph, all of it; empty where it can be written."""
    return tuple(nir_content(verified(graph), form, {})[1])


def nir_content(graph: Graph, form: Form, metadata: Mapping[str, JsonValue]) -> tuple[NirFile, list[Finding]]:
    """What the file of a verified `graph` holds, and every node that is missing in it."""
    spelled, groups, findings = _spelled(graph) if form == "strict" else (graph, {}, [])
    rows = rows_of(spelled)
    loops = left_out(spelled) if form == "standard" else {}
    nodes, missing = _encoded(spelled, rows)
    edges = without(((feeder, node.name) for node in spelled for feeder in node.inputs), loops)
    own = {
        "form": form,
        "loops": loops,
        "rows": [node.name for node in spelled if node.name in rows],
        "resets": {
            name: ResetRecord(reset=group.reset, nodes=list(group.nodes)) for name, group in groups.items()
        },
    }
    plain = {"form": "standard", "loops": {}, "rows": [], "resets": {}}
    record = GraphRecord(
        format=FORMAT,
        dt=float(graph.dt),
        order=[node.name for node in graph],
        digest=graph_digest(graph),
        metadata=dict(metadata),
        **{key: value for key, value in own.items() if value != plain[key]},  # type: ignore[arg-type]
    )
    kept = {name: nir for name, nir in nodes.items() if name not in loops}
    return NirFile(kept, edges, record), [*findings, *missing]


def _spelled(graph: Graph) -> tuple[Graph, dict[str, Spelled], list[Finding]]:
    """The graph with its resets spelled out; as it is, where one has no such form, and why."""
    try:
        return *spell(graph), []
    except UnsupportedError as error:
        return graph, {}, list(error.findings)


def _encoded(graph: Graph, rows: frozenset[str]) -> tuple[dict[str, NirNode], list[Finding]]:
    nodes: dict[str, NirNode] = {}
    findings: list[Finding] = []
    if len(graph) > MAX_NODES:
        findings.append(Finding("graph", f"it has {len(graph)} nodes", f"A file holds at most {MAX_NODES}"))
    for node in graph:
        problems = list(_array_problems(node))
        try:
            nodes[node.name] = _nir(node, graph, rows)
        except Refused as refused:
            problems.append(refused.finding)
        findings += [Finding(_place(node), problem, remedy) for problem, remedy in problems]
    return nodes, findings


def _nir(node: Node, graph: Graph, rows: frozenset[str]) -> NirNode:
    if touches(node, rows):
        return encode_row(node, graph, rows)
    return encode(node, graph.shapes[(node.inputs or (node.name,))[0]], graph.dt)


def _place(node: Node) -> str:
    return f"{node.name} ({node.source})" if node.source else node.name


def _array_problems(node: Node) -> Iterator[tuple[str, str]]:
    for name, value in node.op.items():
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in "fiu" or value.dtype.itemsize > 8:
                yield f"{node.op.kind}.{name} has type {value.dtype}", "Use float64, float32 or integers"
            elif not np.all(np.isfinite(value)):
                yield f"{node.op.kind}.{name} has values that are not finite", "Train or load the model again"
