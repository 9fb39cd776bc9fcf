"""A tie is what the rounding bound says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_real import interpret_real
from avnir.ir.real import RESETS, Delay, Input, Li, Lif, Linear, Output
from avnir.trace import Trace
from avnir.verify.compare import Divergence
from avnir.verify.ties import is_tie, output_bound, tie_samples
from tests.networks import audio_visual, spikes


def network(weight: float, reset: str = "zero") -> Graph:
    """One neuron that decides at its third spike: 3 equal weights against threshold 1, no leak."""
    nodes = (
        Node("x", Input((3,))),
        Node("fc", Linear(np.full((1, 3), weight)), ("x",)),
        Node("lif", Lif(np.array(1.0), np.array(1.0), np.array(1.0), reset), ("fc",)),
        Node("out", Output((1,)), ("lif",)),
    )
    return verified(Graph("real", nodes))


def first(graph: Graph) -> tuple[dict[str, np.ndarray], Trace, Divergence]:
    inputs = {"x": np.ones((1, 1, 3), np.uint8)}
    return inputs, interpret_real(graph, inputs), Divergence(0, "lif", (0,), 0, 0, 1)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(
    ("offset", "tie"), [(0.0, True), (1e-8, True), (-1e-8, True), (1e-5, False), (-1e-5, False)]
)
def test_the_bound_is_float32s(reset: str, offset: float, tie: bool) -> None:
    graph = network((1 + offset) / 3, reset)
    inputs, trace, where = first(graph)
    assert is_tie(graph, inputs, trace, where) is tie


@pytest.mark.parametrize(("offset", "tie"), [(0.0, True), (1e-8, True), (1e-5, False), (-1e-5, False)])
def test_spikes_that_come_back_count_two_steps_later(offset: float, tie: bool) -> None:
    """In step 2 the layer meets its threshold of 1 with 0.3 of its input and 0.7 of its spike in step 0."""
    nodes = (
        Node("x", Input((2,))),
        Node("fc", Linear(np.array([[1.5, 0.3]])), ("x",)),
        Node("back", Delay((1,), 2), ("lif",)),
        Node("rec", Linear(np.array([[0.7 + offset]])), ("back",)),
        Node("lif", Lif(np.array(0.0), np.array(1.0), np.array(1.0)), ("rec", "fc")),
        Node("out", Output((1,)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    inputs = {"x": np.array([[[1, 0]], [[0, 0]], [[0, 1]]], np.uint8)}
    trace = interpret_real(graph, inputs)
    assert trace.spikes["lif"][0, 0, 0] == 1
    assert is_tie(graph, inputs, trace, Divergence(2, "lif", (0,), 0, 0, 1)) is tie


def test_a_planted_flip_is_no_tie() -> None:
    """Any spike turned round by hand is far from its threshold almost always, and is called an error."""
    graph = audio_visual(0)
    inputs = spikes(graph, 0)
    right = interpret_real(graph, inputs)
    changed = {name: array.copy() for name, array in right.spikes.items()}
    changed["lif2"][3, 1, 0, 1, 1] ^= 1
    wrong = Trace(changed, right.outputs)
    assert tie_samples(graph, inputs, wrong, right) == ()


def test_a_tie_is_listed_by_its_sample() -> None:
    graph = network(1 / 3)
    inputs = {"x": np.array([[[1, 1, 0], [1, 1, 1]]], np.uint8)}
    double = interpret_real(graph, inputs)
    flipped = {"lif": double.spikes["lif"] ^ np.array([[[0], [1]]], np.uint8)}
    assert tie_samples(graph, inputs, Trace(flipped, double.outputs), double) == (1,)


@pytest.mark.parametrize("seed", range(5))
def test_float32_differs_from_float64_by_less_than_the_bound(seed: int) -> None:
    """The bound holds: thresholds moved onto potentials as float32 computes them are always ties."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(1, 50)).astype(np.float32)
    x = (rng.random((8, 1, 50)) < 0.5).astype(np.uint8)
    v = np.float32(0)
    for step in x[:, 0]:
        v = np.float32(0.9) * v + (weight[0] * step.astype(np.float32)).sum(dtype=np.float32)
    threshold = abs(float(v))
    sign = np.float32(np.sign(v))
    nodes = (
        Node("x", Input((50,))),
        Node("fc", Linear(weight * sign), ("x",)),
        Node("lif", Lif(np.array(np.float32(0.9)), np.array(threshold), np.array(1.0), "none"), ("fc",)),
        Node("out", Output((1,)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    where = Divergence(7, "lif", (0,), 0, 0, 1)
    assert is_tie(graph, {"x": x}, interpret_real(graph, {"x": x}), where)
    farther = graph.with_nodes(
        Node(n.name, n.op.replace(threshold=np.array(threshold * 1.001)), n.inputs) if n.name == "lif" else n
        for n in graph
    )
    assert not is_tie(farther, {"x": x}, interpret_real(farther, {"x": x}), where)


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_holds_for_a_synaptic_current(seed: int) -> None:
    """As above, with the current of snnTorch's Synaptic in float32."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(1, 50)).astype(np.float32)
    x = (rng.random((8, 1, 50)) < 0.5).astype(np.uint8)
    i, v = np.float32(0), np.float32(0)
    for step in x[:, 0]:
        i = np.float32(0.8) * i + (weight[0] * step.astype(np.float32)).sum(dtype=np.float32)
        v = np.float32(0.9) * v + i
    leaks = {"beta": np.array(np.float32(0.9)), "alpha": np.array(np.float32(0.8))}
    where = Divergence(7, "lif", (0,), 0, 0, 1)
    for factor, tie in ((1.0, True), (1.001, False)):
        neuron = Lif(**leaks, threshold=np.array(abs(float(v)) * factor), gain=np.array(1.0), reset="none")
        nodes = (
            Node("x", Input((50,))),
            Node("fc", Linear(weight * np.float32(np.sign(v))), ("x",)),
            Node("lif", neuron, ("fc",)),
            Node("out", Output((1,)), ("lif",)),
        )
        graph = verified(Graph("real", nodes))
        assert is_tie(graph, {"x": x}, interpret_real(graph, {"x": x}), where) is tie


def test_the_bound_of_an_output_counts_its_roundings_step_by_step() -> None:
    """A sum of the spikes of this step and of the one before, for a batch."""
    weight = np.array([[0.5, -0.25]])
    nodes = (
        Node("x", Input((2,))),
        Node("late", Delay((2,)), ("x",)),
        Node("now", Linear(weight), ("x",)),
        Node("then", Linear(weight), ("late",)),
        Node("lif", Lif(np.array(0.0), np.array(9.0), np.array(1.0)), ("now",)),
        Node("seen", Output((1,)), ("lif",)),
        Node("out", Output((1,)), ("now", "then")),
    )
    graph = verified(Graph("real", nodes))
    inputs = {"x": np.array([[[1, 1], [0, 0]], [[1, 0], [0, 1]]], np.uint8)}
    trace = interpret_real(graph, inputs)
    bound = output_bound(graph, inputs, trace, "out")
    assert bound is not None
    assert bound.shape == trace.outputs["out"].shape == (2, 2, 1)
    sizes = np.array([[[0.75], [0.0]], [[0.5 + 0.75], [0.25]]])
    count = 3 + 1  # of a Linear of two weights, and the sum of the two
    unit = 2.0**-24
    np.testing.assert_allclose(bound, 2 * sizes * count * unit / (1 - count * unit), rtol=1e-12)


def test_no_bound_is_known_behind_an_integrator() -> None:
    nodes = (
        Node("x", Input((2,))),
        Node("li", Li(np.array(0.5), np.array(1.0)), ("x",)),
        Node("out", Output((2,)), ("li",)),
    )
    graph = verified(Graph("real", nodes))
    inputs = {"x": np.ones((2, 1, 2), np.uint8)}
    assert output_bound(graph, inputs, interpret_real(graph, inputs), "out") is None
