"""A NIR file as a real graph, or one error that says all that stands against it.

The neurons are NIR's, stepped by forward Euler (Pedersen et al., Nature Communications 15, 8122, 2024):

    LIF  dv/dt = (v_leak - v + r I) / tau     ->  beta = 1 - dt/tau,  gain = r dt/tau
    IF   dv/dt = r I                          ->  beta = 1,           gain = r dt
    CubaLIF, LIF of a current: dv/dt = (v_leak - v + r i) / tau_mem,  di/dt = (-i + w_in I) / tau_syn
                                              ->  alpha = 1 - dt/tau_syn, beta = 1 - dt/tau_mem,
                                                  gain = r dt/tau_mem * w_in dt/tau_syn

with v_leak = 0, v_reset = 0. Where r = 1 the gain of a LIF is 1 - beta, its canonical form. A file without
avnir's metadata has hard resets, binary inputs, and no time step: the caller says it. A file with them
is read back bit for bit, and refused if it was changed since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np

from avnir.errors import GraphError, InterchangeError
from avnir.export.nir_decode import DECODERS, NEURONS, neuron_problems, stale
from avnir.export.nir_hdf5 import read_file
from avnir.export.nir_schema import FIELDS, NirFile, NirNode
from avnir.export.nir_write import Refused, encode
from avnir.ir.graph import NAME, Graph, Node, in_order, verified
from avnir.ir.operation import Shape, same_array
from avnir.ir.text import graph_digest

REASONS: Mapping[str, str] = {
    "NIRGraph": "graphs inside graphs are not read; write the file flat",
    "Delay": "delays are not read; remove it",
    "LI": "a neuron without spikes is not read; end the network before it",
    "I": "a neuron without spikes is not read; end the network before it",
    "CubaLI": "a neuron without spikes is not read; end the network before it",
    "Conv1d": "is not read; write it as a Conv2d of height 1",
}
"""Why a type of NIR is not taken, and what to use instead."""


REFORMED = ("Conv2d", "Scale")
"""Types that hold an operation in another form, if their metadata says so."""
WHOLE = frozenset(
    {
        "shape",
        "input_type",
        "start_dim",
        "end_dim",
        "input_shape",
        "stride",
        "padding",
        "dilation",
        "groups",
        "kernel_size",
    }
)
"""Fields that are whole numbers."""


def read_nir(path: Path, dt: float | None = None) -> Graph:
    """The graph of a NIR file; `dt` is the time step in seconds of a file that does not say it.

    Raises InterchangeError, and nothing else, where the file is missing, unsafe, damaged, changed after
    avnir wrote it, or outside what avnir computes exactly; the message lists every finding.
    """
    path = Path(path)
    content = read_file(path)
    try:
        return _graph(content, _time_step(content, dt))
    except (GraphError, InterchangeError) as error:
        raise InterchangeError(f"{path}: {error}") from error


def _time_step(content: NirFile, asked: float | None) -> float:
    said = None if content.record is None else content.record.dt
    if said is None and asked is None:
        raise InterchangeError("it does not say how long a time step is; give it in seconds (--dt)")
    if said is not None and asked is not None and said != asked:
        raise InterchangeError(f"its time step is {said} s, not {asked} s; leave out --dt")
    dt = float(said if said is not None else asked)  # type: ignore[arg-type]
    if not (np.isfinite(dt) and dt > 0):
        raise InterchangeError(f"the time step is {dt} s, but must be positive")
    return dt


def _graph(content: NirFile, dt: float) -> Graph:
    feeders = _feeders(content)
    nodes = {node.name: node for node in _nodes(content, feeders, dt)}
    if content.record is None:
        return verified(Graph("real", in_order(nodes.values()), dt))
    if sorted(content.record.order) != sorted(nodes):
        raise InterchangeError(stale("the order of nodes"))
    graph = verified(Graph("real", tuple(nodes[name] for name in content.record.order), dt))
    if graph_digest(graph) != content.record.digest:
        raise InterchangeError(stale("the digest"))
    return graph


def _refuse(problems: list[str]) -> None:
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise InterchangeError(f"it is not a network that avnir reads exactly:\n{listed}")


def _feeders(content: NirFile) -> dict[str, list[str]]:
    """What feeds each node, in the order of the file's edges; both in an order that feeds forward."""
    feeders: dict[str, list[str]] = {name: [] for name in content.nodes}
    problems = [
        f"an edge runs from {before!r} to {after!r}, but there is no such node"
        for before, after in content.edges
        if before not in feeders or after not in feeders
    ]
    _refuse(problems)
    for before, after in content.edges:
        feeders[after].append(before)
    try:
        return {name: feeders[name] for name in TopologicalSorter(feeders).static_order()}
    except CycleError as error:
        loop = error.args[1]
        stateful = any(content.nodes[name].kind in NEURONS for name in loop)
        why = "recurrent connections are not read" if stateful else "a loop without a state has no meaning"
        raise InterchangeError(f"the nodes {' -> '.join(loop)} form a loop; {why}") from error


