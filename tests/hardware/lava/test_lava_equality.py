"""Lava computes what the definition says: every spike, and in one process every register."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_sparse import Sparse
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Shape
from avnir.ir.real import RESETS
from avnir.numerics.fixed import STATE_LIMIT
from tests.hardware.lava.lava_networks import (
    chain,
    coded_network,
    differences,
    graded_network,
    inputs_for,
    looped_network,
    neurons,
    residual_network,
    summed_network,
    weights,
)

pytestmark = pytest.mark.lava


NETWORKS = [residual_network, looped_network, graded_network, coded_network, summed_network]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("network", NETWORKS)
def test_random_networks_in_one_process(run_lava, network, seed):
    graph, inputs = network(seed)
    expected = interpret_integer(graph, inputs, states=True)
    assert differences(expected, run_lava(graph, inputs, states=True), states=True) == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("network", NETWORKS)
def test_random_networks_on_the_runtime(run_lava, network, seed):
    graph, inputs = network(seed)
    expected = interpret_integer(graph, inputs)
    assert differences(expected, run_lava(graph, inputs, "runtime"), states=False) == []


@pytest.mark.parametrize(
    ("network", "most"), [*((make, 0.98) for make in NETWORKS[:3]), *((make, 1.0) for make in NETWORKS[3:])]
)
def test_the_random_networks_send_and_keep_silent(network, most):
    """Spikes come neither always nor never; graded messages may come always."""
    rates = []
    for seed in range(30):
        graph, inputs = network(seed)
        rates += [(array != 0).mean() for array in interpret_integer(graph, inputs).spikes.values()]
    assert np.mean([0.02 < rate <= most for rate in rates]) > 0.5


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("way", ["in-process", "runtime"])
def test_every_reset_over_a_long_window(run_lava, reset, way):
    rng = np.random.default_rng(5)
    layer = neurons(rng, (20,), reset, threshold=300, decay_u=2000, decay_v=300, bias_mantissa=30)
    graph = chain(integer.Dense(weights(rng, 20, 9)), layer, 0, (9,))
    inputs = inputs_for(graph, rng, steps=60, batch=2)
    states = way == "in-process"
    expected = interpret_integer(graph, inputs, states)
    assert 0.05 < expected.spikes["layer"].mean() < 0.95
    assert differences(expected, run_lava(graph, inputs, way, states), states) == []


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(("bits", "sum_limit"), [(6, STATE_LIMIT), (16, 1 << 31)])
def test_registers_that_overflow(run_lava, reset, bits, sum_limit):
    """Currents wrap once, even beyond 24 bits, and their sums at 32; potentials stop at both ends."""
    rng = np.random.default_rng(11)
    layer = neurons(rng, (40,), reset, threshold=(1 << 17) - 1, decay_u=10, decay_v=5, bias_mantissa=4000)
    graph = chain(integer.Dense(weights(rng, 40, 60), exponent=7), layer, bits, (60,))
    inputs = inputs_for(graph, rng, steps=40, batch=2)
    expected = interpret_integer(graph, inputs, states=True)
    arriving = graph["synapses"].op.step(inputs["x"].reshape(-1, 60), {}) << 6
    u, v = expected.states["layer"]["u"], expected.states["layer"]["v"]
    assert np.abs(arriving).max() > sum_limit
    assert np.abs(u.astype(np.int64)).max() > STATE_LIMIT
    assert v.min() == -STATE_LIMIT + 1
    assert differences(expected, run_lava(graph, inputs, states=True), states=True) == []


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("exponent", [1, 7])
@pytest.mark.parametrize("kind", [integer.Dense, Sparse.of])
def test_sums_beyond_32_bits_behind_an_exponent(run_lava, kind, exponent, delay):
    """Lava's doubled sums lose their upper bits, which the exponent would shift out."""
    rng = np.random.default_rng(12)
    synapses = kind(weights(rng, 30, 40), exponent=exponent, delay=delay)
    graph = chain(synapses, neurons(rng, (30,), decay_u=4095, threshold=1000), 24, (40,))
    inputs = inputs_for(graph, rng, steps=12, batch=2)
    sums = graph["synapses"].op.replace(exponent=0).step(inputs["x"].reshape(-1, 40), {})
    assert np.abs(sums).max() > 1 << 31
    expected = interpret_integer(graph, inputs, states=True)
    assert differences(expected, run_lava(graph, inputs, states=True), states=True) == []


