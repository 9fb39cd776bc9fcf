"""Loops: a delay closes them, on both levels; hand-computed steps, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import target
from avnir.compile import run_passes, to_integers
from avnir.errors import GraphError, LimitError
from avnir.ir.graph import Graph, Node, in_order, verified
from avnir.ir.integer import Dense
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.latency import latencies, slack
from avnir.ir.real import RESETS, Delay, Input, Lif, Linear, Output, Scale
from avnir.ir.text import arrays_of, parse, to_text
from avnir.program import Program
from avnir.verify.compare import compare

LOIHI2 = target.load("loihi2")


def lif(reset: str = "zero", beta: float = 0.5) -> Lif:
    return Lif(np.array(beta), np.array(1.0), np.array(1.0), reset)


def recurrent(
    weight: np.ndarray, forward: np.ndarray, steps: int = 1, reset: str = "zero", beta: float = 0.5
) -> Graph:
    """One layer whose spikes come back to it `steps` steps later through `weight`."""
    size = len(weight)
    nodes = (
        Node("x", Input((forward.shape[1],))),
        Node("fc", Linear(forward), ("x",)),
        Node("back", Delay((size,), steps), ("lif",)),
        Node("rec", Linear(weight), ("back",)),
        Node("lif", lif(reset, beta), ("fc", "rec")),
        Node("out", Output((size,)), ("lif",)),
    )
    return verified(Graph("real", nodes))


def test_a_spike_comes_back_a_step_later() -> None:
    graph = recurrent(np.array([[0.0, 0.0], [1.5, 0.0]]), np.array([[2.0], [0.0]]))
    x = np.zeros((5, 1, 1), np.uint8)
    x[1] = x[2] = 1
    assert interpret_real(graph, {"x": x}).spikes["lif"][:, 0].tolist() == [
        [0, 0],
        [1, 0],
        [1, 1],
        [0, 1],
        [0, 0],
    ]


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_delay_gives_what_came_that_many_steps_ago(steps: int) -> None:
    nodes = (
        Node("x", Input((3,), None)),
        Node("late", Delay((3,), steps), ("x",)),
        Node("out", Output((3,)), ("late",)),
    )
    x = np.random.default_rng(0).normal(size=(8, 2, 3))
    out = interpret_real(verified(Graph("real", nodes)), {"x": x}).outputs["out"]
    np.testing.assert_array_equal(out[steps:], x[:-steps])
    assert not out[:steps].any()


def test_order_text_and_shapes_of_a_loop() -> None:
    graph = recurrent(np.eye(2), np.ones((2, 3)))
    mixed = verified(Graph("real", in_order(reversed(graph.nodes))))
    assert mixed.shapes == graph.shapes
    assert parse(to_text(graph), arrays_of(graph)) == graph


def test_a_loop_of_the_wrong_shape_is_refused() -> None:
    nodes = list(recurrent(np.eye(2), np.ones((2, 3))))
    nodes[2] = Node("back", Delay((3,)), ("lif",))
    nodes[3] = Node("rec", Linear(np.ones((2, 3))), ("back",))
    with pytest.raises(GraphError, match=r"Delay holds \(3,\), but its input is \(2,\)"):
        verified(Graph("real", tuple(nodes)))


def test_only_a_delay_may_be_fed_by_what_comes_later() -> None:
    nodes = list(recurrent(np.eye(2), np.ones((2, 3))))
    nodes[2] = Node("back", Scale(np.ones(2)), ("lif",))
    with pytest.raises(GraphError, match="is fed by 'lif', which does not come before it"):
        verified(Graph("real", tuple(nodes)))


def integers(graph: Graph) -> Graph:
    return run_passes(graph, to_integers(LOIHI2))[0]


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_on_a_lattice_a_recurrent_layer_is_exact(reset: str, steps: int) -> None:
    """Multiples of 1/128 and beta 0: nothing is rounded, so a loop has nothing to amplify."""
    rng = np.random.default_rng(steps)
    forward = rng.integers(-127, 128, (20, 30)) / 128
    weight = rng.integers(-127, 128, (20, 20)) / 128
    forward[0, 0] = weight[0, 0] = 127 / 128
    graph = recurrent(weight, forward, steps, reset, beta=0.0)
    chip = integers(graph)
    assert chip["lif__lif"].op == Dense(np.rint(128 * weight).astype(np.int8), delay=steps - 1, lag=steps)
    assert not any(slack(chip).values()) and latencies(chip)["lif"] == 1
    x = (rng.random((60, 8, 30)) < 0.2).astype(np.uint8)
    real, exact = interpret_real(graph, {"x": x}), interpret_integer(chip, {"x": x})
    assert real.spikes["lif"].any()
    assert compare(real, exact, ("real", "integer")).identical


def test_spikes_that_a_bias_caused_before_the_window_do_not_come_back() -> None:
    """The layer is three steps behind the input, and its bias alone makes it spike in each of them."""
    layers = [Node("x", Input((1,)))]
    for name, before in (("a", "x"), ("b", "a")):
        layers += [Node(f"to_{name}", Linear(np.ones((1, 1))), (before,)), Node(name, lif(), (f"to_{name}",))]
    layers += [
        Node("fc", Linear(np.array([[0.5]]), np.array([1.5])), ("b",)),
        Node("back", Delay((1,)), ("c",)),
        Node("rec", Linear(np.array([[-2.0]])), ("back",)),
        Node("c", lif(), ("fc", "rec")),
        Node("out", Output((1,)), ("c",)),
    ]
    graph = verified(Graph("real", tuple(layers)))
    x = np.zeros((6, 1, 1), np.uint8)
    expected = interpret_real(graph, {"x": x}).spikes["c"]
    assert expected[0] == 1 and not expected.all()
    np.testing.assert_array_equal(interpret_integer(integers(graph), {"x": x}).spikes["c"], expected)


def test_a_loop_of_two_layers_needs_two_steps() -> None:
    def ring(steps: int) -> Graph:
        nodes = (
            Node("x", Input((1,))),
            Node("fc", Linear(np.ones((1, 1))), ("x",)),
            Node("back", Delay((1,), steps), ("b",)),
            Node("rec", Linear(np.ones((1, 1))), ("back",)),
            Node("a", lif(), ("fc", "rec")),
            Node("a_b", Linear(np.full((1, 1), 2.0)), ("a",)),
            Node("b", lif(), ("a_b",)),
            Node("out", Output((1,)), ("b",)),
        )
        return verified(Graph("real", nodes))

    with pytest.raises(LimitError, match="a loop through a, b takes more chip steps"):
        integers(ring(1))
    chip = integers(ring(2))
    x = np.array([0, 1, 1, 0, 0, 1, 1, 1], np.uint8).reshape(8, 1, 1)
    np.testing.assert_array_equal(
        interpret_integer(chip, {"x": x}).spikes["b"], interpret_real(ring(2), {"x": x}).spikes["b"]
    )


def test_a_delay_without_a_loop_becomes_a_longer_connection() -> None:
    nodes = (
        Node("x", Input((2,))),
        Node("late", Delay((2,), 3), ("x",)),
        Node("fc", Linear(np.array([[2.0, -2.0]])), ("late",)),
        Node("lif", lif(), ("fc",)),
        Node("out", Output((1,)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    chip = integers(graph)
    assert latencies(chip)["lif"] == 0 and chip["x__lif"].op.delay == 2  # type: ignore[attr-defined]
    x = (np.random.default_rng(0).random((12, 4, 2)) < 0.4).astype(np.uint8)
    np.testing.assert_array_equal(
        interpret_integer(chip, {"x": x}).spikes["lif"], interpret_real(graph, {"x": x}).spikes["lif"]
    )


def test_a_delayed_bias_and_a_loop_without_a_neuron_are_refused() -> None:
    biased = list(recurrent(np.eye(2), np.ones((2, 3))))
    biased[2:4] = [Node("rec", Delay((2,)), ("w",)), Node("w", Linear(np.eye(2), np.ones(2)), ("spk",))]
    biased.insert(2, Node("spk", Delay((2,)), ("lif",)))
    biased = list(in_order(biased))
    with pytest.raises(Exception, match="rec delays a bias"):
        integers(verified(Graph("real", tuple(biased))))
    filtered = (
        Node("x", Input((2,))),
        Node("back", Delay((2,)), ("sum",)),
        Node("decay", Scale(np.array(0.5)), ("back",)),
        Node("sum", Scale(np.array(1.0)), ("x", "decay")),
        Node("lif", lif(), ("sum",)),
        Node("out", Output((2,)), ("lif",)),
    )
    with pytest.raises(Exception, match="is on a loop without a neuron"):
        integers(verified(Graph("real", filtered)))


def test_a_program_with_a_loop_is_saved_and_read(tmp_path: object) -> None:
    program = Program(integers(recurrent(np.eye(2), np.ones((2, 3)))), "loihi2")
    program.save(tmp_path / "program")  # type: ignore[operator]
    assert Program.load(tmp_path / "program") == program  # type: ignore[operator]