def _nodes(content: NirFile, feeders: Mapping[str, list[str]], dt: float) -> list[Node]:
    """Every node as an operation, after all findings about all of them."""
    static = {name: list(_static_problems(name, nir, dt)) for name, nir in content.nodes.items()}
    problems = [f"{name}: {problem}" for name, found in static.items() for problem in found]
    if content.record is None:
        marked = [name for name, nir in content.nodes.items() if nir.record.model_fields_set]
        problems += [f"{name}: {stale('a node, but not the graph,')}" for name in marked]
    shapes: dict[str, Shape] = {}
    nodes: list[Node] = []
    for name, inputs in feeders.items():
        if static[name] or not all(feeder in shapes for feeder in inputs):
            continue
        try:
            node = _node(name, content.nodes[name], inputs, shapes, dt)
            shapes[name] = node.op.output_shape(_fed_shape(inputs, shapes))
            nodes.append(node)
        except (InterchangeError, GraphError, Refused) as error:
            problems.append(f"{name}: {error}")
    _refuse(problems)
    return nodes


def _fed_shape(inputs: list[str], shapes: Mapping[str, Shape]) -> Shape:
    found = {shapes[feeder] for feeder in inputs}
    if len(found) > 1:
        parts = ", ".join(f"{feeder} {shapes[feeder]}" for feeder in inputs)
        raise InterchangeError(f"what feeds it is added and needs one shape, but is {parts}")
    return found.pop() if found else ()


def _node(name: str, nir: NirNode, inputs: list[str], shapes: Mapping[str, Shape], dt: float) -> Node:
    if bool(inputs) == (nir.kind == "Input"):
        raise InterchangeError(f"{nir.kind} has {len(inputs)} inputs")
    shape = _fed_shape(inputs, shapes)
    op = DECODERS[nir.kind](nir, shape, dt)
    node = Node(name, op, tuple(inputs), nir.record.source)
    if nir.kind in REFORMED and nir.record.model_fields_set - {"source"}:
        _check_form(nir, encode(node, shape, dt))
    return node


def _check_form(nir: NirNode, again: NirNode) -> None:
    """Where the metadata says that a node had another form: that form gives exactly these fields."""
    for field in nir.fields:
        there, value = nir.array(field), again.array(field)
        if not (np.array_equal(there, value) if field in WHOLE else same_array(there, value)):
            raise InterchangeError(stale(f"the form of {field!r}"))


def _static_problems(name: str, nir: NirNode, dt: float) -> Iterator[str]:
    """What is wrong with a node wherever it stands."""
    if not NAME.match(name):
        yield "is not a name of letters, digits and underscores"
    if nir.kind not in FIELDS:
        yield f"{nir.kind}: {REASONS.get(nir.kind, 'is no type of NIR; rename or remove it')}"
        return
    needed, optional = FIELDS[nir.kind]
    yield from (f"{nir.kind} lacks the field {field!r}" for field in sorted(needed - nir.fields.keys()))
    yield from (
        f"{nir.kind} has no field {field!r} in NIR" for field in sorted(nir.fields.keys() - needed - optional)
    )
    wrong = list(_number_problems(nir))
    yield from wrong
    if nir.kind in NEURONS and not wrong and needed <= nir.fields.keys() <= needed | optional:
        yield from neuron_problems(nir, dt)


def _number_problems(nir: NirNode) -> Iterator[str]:
    for field, value in nir.fields.items():
        if isinstance(value, str):
            if field != "padding":
                yield f"{field} is a text, but must be numbers"
        elif field in WHOLE and value.dtype.kind not in "iu":
            yield f"{field} has type {value.dtype}, but must be whole numbers"
        elif value.size == 0 and field not in WHOLE:
            yield f"{field} is empty"
        elif not np.all(np.isfinite(value)):
            yield f"{field} has values that are not finite"
