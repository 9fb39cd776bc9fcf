"""Sums over more sources than a core has room for: in parts, with every spike the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir import target
from avnir.compile import compile_graph
from avnir.hardware.cpu import backend
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Dense
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.message_bounds import width_problems
from avnir.ir.operation import Array
from avnir.ir.real import Input, Lif, Linear, Output
from avnir.passes.balance_delays import BalanceDelays
from avnir.passes.split_sums import SplitSums, most_sources
from avnir.program import Program
from avnir.testing.cases import CASES
from avnir.testing.strategies import Window, programs, windows
from avnir.trace import Trace

LOIHI1, LOIHI2 = target.load("loihi1"), target.load("loihi2")
MOST = 9998
"""Twice as many and three are one less than the pool of Loihi 2 holds."""


def assert_same(found: Trace, wanted: Trace) -> None:
    for name, sent in wanted.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], sent)
    for name, sent in wanted.outputs.items():
        np.testing.assert_array_equal(found.outputs[name], sent)


def lifs(sources: int, neurons: int = 3) -> Graph:
    """A layer of so many sources, which meets what it is fed by once more behind it."""
    dice = np.random.default_rng(0)

    def lif(name: str, *inputs: str) -> Node:
        return Node(name, Lif(np.array(0.75), np.array(1.0), np.array(1.0)), inputs)

    nodes = (
        Node("x", Input((sources,))),
        Node("fc", Linear(dice.normal(size=(neurons, sources)) / sources**0.5), ("x",)),
        lif("lif", "fc"),
        Node("fc2", Linear(dice.normal(size=(2, neurons))), ("lif",)),
        lif("last", "fc2"),
        Node("out", Output((2,)), ("last",)),
    )
    return verified(Graph("real", nodes))


def spikes(*shape: int) -> Array:
    return (np.random.default_rng(1).random(shape) < 0.3).astype(np.uint8)


@settings(deadline=None, max_examples=30)
@given(windows(), st.integers(2, 12))
def test_every_spike_stays(window: Window, most: int) -> None:
    program = window.program
    split = BalanceDelays()(SplitSums(most)(program.graph)[0])[0]
    wanted = interpret_integer(program.graph, window.inputs)
    assert_same(interpret_integer(split, window.inputs), wanted)


@settings(deadline=None, max_examples=20)
@given(programs(), st.integers(2, 12))
def test_no_message_outgrows_its_width_and_no_part_is_too_large(program: Program, most: int) -> None:
    split, notes = SplitSums(most)(program.graph)
    assert list(width_problems(split)) == list(width_problems(program.graph))
    for note in notes:
        relays = split[note.node].op
        assert np.bincount(relays.target).max() <= most // 2  # type: ignore[attr-defined]
    assert (split is program.graph) == (not notes)


def test_what_is_too_wide_for_a_core_is_placed() -> None:
    made = compile_graph(lifs(30_000), LOIHI2)
    (note,) = (note for note in made.notes if note.pass_name == "split_sums")
    assert str(note) == (
        "split_sums: x__lif: summed in parts: lif has more sources than the 9998 that a core has room for"
    )
    assert [node.name for node in made.program.graph] == [
        *("x", "x__lif", "x__lif_parts", "x__lif_sum", "lif", "lif__last", "last", "out")
    ]
    assert made.program.graph.shapes["x__lif_parts"] == (7 * 3,)
    inputs = {"x": spikes(5, 2, 30_000)}
    wanted = interpret_integer(made.program.graph, inputs)
    with backend.session(made.program) as session:
        assert_same(session.run(inputs), wanted)


def test_the_limit_is_that_of_a_core() -> None:
    assert most_sources(LOIHI2) == MOST
    for sources, split in ((MOST, False), (MOST + 1, True)):
        graph = compile_graph(lifs(sources, 1), LOIHI2).program.graph
        assert ("x__lif_parts" in graph.by_name) == split


def test_a_chip_without_relays_sums_at_once() -> None:
    assert most_sources(LOIHI1) is None
    graph = CASES["dense"]().program.graph
    assert SplitSums(None)(graph) == (graph, [])


@pytest.mark.parametrize(
    "change", [{"lag": 1}, {"weight": np.zeros((6, 10), np.int8)}], ids=["lag", "silent"]
)
def test_what_lags_and_what_is_silent_is_left(change: dict[str, object]) -> None:
    graph = CASES["dense"]().program.graph
    nodes = [
        Node(n.name, n.op.replace(**change) if isinstance(n.op, Dense) else n.op, n.inputs) for n in graph
    ]
    changed = verified(Graph("integer", tuple(nodes)))
    assert SplitSums(3)(changed) == (changed, [])
