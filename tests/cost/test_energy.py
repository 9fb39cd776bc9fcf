"""The energy ledger by hand, what is refused, and what must hold of any run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.cost.energy import Ledger, ledger, rows, summary
from avnir.cost.entry import NEVER_PUBLISHED, Entry
from avnir.cost.latency import latency
from avnir.cost.synops import count
from avnir.errors import DataError, TargetError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.place import Placement, place
from avnir.program import Program
from avnir.target import Cost, Target
from tests.networks import audio_visual, spikes
from tests.place.networks import Conv, Dense, chain, lif, recurrent

LOIHI1, LOIHI2 = target.load("loihi1"), target.load("loihi2")


def relay() -> Program:
    """4 inputs, 3 neurons, 2 neurons; every neuron fires at anything that reaches it and keeps nothing."""
    nodes = (
        Node("x", integer.Input((4,))),
        Node("c0", integer.Dense(np.ones((3, 4), np.int8)), ("x",)),
        Node("l0", lif((3,), threshold=0), ("c0",)),
        Node("c1", integer.Dense(np.ones((2, 3), np.int8)), ("l0",)),
        Node("l1", lif((2,), threshold=0), ("c1",)),
        Node("out", integer.Output((2,)), ("l1",)),
    )
    return Program(verified(Graph("integer", nodes)), "loihi1")


def made(program: Program, chip: Target, inputs: dict[str, Array], placed: Placement | None = None) -> Ledger:
    """The ledger of a run."""
    trace = interpret_integer(program.graph, inputs, states=True)
    placement = placed or place(program, chip)
    timed = latency(program, placement, chip, inputs, trace)
    return ledger(program, placement, chip, inputs, trace, timed)


def counts(found: Ledger) -> dict[str, float]:
    return {entry.term: entry.count for entry in found.entries}


SHOWN = {"x": np.array([[[1, 1, 0, 1]], [[0, 0, 0, 0]]], np.uint8)}
"""Three spikes, then none."""


def test_every_term_by_hand() -> None:
    found = made(relay(), LOIHI1, SHOWN)
    assert counts(found) == {
        "synaptic operations": 3 * 3 + 3 * 2,
        "neuron accesses": 5 * 4,  # two steps and two of latency
        "neuron updates": 3 + 2,
        "spikes out": 3 + 2,
        "messages out": 3,
        "hops along a row": 0,
        "hops along a column": 0,
    }
    dynamic = 15 * 35.5 + 20 * 51.2 + 5 * 21.6 + 5 * 69.3 + 3 * 111
    assert found.dynamic == pytest.approx(dynamic * 1e-12)
    assert found.band == pytest.approx((dynamic * 0.883e-12, dynamic * 1.117e-12))
    assert found.static == pytest.approx(104.4e-3 * found.window * 1e-9)


@pytest.mark.parametrize("name", target.names())
def test_every_target_says_of_every_term_what_is_known(name: str) -> None:
    figures = {entry.figure for entry in made(relay(), LOIHI1, SHOWN).entries}
    assert figures | {"static_power", "chip_link_energy"} <= target.load(name).costs.keys()


def test_hops_are_priced_by_their_direction() -> None:
    program = relay()
    one = place(program, LOIHI1)
    far = {"l0": 0, "l1": 4 * 8 * 2 + 4 * 3}  # tile (0, 0) to tile (2, 3)
    pieces = tuple(dataclasses.replace(piece, core=far[piece.layer]) for piece in one.pieces)
    found = made(program, LOIHI1, SHOWN, dataclasses.replace(one, pieces=pieces))
    assert counts(found)["hops along a row"] == 3 * 3
    assert counts(found)["hops along a column"] == 3 * 2
    prices = {entry.term: entry.cost.value for entry in found.entries}
    assert (prices["hops along a row"], prices["hops along a column"]) == (3.0, 4.2)


def test_convolutions_have_a_price_of_their_own_where_there_is_one() -> None:
    program = chain((2, 5, 5), Conv(3, 8), Dense(4, 8), target="loihi1")
    inputs = {"x": np.ones((1, 1, 2, 5, 5), np.uint8)}
    found = made(program, LOIHI1, inputs)
    stored = count(program, inputs, interpret_integer(program.graph, inputs)).by_connection
    entries = {entry.term: entry for entry in found.entries}
    assert entries["synaptic operations, conv"].count == stored["c0"]["stored"] == 2 * 9 * 3 * 9
    assert entries["synaptic operations, conv"].cost.value == 24.0
    assert entries["synaptic operations"].count == stored["c1"]["stored"]
    together = counts(made(program, LOIHI2, inputs, place(program, LOIHI2)))
    assert together["synaptic operations"] == sum(each["stored"] for each in stored.values())


def test_a_neuron_is_updated_by_a_spike_a_potential_or_a_bias() -> None:
    """One synapse of weight 0 reaches neuron 0 at step 1; neuron 1 keeps what it got at step 0."""
    keeps, zero = np.array(0, np.int32), np.array(0, np.int32)
    forgets = np.array(4095, np.int32)

    def updates(bias: Array) -> float:
        neuron = integer.Lif((2,), forgets, keeps, np.array(1000, np.int32), bias)
        nodes = (
            Node("x", integer.Input((2, 1, 1))),
            Node("c", integer.Conv(np.array([[[[0]]], [[[1]]]], np.int8), groups=2), ("x",)),
            Node("l", neuron.replace(shape=(2, 1, 1)), ("c",)),
            Node("out", integer.Output((2, 1, 1)), ("l",)),
        )
        program = Program(verified(Graph("integer", nodes)), "loihi1")
        shown = np.array([[0, 1], [1, 0], [0, 0]], np.uint8).reshape(3, 1, 2, 1, 1)
        return counts(made(program, LOIHI1, {"x": shown}))["neuron updates"]

    assert updates(zero) == 1 + 3
    assert updates(np.array(1, np.int32)) == 2 * 3


def test_a_recurrent_spike_updates_one_step_later() -> None:
    program = recurrent(30)
    graph = program.graph
    nodes = [
        Node(n.name, n.op.replace(weight=np.ones_like(n.op.weight)), n.inputs)
        if n.name in ("into", "loop")
        else Node(n.name, n.op.replace(threshold=np.array(0, np.int32)), n.inputs)
        if n.name == "l"
        else n
        for n in graph
    ]
    shown = np.zeros((4, 1, 40), np.uint8)
    shown[1] = 1
    found = counts(made(Program(graph.with_nodes(nodes), "loihi2"), LOIHI2, {"x": shown}))
    assert found["neuron updates"] == 30 * 3 + 5 * 3  # from step 1 on: the input, then the loop


@pytest.mark.parametrize("seed", range(3))
def test_what_holds_of_any_run(seed: int) -> None:
    graph = audio_visual(seed, reset="zero")
    compiled = compile_graph(graph, LOIHI1)
    inputs = spikes(graph, seed)
    found = made(compiled.program, LOIHI1, inputs, compiled.placement)
    trace = interpret_integer(compiled.program.graph, inputs)
    counted = counts(found)
    stored = count(compiled.program, inputs, trace).total["stored"]
    apart = counted["synaptic operations"], counted["synaptic operations, conv"]
    assert sum(apart) == pytest.approx(stored)
    assert counted["spikes out"] <= counted["neuron updates"] <= counted["neuron accesses"]
    assert counted["spikes out"] * 3 == pytest.approx(sum(int(s.sum()) for s in trace.spikes.values()))
    assert found.dynamic == pytest.approx(sum(entry.joules or 0 for entry in found.entries))
    assert {entry.cost.grade for entry in found.entries} == {"fitted"}
    record = found.record()
    assert record["dynamic_joules"] == found.dynamic
    assert record["refused_for"] == []


def test_a_total_that_needs_an_unpublished_price_is_refused_and_the_counts_stand() -> None:
    found = made(relay(), LOIHI2, SHOWN, place(relay(), LOIHI2))
    with pytest.raises(TargetError, match="no price was ever published for synaptic operations") as caught:
        _ = found.dynamic
    assert all(entry.figure in str(caught.value) for entry in found.entries)
    assert counts(found)["synaptic operations"] == 15
    assert (found.band, found.static) == (None, None)
    assert {row[3] for row in rows(found)[: len(found.entries)]} == {"-"}
    assert summary(found)[0] == str(caught.value)
    record = found.record()
    assert (record["dynamic_joules"], record["dynamic_joules_band"]) == (None, None)
    assert record["refused_for"] == [entry.figure for entry in found.entries]


def test_messages_between_chips_have_no_price_anywhere() -> None:
    program = relay()
    one = place(program, LOIHI1)
    pieces = tuple(dataclasses.replace(piece, chip=int(piece.layer == "l1")) for piece in one.pieces)
    found = made(program, LOIHI1, SHOWN, dataclasses.replace(one, pieces=pieces, chips=2))
    with pytest.raises(TargetError, match=r"messages between chips \(chip_link_energy\)"):
        _ = found.dynamic
    assert counts(found)["messages between chips"] == 3
    assert found.chips == 2
    assert found.static == pytest.approx(2 * 104.4e-3 * found.window * 1e-9)


def test_a_band_only_where_its_source_covers_every_term() -> None:
    def price(grade: str) -> Cost:
        return Cost(value=2.0, unit="pJ", grade=grade, source="here")  # type: ignore[arg-type]

    error = Cost(value=10.0, unit="%", grade="fitted", source="there")
    fitted, other = Entry("a", "a", 3.0, price("fitted")), Entry("b", "b", 1.0, price("published"))
    assert Ledger("", (fitted,), NEVER_PUBLISHED, 1, 1.0, error).band == pytest.approx((5.4e-12, 6.6e-12))
    assert Ledger("", (fitted, other), NEVER_PUBLISHED, 1, 1.0, error).band is None
    assert Ledger("", (fitted,), NEVER_PUBLISHED, 1, 1.0, None).band is None


def test_targets_are_not_mixed_and_states_are_needed() -> None:
    program = relay()
    placement = place(program, LOIHI1)
    trace = interpret_integer(program.graph, SHOWN, states=True)
    timed = latency(program, placement, LOIHI1, SHOWN, trace)
    with pytest.raises(TargetError, match="the placement is for loihi1, the prices are loihi2's"):
        ledger(program, placement, LOIHI2, SHOWN, trace, timed)
    with pytest.raises(DataError, match="no states of l0, l1; record it with states"):
        ledger(program, placement, LOIHI1, SHOWN, interpret_integer(program.graph, SHOWN), timed)


def test_the_lines_say_the_boundary_and_every_source() -> None:
    found = made(relay(), LOIHI1, SHOWN)
    total, static, host, covers, lacks = summary(found)
    assert "11.7 %" in total
    assert "104.4 mW a chip x 1 x" in static
    assert "lower bound" in static
    assert host == (
        "no energy total for the host of Intel Loihi (first generation): no price was ever published for "
        "host: values shown (host_write_energy), host: values read (host_read_energy); the counts stand"
    )
    assert "no host" in covers
    assert "barrier" in lacks
    assert all(row[5] for row in rows(found))
