"""Sums over the window, and windows that are shown again, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avnir.backend import find
from avnir.errors import DataError, GraphError, ProgramError
from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Dense, Input, Output
from avnir.ir.integer_graded import Relay
from avnir.ir.integer_window import WindowSum
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.latency import first_output
from avnir.ir.message_bounds import largest_values
from avnir.ir.operation import Array, Operation
from avnir.ir.presentations import presentations
from avnir.ir.real_graded import WindowSum as RealWindowSum
from avnir.program import Program
from avnir.testing.building import lif
from avnir.testing.cases import CASES
from avnir.trace import Trace

ONE = np.array([[1]], np.int8)


def graph_of(*nodes: tuple[str, Operation, str]) -> Graph:
    return verified(Graph("integer", tuple(Node(n, op, tuple(fed.split())) for n, op, fed in nodes)))


def summed(*layers: WindowSum, bits: int = 8) -> Graph:
    """One neuron a layer, one after the other."""
    nodes: list[tuple[str, Operation, str]] = [("x", Input((1,), bits), "")]
    for index, layer in enumerate(layers):
        nodes += [(f"to_{index}", Dense(ONE), nodes[-1][0]), (f"sum_{index}", layer, f"to_{index}")]
    return graph_of(*nodes, ("y", Output((1,)), nodes[-1][0]))


def run(graph: Graph, *steps: int) -> Trace:
    return interpret_integer(graph, {"x": np.array(steps).reshape(-1, 1, 1)}, states=True)


def shown(array: Array) -> list[Any]:
    found: list[Any] = array.ravel().tolist()
    return found


def test_a_running_sum_counts_its_own_step() -> None:
    trace = run(summed(WindowSum((1,), 4, running=True)), 3, 0, -5, 100)
    assert shown(trace.outputs["y"]) == [3, 3, -2, 98]
    assert trace.outputs["y"].dtype == np.int32
    assert trace.rehearsals == ()


def test_a_held_sum_is_that_of_the_presentation_before() -> None:
    trace = run(summed(WindowSum((1,), 4)), 3, 0, -5, 100)
    assert shown(trace.outputs["y"]) == [98, 98, 98, 98]
    assert shown(trace.states["sum_0"]["sum"]) == [3, 3, -2, 98]
    assert shown(trace.states["sum_0"]["held"]) == [98] * 4
    (before,) = trace.rehearsals
    assert shown(before.spikes["sum_0"]) == shown(before.states["sum_0"]["held"]) == [0] * 4
    assert shown(before.states["sum_0"]["sum"]) == [3, 3, -2, 98]
    assert before.outputs == {}


def test_a_sum_of_sums_takes_one_presentation_more() -> None:
    trace = run(summed(WindowSum((1,), 2), WindowSum((1,), 2)), 5, 2)
    assert [shown(p.spikes["sum_0"]) for p in trace.presented] == [[0, 0], [7, 7], [7, 7]]
    assert [shown(p.spikes["sum_1"]) for p in trace.presented] == [[0, 0], [0, 0], [14, 14]]


def test_a_sum_of_running_sums_takes_none_more() -> None:
    trace = run(summed(WindowSum((1,), 3, running=True), WindowSum((1,), 3)), 1, 2, 3)
    assert shown(trace.outputs["y"]) == [1 + 3 + 6] * 3
    assert len(trace.rehearsals) == 1


def test_every_sample_begins_with_nothing_held() -> None:
    graph = summed(WindowSum((1,), 2))
    both = interpret_integer(graph, {"x": np.array([[[1], [10]], [[2], [20]]])})
    assert shown(both.outputs["y"]) == [3, 30, 3, 30]
    assert shown(both.rehearsals[0].spikes["sum_0"]) == [0] * 4


def test_sums_wrap_at_32_bits() -> None:
    most = 2**23 - 1
    op = WindowSum((1,), 300, running=True, message_bits=32)
    sent = run(summed(op, bits=24), *[most] * 300).outputs["y"].ravel()
    assert sent[-1] == 300 * most - 2**32


def test_neurons_forget_and_spikes_repeat_in_every_presentation() -> None:
    """A neuron that leaks nothing, with a bias of 30, would spike earlier from a potential that is left."""
    neuron = lif((1,), decay_v=0, threshold=2, bias=30)
    graph = graph_of(
        ("x", Input((1,)), ""),
        ("in", Dense(ONE), "x"),
        ("neuron", neuron, "in"),
        ("count", Dense(ONE), "neuron"),
        ("sum", WindowSum((1,), 5), "count"),
        ("y", Output((1,)), "sum"),
    )
    trace = run(graph, 0, 1, 0, 0, 0)
    assert shown(trace.spikes["neuron"]) == shown(trace.rehearsals[0].spikes["neuron"]) == [0, 0, 1, 0, 0]
    assert shown(trace.outputs["y"]) == [1] * 5


def test_what_is_late_does_not_reach_the_next_presentation() -> None:
    """A relay that sees its input three steps later: of five, the last three see its end never."""
    graph = graph_of(
        ("x", Input((1,), 8), ""),
        ("now", Dense(ONE), "x"),
        ("sum", WindowSum((1,), 5), "now"),
        ("to_relay", Dense(ONE), "sum"),
        ("later", Dense(ONE, delay=4, lag=3), "x"),
        ("relay", Relay((1,), message_bits=32), "later to_relay"),
        ("y", Output((1,)), "relay"),
    )
    trace = run(graph, 1, 2, 3, 4, 5)
    assert shown(trace.rehearsals[0].spikes["relay"]) == [0, 0, 0, 1, 2]
    assert shown(trace.outputs["y"]) == [15, 15, 15, 16, 17]


def test_a_lag_longer_than_the_window_brings_nothing() -> None:
    graph = graph_of(
        ("x", Input((1,), 8), ""),
        ("now", Dense(ONE), "x"),
        ("sum", WindowSum((1,), 2), "now"),
        ("later", Dense(ONE, delay=6, lag=6), "x"),
        ("relay", Relay((1,), message_bits=32), "later"),
        ("y", Output((1,)), "relay"),
        ("z", Output((1,)), "sum"),
    )
    for presented in run(graph, 7, 9).presented:
        assert shown(presented.spikes["relay"]) == [0, 0]


def test_presentations_are_counted_past_a_loop_whatever_the_order() -> None:
    """The connection back stands before the sum that the loop depends on."""
    graph = graph_of(
        ("x", Input((1,)), ""),
        ("back", Dense(ONE, lag=1), "loop"),
        ("in", Dense(ONE), "x"),
        ("sum", WindowSum((1,), 3), "in"),
        ("of_sum", Dense(ONE), "sum"),
        ("loop", lif((1,)), "of_sum back"),
        ("of_back", Dense(ONE, lag=1), "loop"),
        ("after", lif((1,)), "of_back"),
        ("counted", Dense(ONE), "after"),
        ("last", WindowSum((1,), 3), "counted"),
        ("y", Output((1,)), "last"),
    )
    assert presentations(graph) == 3
    assert first_output(graph) == Program(graph, "test").latency == 2 * 3 + 3


def test_paths_apart_do_not_add_up() -> None:
    graph = graph_of(
        ("x", Input((1,), 4), ""),
        ("to_a", Dense(ONE), "x"),
        ("to_b", Dense(ONE), "x"),
        ("a", WindowSum((1,), 3), "to_a"),
        ("b", WindowSum((1,), 3), "to_b"),
        ("from_a", Dense(ONE), "a"),
        ("from_b", Dense(ONE), "b"),
        ("meet", Relay((1,)), "from_a from_b"),
        ("y", Output((1,)), "meet"),
    )
    assert presentations(graph) == 2
    assert shown(run(graph, 1, 2, 3).outputs["y"]) == [12] * 3


def test_a_sum_that_feeds_itself_is_refused_by_name() -> None:
    with pytest.raises(
        GraphError, match="sum: is a sum over the whole window and feeds itself through back;"
    ):
        graph_of(
            ("x", Input((1,)), ""),
            ("back", Dense(ONE, lag=1), "sum"),
            ("in", Dense(ONE), "x"),
            ("sum", WindowSum((1,), 3), "in back"),
            ("y", Output((1,)), "sum"),
        )


def test_a_running_sum_may_feed_itself() -> None:
    graph = graph_of(
        ("x", Input((1,)), ""),
        ("back", Dense(ONE, lag=1), "sum"),
        ("in", Dense(ONE), "x"),
        ("sum", WindowSum((1,), 3, running=True, message_bits=32), "in back"),
        ("y", Output((1,)), "sum"),
    )
    assert shown(run(graph, 1, 0, 0).outputs["y"]) == [1, 2, 4]


def test_windows_of_two_lengths_are_refused() -> None:
    with pytest.raises(GraphError, match="sum_0 of 2, sum_1 of 3 steps"):
        summed(WindowSum((1,), 2), WindowSum((1,), 3))


@pytest.mark.parametrize("backend", ["interpreter", "cpu"])
def test_a_window_of_another_length_is_refused(backend: str) -> None:
    program = Program(summed(WindowSum((1,), 4)), "test")
    with (
        find(backend).session(program) as session,
        pytest.raises(DataError, match="3 steps, but sum_0 adds up"),
    ):
        session.run({"x": np.zeros((3, 1, 1), np.int64)})


def test_the_real_level_refuses_it_too() -> None:
    nodes = (
        Node("x", real.Input((1,), None)),
        Node("sum", RealWindowSum(4), ("x",)),
        Node("y", real.Output((1,)), ("sum",)),
    )
    with pytest.raises(DataError, match="the window has 2 steps, but sum adds up the 4 of the window"):
        interpret_real(verified(Graph("real", nodes)), {"x": np.zeros((2, 1, 1))})


def test_both_levels_agree() -> None:
    nodes = (
        Node("x", real.Input((1,), None)),
        Node("first", RealWindowSum(4), ("x",)),
        Node("second", RealWindowSum(4, running=True), ("first",)),
        Node("y", real.Output((1,)), ("second",)),
    )
    inputs = {"x": np.array([3, 1, 0, 4]).reshape(4, 1, 1)}
    modelled = interpret_real(verified(Graph("real", nodes)), inputs).outputs["y"]
    graph = summed(WindowSum((1,), 4), WindowSum((1,), 4, running=True))
    np.testing.assert_array_equal(interpret_integer(graph, inputs).outputs["y"], modelled)


@pytest.mark.parametrize("running", [True, False])
def test_messages_are_bounded_by_the_window(running: bool) -> None:
    graph = summed(WindowSum((1,), 100, running, message_bits=15))
    assert largest_values(graph)["sum_0"] == 100 * 128
    Program(graph, "test")
    narrow = summed(WindowSum((1,), 100, running, message_bits=14))
    with pytest.raises(ProgramError, match="sum_0: its messages can reach 12800, but message_bits is 14"):
        Program(narrow, "test")


def test_steps_are_checked() -> None:
    with pytest.raises(GraphError, match=r"WindowSum\.steps is 0, but must be at least 1"):
        WindowSum((1,), 0)


def test_programs_with_sums_read_back_equal(tmp_path: Path) -> None:
    program = CASES["window_sum_nested"]().program
    program.save(tmp_path / "program")
    assert Program.load(tmp_path / "program") == program


def test_a_trace_keeps_its_rehearsals(tmp_path: Path) -> None:
    case = CASES["window_sum_nested"]()
    trace = interpret_integer(case.program.graph, case.inputs, states=True)
    trace.save(tmp_path / "trace.npz")
    again = Trace.load(tmp_path / "trace.npz").samples([2, 0])
    assert len(again.rehearsals) == 2
    for one, other in zip(again.presented, trace.presented, strict=True):
        assert one.outputs.keys() == other.outputs.keys()
        for name, array in other.spikes.items():
            np.testing.assert_array_equal(one.spikes[name], array[:, [2, 0]])
        for layer, registers in other.states.items():
            for name, array in registers.items():
                np.testing.assert_array_equal(one.states[layer][name], array[:, [2, 0]])
    assert trace.sent["counts"].shape == (36, 3, 6)