@pytest.mark.parametrize("bits", [10, 13])
def test_convolution_sums_wrap_at_24_bits(run_lava, bits):
    rng = np.random.default_rng(3)
    conv = integer.Conv(rng.integers(-128, 128, (3, 4, 3, 3)).astype(np.int8), exponent=7, padding=(1, 1))
    layer = neurons(rng, (3, 5, 5), "zero", threshold=60000)
    graph = chain(conv, layer, bits, (4, 5, 5))
    inputs = inputs_for(graph, rng, steps=6, batch=2)
    exact = conv.replace(exponent=0).step(inputs["x"].reshape(-1, 4, 5, 5), {}) << 7
    assert np.abs(exact).max() > STATE_LIMIT
    expected = interpret_integer(graph, inputs, states=True)
    assert differences(expected, run_lava(graph, inputs, states=True), states=True) == []


@pytest.mark.parametrize("delay", [1, 5, 62])
@pytest.mark.parametrize("kind", ["dense", "conv"])
@pytest.mark.parametrize("bits", [0, 5])
def test_delays(run_lava, delay, kind, bits):
    rng = np.random.default_rng(delay)
    shape: Shape = (2, 3, 3)
    connection = (
        integer.Conv(weights(rng, 3, 2, 2, 2), 2, delay)
        if kind == "conv"
        else integer.Dense(weights(rng, 4, 18), 2, delay)
    )
    graph = chain(connection, neurons(rng, connection.output_shape(shape)), bits, shape)
    inputs = inputs_for(graph, rng, steps=5, batch=3)
    expected = interpret_integer(graph, inputs, states=True)
    assert differences(expected, run_lava(graph, inputs, states=True), states=True) == []


@pytest.mark.parametrize("steps", [1, 2, 3, 9])
@pytest.mark.parametrize("way", ["in-process", "runtime"])
def test_samples_of_a_loop_do_not_meet(run_lava, steps, way):
    """A bias spikes always, before the first window too; what comes back three steps later inhibits."""
    rng = np.random.default_rng(steps)
    inhibition = rng.integers(-100, 1, (8, 8)).astype(np.int8)
    nodes = (
        Node("x", integer.Input((6,))),
        Node("in", integer.Dense(weights(rng, 8, 6), delay=4), ("x",)),
        Node("back", integer.Dense(inhibition, 2, delay=2, lag=3), ("layer",)),
        Node("layer", neurons(rng, (8,), threshold=20, bias_mantissa=4000), ("in", "back")),
        Node("y", integer.Output((8,)), ("layer",)),
    )
    graph = verified(Graph("integer", nodes))
    inputs = inputs_for(graph, rng, steps, batch=4)
    expected = interpret_integer(graph, inputs)
    assert expected.spikes["layer"][:3].all()
    assert expected.spikes["layer"][3:].all() == (steps <= 3)
    assert differences(expected, run_lava(graph, inputs, way), states=False) == []


def test_a_layer_seen_in_another_shape(run_lava):
    """A Dense onto a (C, H, W) layer, a Conv onto a flat one."""
    rng = np.random.default_rng(8)
    nodes = (
        Node("x", integer.Input((6,))),
        Node("in", integer.Dense(weights(rng, 24, 6), 2), ("x",)),
        Node("grid", neurons(rng, (2, 3, 4)), ("in",)),
        Node("conv", integer.Conv(weights(rng, 3, 2, 2, 2), 1), ("grid",)),
        Node("flat", neurons(rng, (18,)), ("conv",)),
        Node("out", integer.Dense(weights(rng, 4, 18), 2), ("flat",)),
        Node("last", neurons(rng, (2, 2)), ("out",)),
        Node("y", integer.Output((4,)), ("last",)),
    )
    graph = verified(Graph("integer", nodes))
    inputs = inputs_for(graph, rng, steps=9, batch=2)
    expected = interpret_integer(graph, inputs, states=True)
    assert differences(expected, run_lava(graph, inputs, states=True), states=True) == []


@pytest.mark.parametrize("way", ["in-process", "runtime"])
def test_parts_that_do_not_meet_and_an_input_that_nobody_reads(run_lava, way):
    rng = np.random.default_rng(9)
    nodes = [Node("unread", integer.Input((3,)))]
    for part in "ab":
        nodes += [
            Node(f"x{part}", integer.Input((4,))),
            Node(f"w{part}", integer.Dense(weights(rng, 5, 4), 2), (f"x{part}",)),
            Node(f"l{part}", neurons(rng, (5,)), (f"w{part}",)),
            Node(f"y{part}", integer.Output((5,)), (f"l{part}",)),
        ]
    graph = verified(Graph("integer", tuple(nodes)))
    inputs = inputs_for(graph, rng, steps=6, batch=2)
    expected = interpret_integer(graph, inputs)
    assert differences(expected, run_lava(graph, inputs, way), states=False) == []
