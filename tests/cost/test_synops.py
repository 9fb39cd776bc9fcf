"""Synaptic operations counted by hand, spike by spike."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.cost.synops import count
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program
from tests.networks import audio_visual, spikes


def lif(*shape: int) -> integer.Lif:
    decay, other = np.array(4095, np.int32), np.array(100, np.int32)
    return integer.Lif(shape, decay, other, other, np.array(0, np.int32))


def program(op: integer.Connection, before: tuple[int, ...]) -> Program:
    after = op.output_shape(before)
    nodes = (
        Node("x", integer.Input(before)),
        Node("c", op, ("x",)),
        Node("lif", lif(*after), ("c",)),
        Node("out", integer.Output(after), ("lif",)),
    )
    return Program(verified(Graph("integer", nodes)), "loihi2")


def counted(op: integer.Connection, x: np.ndarray) -> dict[str, float]:
    made = program(op, x.shape[2:])
    return dict(count(made, {"x": x}, interpret_integer(made.graph, {"x": x})).total)


def test_dense() -> None:
    weight = np.array([[1, 0, 2], [3, 0, 0]], np.int8)
    x = np.array([[[1, 1, 0]], [[0, 0, 1]]], np.uint8)  # spikes of neurons 0, 1, then 2
    assert counted(integer.Dense(weight), x) == {"stored": 6, "nonzero": 2 + 0 + 1, "fan_out": 6}


def test_convolution_counts_borders_exactly() -> None:
    weight = np.ones((1, 1, 3, 3), np.int8)
    weight[0, 0, 0, 0] = 0
    x = np.zeros((1, 1, 1, 3, 3), np.uint8)
    x[..., 0, 0] = 1  # a corner reaches 4 of 9 outputs; by the weight of position (0, 0) output (1, 1)
    x[..., 1, 1] = 1  # the centre reaches all 9
    found = counted(integer.Conv(weight, padding=(1, 1)), x)
    assert found["stored"] == 4 + 9
    assert found["nonzero"] == 3 + 8
    assert found["fan_out"] == pytest.approx(2 * 49 / 9)


def test_a_graded_message_is_one_operation_a_synapse() -> None:
    x = np.array([[[5, 0, -3]]], np.int64)
    nodes = program(integer.Dense(np.ones((4, 3), np.int8)), (3,)).graph.nodes
    made = Program(verified(Graph("integer", (Node("x", integer.Input((3,), 8)), *nodes[1:]))), "loihi2")
    assert count(made, {"x": x}, interpret_integer(made.graph, {"x": x})).total["stored"] == 2 * 4


def test_means_are_per_sample() -> None:
    x = np.ones((2, 5, 3), np.uint8)
    assert counted(integer.Dense(np.ones((4, 3), np.int8)), x)["stored"] == 2 * 3 * 4


@pytest.mark.parametrize("seed", range(3))
def test_stored_counts_every_delivered_synapse(seed: int) -> None:
    """Against weights of one: the sum of all currents is the number of synapses reached."""
    graph = audio_visual(seed, reset="zero")
    compiled = compile_graph(graph, target.load("loihi2"))
    inputs = spikes(graph, seed)
    trace = interpret_integer(compiled.program.graph, inputs)
    found = count(compiled.program, inputs, trace).by_connection
    for node in compiled.program.graph:
        if not getattr(node.op, "connection", False):
            continue
        op = node.op.replace(weight=np.ones_like(node.op.weight), exponent=0)
        source = trace.spikes.get(node.inputs[0], inputs.get(node.inputs[0]))
        reached = sum(int(op.step(step.astype(np.int64), {}).sum()) for step in source)
        assert found[node.name]["stored"] * source.shape[1] == pytest.approx(reached)


def test_words_follow_the_published_rows() -> None:
    """Rows printed in lava-dl's netx tutorials: dense 64 to 10 at 8 bits takes 256 words."""
    assert integer.Dense(np.zeros((10, 64), np.int8)).synaptic_words(8) == 256
