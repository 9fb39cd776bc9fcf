"""Spread a run over its samples, which are independent, and join the traces; or run some at a time.

Integers are the same however the samples are cut. Floating point may round differently in a batch of another
size, so floating-point stages are always cut into parts of FLOAT_SAMPLES, in one process as in many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avnir.backend import REFERENCES, Piecewise, Session, find, installed, reference
from avnir.errors import MemoryLimitError
from avnir.ir.graph import Graph
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.many.clusters import threads
from avnir.many.each import Common, each
from avnir.pieces import put
from avnir.program import Program
from avnir.trace import Trace
from avnir.verify.stages import GRAPH, INTEGER

if TYPE_CHECKING:
    from distributed import Client

FLOAT_SAMPLES = 64
"""Samples of one part of a floating-point stage."""
MOST_SAMPLES = 256
"""Samples of one part of any other stage that is spread: what bounds the memory of a worker."""
PARTS_PER_THREAD = 4
"""Parts for each thread of a worker: more even out what workers take, fewer cost less overhead."""


@dataclass(frozen=True)
class Network:
    """A network in floating point and as integers."""

    graph: Graph
    program: Program


@dataclass(frozen=True)
class Part:
    """One stage over some of the samples: `inputs` `[T, B, *shape]`; whether registers are recorded."""

    stage: str
    inputs: Mapping[str, Array]
    states: bool = False


def cut(
    stage: str, inputs: Mapping[str, Array], client: Client | None = None, states: bool = False
) -> list[Part]:
    """A stage as parts over the samples, in order. Without a client a stage in integers stays whole."""
    batch = next(iter(inputs.values())).shape[1]
    size = FLOAT_SAMPLES if _in_floats(stage) else _integer_samples(batch, client)
    return [
        Part(stage, {name: array[:, first : first + size] for name, array in inputs.items()}, states)
        for first in range(0, batch, size)
    ]


def _in_floats(stage: str) -> bool:
    return stage == GRAPH or stage in installed(REFERENCES)


def _integer_samples(batch: int, client: Client | None) -> int:
    if client is None:
        return batch
    return min(MOST_SAMPLES, math.ceil(batch / (PARTS_PER_THREAD * max(1, threads(client)))))


def run_part(program: Program, part: Part) -> Trace:
    """What the backend that is the part's stage makes of it."""
    with find(part.stage).session(program) as session:
        return session.run(part.inputs, states=part.states)


def stage_part(network: Network, part: Part) -> Trace:
    """The same of any stage: GRAPH, INTEGER, a framework that runs the graph, a backend."""
    if part.stage == GRAPH:
        return interpret_real(network.graph, part.inputs)
    if part.stage == INTEGER:
        return interpret_integer(network.program.graph, part.inputs)
    if part.stage in installed(REFERENCES):
        return reference(part.stage)(network.graph, part.inputs)
    return run_part(network.program, part)


def run_within(
    session: Session, graph: Graph, inputs: Mapping[str, Array], states: bool, room: int | None
) -> Trace:
    """`session.run`, which takes at most `room` bytes beside its trace where it can run in pieces.

    None for as much as it likes. Raises MemoryLimitError where `least_room` is more.
    """
    if room is None or not isinstance(session, Piecewise):
        return session.run(inputs, states=states)
    steps, batch = next(iter(inputs.values())).shape[:2]
    trace = Trace.empty(graph, steps, batch, states)
    session.run_in_pieces(inputs, lambda piece: put(trace, piece), states, room)
    return trace


def least_room(session: Session, inputs: Mapping[str, Array], states: bool) -> int:
    """The least `room` of `run_within`: what a session that runs in pieces needs when it has none; else 0."""
    alone = {name: array[:, :1] for name, array in inputs.items()}
    if isinstance(session, Piecewise):
        try:
            session.run_in_pieces(alone, lambda piece: None, states, room=0)
        except MemoryLimitError as error:
            return error.needed
    return 0


def in_turn(
    session: Session,
    graph: Graph,
    inputs: Mapping[str, Array],
    together: int,
    room: int,
    take: Callable[[Mapping[str, Array], Trace], object],
) -> None:
    """Run so many samples of a program together, with states, as `run_within` does.

    `take` is given the inputs and the trace of each such run, which is let go before the next.
    """
    for first in range(0, next(iter(inputs.values())).shape[1], together):
        here = {name: array[:, first : first + together] for name, array in inputs.items()}
        take(here, run_within(session, graph, here, True, room))


def traces(
    client: Client | None,
    function: Callable[[Common, Part], Trace],
    common: Common,
    parts: Sequence[Part],
    done: Callable[[], object],
) -> dict[str, Trace]:
    """The trace of every stage over all its samples; `done` is called when a part has come."""
    found: dict[int, Trace] = {}
    for place, trace in each(client, function, common, parts):
        found[place] = trace
        done()
    stages = dict.fromkeys(part.stage for part in parts)
    return {
        stage: joined([found[place] for place, part in enumerate(parts) if part.stage == stage])
        for stage in stages
    }


def joined(alike: Sequence[Trace]) -> Trace:
    """Traces of one network over samples that follow each other, as one."""
    first = alike[0]
    if len(alike) == 1:
        return first
    return Trace(
        _side_by_side([trace.spikes for trace in alike]),
        _side_by_side([trace.outputs for trace in alike]),
        {layer: _side_by_side([trace.states[layer] for trace in alike]) for layer in first.states},
        tuple(joined(shown) for shown in zip(*(trace.rehearsals for trace in alike), strict=True)),
    )


def _side_by_side(groups: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    """Arrays `[T, B, ...]` of one name joined along the samples."""
    listed = list(groups)
    return {name: np.concatenate([arrays[name] for arrays in listed], axis=1) for name in listed[0]}
