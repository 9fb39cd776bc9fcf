"""Latency by hand, and what must hold of any run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.cost.latency import BOUNDARY, NOT_TIMED, Latency, figure_rows, latency, summary
from avnir.cost.synops import count
from avnir.errors import DataError, ProgramError, TargetError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_sparse import Sparse
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.latency import latencies
from avnir.ir.operation import Array
from avnir.place import Placement, place
from avnir.place.activity import Activity
from avnir.place.mesh import mesh
from avnir.place.network import network_of
from avnir.place.work import spikes_of
from avnir.program import Program
from avnir.trace import Trace
from tests.networks import audio_visual, spikes
from tests.place.networks import Conv, Dense, chain, lif, recurrent

LOIHI1, LOIHI2 = target.load("loihi1"), target.load("loihi2")


def relay() -> tuple[Program, dict[str, Array], Trace]:
    """4 inputs, 3 neurons, 2 neurons; every neuron fires one step after anything that reaches it."""
    nodes = (
        Node("x", integer.Input((4,))),
        Node("c0", integer.Dense(np.ones((3, 4), np.int8)), ("x",)),
        Node("l0", lif((3,), threshold=0), ("c0",)),
        Node("c1", integer.Dense(np.ones((2, 3), np.int8)), ("l0",)),
        Node("l1", lif((2,), threshold=0), ("c1",)),
        Node("out", integer.Output((2,)), ("l1",)),
    )
    program = Program(verified(Graph("integer", nodes)), "loihi2")
    inputs = {"x": np.array([[[1, 1, 1, 1]], [[0, 0, 0, 0]]], np.uint8)}
    return program, inputs, interpret_integer(program.graph, inputs)


def moved(made: Placement, layer: str, chip: int, core: int) -> Placement:
    """The placement with a layer elsewhere, on two chips."""
    pieces = tuple(
        dataclasses.replace(p, chip=chip, core=core) if p.layer == layer else p for p in made.pieces
    )
    return dataclasses.replace(made, pieces=pieces, chips=2)


def test_every_term_of_every_step_by_hand() -> None:
    program, inputs, trace = relay()
    made = moved(place(program, LOIHI2), "l1", 0, 8)  # two tiles east of core 0
    found = latency(program, made, LOIHI2, inputs, trace)
    update = 3.0 + 1.85
    assert found.terms["neurons"][:, 0] == pytest.approx(
        [3 * update, 3 * update + 9, 2 * update + 6, 3 * update]
    )
    assert found.terms["synapses"][:, 0] == pytest.approx([12 * 0.76, 6 * 0.76, 0, 0])
    assert found.terms["link"][:, 0] == pytest.approx([0, 3 * 4.1, 0, 0])
    assert found.terms["barrier"][:, 0] == pytest.approx([111] * 4)
    assert found.steps[:, 0] == pytest.approx([111] * 4)
    assert found.windows == pytest.approx([444])
    assert (found.messages, found.between_chips) == (3, 0)
    assert found.hops.tolist() == [[6, 0, 0, 0]]  # east
    assert found.binds == {"neurons": 0, "synapses": 0, "link": 0, "barrier": 1}
    assert found.busiest == (0, "neurons")


def test_messages_between_chips_are_counted_but_not_timed() -> None:
    program, inputs, trace = relay()
    made = moved(place(program, LOIHI2), "l1", 1, 0)
    found = latency(program, made, LOIHI2, inputs, trace)
    assert (found.messages, found.between_chips) == (3, 3)
    assert not found.hops.any()
    assert not found.terms["link"].any()
    assert ("messages between chips a sample", "3, not timed") in summary(found, made)


def test_messages_within_a_core_take_no_link() -> None:
    program, inputs, trace = relay()
    found = latency(program, place(program, LOIHI2), LOIHI2, inputs, trace)
    assert not found.messages.any()
    assert found.figures["barrier"].value == 67


@pytest.mark.parametrize("seed", range(3))
def test_no_synaptic_operation_is_lost(seed: int) -> None:
    """The sum over cores and chip steps is what `stored` counts, and so are the spikes."""
    graph = audio_visual(seed, reset="zero")
    program = compile_graph(graph, LOIHI2).program
    inputs = spikes(graph, seed)
    trace = interpret_integer(program.graph, inputs)
    network = network_of(program.graph, 6)
    placed = place(program, LOIHI2)
    activity = Activity(
        network, placed, mesh(LOIHI2.limits), spikes_of(network, inputs, trace), latencies(program.graph)
    )
    steps = [activity.at(step) for step in range(activity.steps)]
    stored = count(program, inputs, trace).total["stored"] * 3
    assert sum(done.sum() for step in steps for done in step.operations.values()) == pytest.approx(stored)
    assert sum(step.spikes.sum() for step in steps) == sum(array.sum() for array in trace.spikes.values())


def test_a_window_of_a_network_cut_over_many_cores() -> None:
    program = chain((2, 24, 24), Conv(32, 8, padding=(1, 1)), Conv(16, 8, stride=(2, 2)), Dense(10, 8))
    inputs = {"x": (np.random.default_rng(0).random((6, 2, 2, 24, 24)) < 0.3).astype(np.uint8)}
    trace = interpret_integer(program.graph, inputs)
    made = place(program, LOIHI2, run=(inputs, trace))
    found = latency(program, made, LOIHI2, inputs, trace)
    assert made.cores > 4
    assert found.steps.shape == (6 + 3, 2)
    assert found.hops.sum(axis=1).min() > 0
    assert (found.steps >= found.terms["barrier"]).all()
    np.testing.assert_allclose(found.windows, found.steps.sum(axis=0))
    assert sum(found.binds.values()) == pytest.approx(1)
    rows = dict(summary(found, made))
    assert rows["covers"] == BOUNDARY
    assert rows["not in it"] == NOT_TIMED
    core, by = found.busiest
    chip, number = made.addresses[core]
    assert rows["busiest core"].startswith(f"chip {chip}, core {number} (")
    assert rows["busiest core"].endswith(f"by its {by}")
    assert {row[2] for row in figure_rows(found)} == {"scaled"}


def test_a_layer_that_feeds_itself_sends_to_its_other_cores() -> None:
    program = recurrent(1500)
    inputs = {"x": (np.random.default_rng(0).random((5, 2, 40)) < 0.5).astype(np.uint8)}
    trace = interpret_integer(program.graph, inputs)
    made = place(program, LOIHI2)
    own = len(made.layers["l"]) - 1
    end = made.layers["end"][0]
    found = latency(program, made, LOIHI2, inputs, trace)
    fired = trace.spikes["l"].sum(axis=(0, 2))
    home = [p for p in made.layers["l"] if (p.chip, p.core) == (end.chip, end.core)]
    local = sum(trace.spikes["l"][..., slice(*p.channels)].sum(axis=(0, 2)) for p in home)
    np.testing.assert_array_equal(found.messages, fired * (own + 1) - local)


def test_the_busiest_core_is_so_for_the_longest() -> None:
    """Core 2 for 30 ns by its synapses in one step, core 0 for 20 ns by its neurons in two."""
    terms = {
        "neurons": np.array([[10.0], [10], [5]]),
        "synapses": np.array([[0.0], [1], [30]]),
        "link": np.zeros((3, 1)),
        "barrier": np.array([[12.0], [2], [2]]),
    }
    cores = {"neurons": np.array([[0], [0], [1]]), "synapses": np.array([[1], [1], [2]])}
    found = Latency(terms, cores, np.zeros(1), np.zeros((1, 4)), np.zeros(1), {})
    assert found.busiest == (2, "synapses")
    assert found.binds == {"neurons": 1 / 3, "synapses": 1 / 3, "link": 0, "barrier": 1 / 3}
    assert found.windows.tolist() == [12 + 10 + 30]


def test_loihi_has_times_of_its_own() -> None:
    program, inputs, trace = relay()
    found = latency(program, place(program, LOIHI1), LOIHI1, inputs, trace)
    assert found.terms["neurons"][1, 0] == pytest.approx(5 * (6.0 + 3.7) + 3 * 30)
    assert found.figures["barrier"].value == 600


def test_each_kind_of_connection_has_its_time_where_one_was_published() -> None:
    """16 inputs through a kernel of one tap into 16 neurons, and those through 2 listed synapses each."""
    listed = Sparse.of(np.ones((2, 16), np.int8))
    nodes = (
        Node("x", integer.Input((1, 4, 4))),
        Node("c0", integer.Conv(np.ones((1, 1, 1, 1), np.int8)), ("x",)),
        Node("l0", lif((1, 4, 4), threshold=0), ("c0",)),
        Node("c1", listed, ("l0",)),
        Node("l1", lif((2,), threshold=0), ("c1",)),
        Node("out", integer.Output((2,)), ("l1",)),
    )
    program = Program(verified(Graph("integer", nodes)), "loihi1")
    inputs = {"x": np.ones((1, 1, 1, 4, 4), np.uint8)}
    trace = interpret_integer(program.graph, inputs)
    one, two = (latency(program, place(program, chip), chip, inputs, trace) for chip in (LOIHI1, LOIHI2))
    assert one.terms["synapses"][:, 0] == pytest.approx([16 * 3.1, 32 * 4.7, 0])
    assert two.terms["synapses"][:, 0] == pytest.approx([16 * 0.76, 32 * 0.76, 0])
    assert "synaptic_operation_conv_latency" in one.figures
    assert "synaptic_operation_latency" not in one.figures


@pytest.mark.parametrize(
    ("tiles", "expected"), [(1, 67), (2, 111), (3, 156), (4, 156), (5, 200), (32, 200), (99, 200)]
)
def test_the_barrier_is_that_of_the_next_number_of_tiles(tiles: int, expected: float) -> None:
    assert LOIHI2.barrier(tiles).value == expected


def test_what_was_never_published_is_refused() -> None:
    program, inputs, trace = relay()
    made = place(program, LOIHI2)
    costs = {name: cost for name, cost in LOIHI2.costs.items() if name != "spike_out_latency"}
    with pytest.raises(TargetError, match="no published value for spike_out_latency"):
        latency(program, made, LOIHI2.model_copy(update={"costs": costs}), inputs, trace)
    with pytest.raises(TargetError, match="no published value for synaptic_operation_energy"):
        LOIHI2.price("synaptic_operation_energy")


def test_a_placement_or_a_trace_of_another_program_is_refused() -> None:
    program, inputs, trace = relay()
    other = place(chain((4,), Dense(3, 8)), LOIHI2)
    with pytest.raises(ProgramError, match="made for another program"):
        latency(program, other, LOIHI2, inputs, trace)
    with pytest.raises(DataError, match="no spikes of l1"):
        short = Trace({"l0": trace.spikes["l0"]}, trace.outputs)
        latency(program, place(program, LOIHI2), LOIHI2, inputs, short)
