"""A window that is shown twice costs twice what is done in it: every figure by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from avnir import target
from avnir.cost.convention import arithmetic
from avnir.cost.energy import ledger
from avnir.cost.latency import latency
from avnir.cost.synops import count
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_window import WindowSum
from avnir.ir.interpret_integer import interpret_integer
from avnir.place import place
from avnir.program import Program
from avnir.trace import Trace
from tests.place.networks import lif

LOIHI2 = target.load("loihi2")
SHOWN = {"x": np.array([[[0, 0, 0, 0]], [[1, 1, 0, 1]]], np.uint8)}
"""Nothing, then three spikes."""


@pytest.fixture
def program() -> Program:
    """4 inputs, 3 neurons, how often each fires, 2 neurons; neurons fire at anything and keep nothing."""
    nodes = (
        Node("x", integer.Input((4,))),
        Node("c0", integer.Dense(np.ones((3, 4), np.int8)), ("x",)),
        Node("l0", lif((3,), threshold=0), ("c0",)),
        Node("each", integer.Dense(np.eye(3, dtype=np.int8)), ("l0",)),
        Node("sum", WindowSum((3,), 2), ("each",)),
        Node("c1", integer.Dense(np.ones((2, 3), np.int8)), ("sum",)),
        Node("l1", lif((2,), threshold=0), ("c1",)),
        Node("out", integer.Output((2,)), ("l1",)),
    )
    return Program(verified(Graph("integer", nodes)), "loihi2")


@pytest.fixture
def trace(program: Program) -> Trace:
    return interpret_integer(program.graph, SHOWN, states=True)


def test_synaptic_operations(program: Program, trace: Trace) -> None:
    found = count(program, SHOWN, trace).by_connection
    assert {name: done["stored"] for name, done in found.items()} == {
        "c0": 2 * 3 * 3,
        "each": 2 * 3 * 3,
        "c1": 2 * 3 * 2,  # a held sum is sent in both steps of the second presentation
    }
    assert found["each"]["nonzero"] == 2 * 3
    operations = {each.operation: each.count for each in arithmetic(program, SHOWN, trace)}
    assert operations["int8 accumulates"] == 18 + 6
    assert operations["int8 multiply-accumulates of graded messages"] == 12
    assert operations["FP32 multiply-accumulates of one dense pass"] == 12 + 9 + 6


def test_energy(program: Program, trace: Trace) -> None:
    placed = place(program, LOIHI2)
    timed = latency(program, placed, LOIHI2, SHOWN, trace)
    assert len(timed.steps) == 2 * 2 + 3
    found = ledger(program, placed, LOIHI2, SHOWN, trace, timed)
    assert {entry.term: entry.count for entry in found.entries} == {
        "synaptic operations": 48,
        "neuron accesses": 8 * 7,
        # Of the sums in the last step of each presentation, and in the second's first, where they are held.
        "neuron updates": 2 * 3 + 3 * 3 + 2 * 2,
        "spikes out": 2 * 3 + 2 * 3 + 2 * 2,
        "messages out": 2 * 3 + 2 * 3,
        "hops along a row": 0,
        "hops along a column": 0,
    }


def test_each_step_of_the_chip(program: Program, trace: Trace) -> None:
    """The inputs of the second presentation follow those of the first at once."""
    timed = latency(program, place(program, LOIHI2), LOIHI2, SHOWN, trace)
    price = LOIHI2.costs["synaptic_operation_latency"].value or 0.0
    if "synaptic_operation_dense_latency" in LOIHI2.costs:
        price = LOIHI2.costs["synaptic_operation_dense_latency"].value or 0.0
    assert timed.terms["synapses"][:, 0] / price == pytest.approx([0, 9, 9, 9, 15, 6, 0])


def test_a_trace_without_rehearsals_is_counted_as_it_is(program: Program, trace: Trace) -> None:
    last = dataclasses.replace(trace, rehearsals=())
    assert count(program, SHOWN, last).by_connection["c0"]["stored"] == 9
