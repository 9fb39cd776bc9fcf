"""How much memory it takes to run and compare all stages: a bound, held by a test."""

from __future__ import annotations

import math

from avnir.ir.graph import Graph
from avnir.ir.presentations import presentations
from avnir.pieces import Need, row_bytes

NUMBER = 8
"""Bytes of a number, float64 or int64."""
NUMBERS = 5
"""Numbers that an interpreter holds for each value of a step: the value, registers, what is on its way, and
what an operation computes with. In networks of four kinds 1.9 to 2.5 were measured in floating point, 3.6 to
4.3 in integers."""
COPIES = 3
"""Of one trace, while it is compared: both sides' presentations in a row, or samples without ties, and where
they are equal."""


def stage_need(graph: Graph, integers: Graph, steps: int, reals: int, runs: int) -> Need:
    """What `reals` traces of `graph` and `runs` of `integers` take, and interpreting and comparing them.

    Frameworks that run the graph and backends take memory of their own, which is not in it.
    """
    real, whole = steps * _real_row(graph), trace_bytes(integers, steps)
    work = NUMBERS * NUMBER * max(_values(graph), _values(integers))
    return Need(reals * real + runs * whole + max(work, COPIES * max(real, whole)))


def trace_bytes(graph: Graph, steps: int) -> int:
    """Bytes of a sample in a trace of a program, every presentation counted as if it had outputs."""
    return presentations(graph) * steps * row_bytes(graph, states=False)


def output_bytes(graph: Graph, steps: int) -> int:
    """Bytes of the outputs of a sample as numbers of the widest kind."""
    return NUMBER * steps * sum(math.prod(graph.shapes[node.name]) for node in graph.outputs)


def _real_row(graph: Graph) -> int:
    spikes = sum(math.prod(graph.shapes[node.name]) for node in graph.neurons)
    return spikes + output_bytes(graph, 1)


def _values(graph: Graph) -> int:
    return sum(math.prod(graph.shapes[node.name]) for node in graph)
