"""A NIR file as a real graph, or one error that says all that stands against it.

The neurons are NIR's, stepped by forward Euler (Pedersen et al., Nature Communications 15, 8122, 2024):

    LIF  dv/dt = (v_leak - v + r I) / tau     ->  beta = 1 - dt/tau,  gain = r dt/tau
    IF   dv/dt = r I                          ->  beta = 1,           gain = r dt
    CubaLIF, LIF of a current: dv/dt = (v_leak - v + r i) / tau_mem,  di/dt = (-i + w_in I) / tau_syn
                                              ->  alpha = 1 - dt/tau_syn, beta = 1 - dt/tau_mem,
                                                  gain = r dt/tau_mem * w_in dt/tau_syn

with v_leak = 0, v_reset = 0; LI, I and CubaLI are the same without a threshold. Where r = 1 the gain of a
LIF is 1 - beta, its canonical form; where r = tau/dt it is 1. A Delay is a whole number of time steps.

A file without avnir's metadata has hard resets, binary inputs, and no time step: the caller says it. What
is no letter or digit in its names becomes an underscore. Its loops without a Delay are late by one step
(`avnir.export.nir_loops`), and its Conv1d become the nodes that avnir's tracer makes of one
(`avnir.export.nir_rows`). A file with metadata is read back bit for bit, and refused if it was changed
since: what was read is encoded again, and gives the same file.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np

from avnir.errors import GraphError, InterchangeError
from avnir.export.nir_build import Built
from avnir.export.nir_decode import NEURONS, neuron_problems, stale
from avnir.export.nir_encode import Refused
from avnir.export.nir_hdf5 import read_file
from avnir.export.nir_loops import with_delays
from avnir.export.nir_schema import FIELDS, NirFile, NirNode
from avnir.export.nir_write import nir_content
from avnir.ir.graph import NAME, Graph, Node, in_order, verified
from avnir.ir.operation import same_array
from avnir.ir.text import graph_digest
from avnir.passes.fold_gain import free_name
from avnir.passes.spell_resets import Spelled, restored

REASONS: Mapping[str, str] = {
    "NIRGraph": "graphs inside graphs are not read; write the file flat",
}
"""Why a type of NIR is not taken, and what to use instead."""
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
    _check_edges(content)
    whole = with_delays(content if content.record else _named(content), NEURONS, dt)
    nodes = _nodes(whole, _feeders(whole), dt)
    record = content.record
    if record is None:
        return verified(Graph("real", in_order(nodes), dt))
    groups = {name: Spelled(group.reset, tuple(group.nodes)) for name, group in record.resets.items()}
    there = {node.name: node for node in restored(nodes, groups)}
    if sorted(record.order) != sorted(there):
        raise InterchangeError(stale("the order of nodes"))
    graph = verified(Graph("real", tuple(there[name] for name in record.order), dt))
    if graph_digest(graph) != record.digest:
        raise InterchangeError(stale("the digest"))
    _check_form(content, nir_content(graph, record.form, record.metadata)[0])
    return graph


def _refuse(problems: list[str]) -> None:
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise InterchangeError(f"it is not a network that avnir reads exactly:\n{listed}")


def _check_edges(content: NirFile) -> None:
    _refuse(
        [
            f"an edge runs from {before!r} to {after!r}, but there is no such node"
            for before, after in content.edges
            if before not in content.nodes or after not in content.nodes
        ]
    )


def _named(content: NirFile) -> NirFile:
    """A foreign file with names of letters, digits and underscores: `1.lif` is `_1_lif`."""
    names = {name: name for name in content.nodes if NAME.match(name)}
    taken = set(names)
    for name in [name for name in content.nodes if name not in names]:
        names[name] = free_name(re.sub(r"^(?![A-Za-z_])|[^A-Za-z0-9_]", "_", name), taken)
        taken.add(names[name])
    return dataclasses.replace(
        content,
        nodes={names[name]: nir for name, nir in content.nodes.items()},
        edges=tuple((names[before], names[after]) for before, after in content.edges),
    )


def _feeders(content: NirFile) -> dict[str, list[str]]:
    """What feeds each node, in the order of the file's edges; a Delay may come before what feeds it."""
    feeders: dict[str, list[str]] = {name: [] for name in content.nodes}
    for before, after in content.edges:
        feeders[after].append(before)
    awaited = {name: [] if content.nodes[name].kind == "Delay" else feeders[name] for name in feeders}
    try:
        return {name: feeders[name] for name in TopologicalSorter(awaited).static_order()}
    except CycleError as error:
        loop = error.args[1]
        stateful = any(content.nodes[name].kind in NEURONS for name in loop)
        why = stale("the list of loops") if stateful else "a loop without a state has no meaning"
        raise InterchangeError(f"the nodes {' -> '.join(loop)} form a loop; {why}") from error


def _nodes(content: NirFile, feeders: Mapping[str, list[str]], dt: float) -> list[Node]:
    """Every node as operations, after all findings about all of them."""
    static = {name: list(_static_problems(name, nir, dt)) for name, nir in content.nodes.items()}
    problems = [f"{name}: {problem}" for name, found in static.items() for problem in found]
    if content.record is None:
        marked = [name for name, nir in content.nodes.items() if nir.record.model_fields_set]
        problems += [f"{name}: {stale('a node, but not the graph,')}" for name in marked]
    made = Built(dt, frozenset(content.record.rows) if content.record else None, set(content.nodes))
    for name, inputs in feeders.items():
        nir = content.nodes[name]
        if static[name] or not (nir.kind == "Delay" or all(feeder in made.shapes for feeder in inputs)):
            continue
        try:
            made.add(name, nir, inputs)
        except (InterchangeError, GraphError, Refused) as error:
            problems.append(f"{name}: {error}")
    _refuse(problems)
    return made.whole()


def _check_form(content: NirFile, again: NirFile) -> None:
    """What was read gives exactly this file when it is written: nothing in it says something else."""
    if again.nodes.keys() != content.nodes.keys() or set(again.edges) != set(content.edges):
        raise InterchangeError(stale("the form of the graph"))
    for name, nir in content.nodes.items():
        wanted = again.nodes[name]
        if nir.kind != wanted.kind:
            raise InterchangeError(f"{name}: {stale(f'the type {nir.kind}')}")
        for field in nir.fields.keys() & wanted.fields.keys():
            there, value = nir.array(field), wanted.array(field)
            if not (np.array_equal(there, value) if field in WHOLE else same_array(there, value)):
                raise InterchangeError(f"{name}: {stale(f'the form of {field!r}')}")
    if content.record and again.record and content.record.model_dump() != again.record.model_dump():
        raise InterchangeError(stale("the form of the graph"))


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
