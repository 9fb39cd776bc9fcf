"""Integers: ranges, exactness where it is possible, no overflow, delays that balance."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph, run_passes, to_integers
from avnir.errors import LimitError, UnsupportedError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Dense
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.latency import latencies, slack
from avnir.ir.real import RESETS, Conv2d, Flatten, Input, Li, Lif, Linear, Output, SumPool2d
from avnir.passes.balance_delays import BalanceDelays
from avnir.passes.merge_synapses import MergeSynapses
from avnir.passes.quantise import Quantise
from avnir.rounding.scales import CURRENT_LIMIT, FINE
from avnir.verify.compare import compare
from tests.networks import audio_visual, spikes

LOIHI2 = target.load("loihi2")


def single(weight: np.ndarray, bits: int | None = 0, **neuron: object) -> Graph:
    """Input, one Linear, one layer."""
    parameters = {"beta": np.array(0.5), "threshold": np.array(1.0), "gain": np.array(1.0), **neuron}
    nodes = (
        Node("x", Input((weight.shape[1],), bits)),
        Node("fc", Linear(weight), ("x",)),
        Node("lif", Lif(**parameters), ("fc",)),  # type: ignore[arg-type]
        Node("out", Output((len(weight),)), ("lif",)),
    )
    return verified(Graph("real", nodes))


def quantised(graph: Graph, bits: int = 8) -> Graph:
    return run_passes(graph, to_integers(LOIHI2, bits))[0]


@pytest.mark.parametrize("reset", RESETS)
def test_weights_on_a_lattice_are_exact_in_every_reset(reset: str) -> None:
    """Multiples of 1/127, beta 1/2, threshold 1: nothing to round but the decay's last bits."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-127, 128, (20, 30)) / 127.0
    weight[0, 0] = 1.0
    graph = single(weight, reset=reset)
    integers = quantised(graph)
    np.testing.assert_array_equal(integers["x__lif"].op.weight, np.rint(weight * 127).astype(np.int8))
    assert integers["lif"].op.threshold == 127
    assert integers["lif"].op.decay_v == 2048
    inputs = spikes(graph, 2, steps=60, batch=8)
    real, chip = interpret_real(graph, inputs), interpret_integer(integers, inputs)
    assert compare(real, chip, ("real", "integer")).agreement > 0.999


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_weights_keep_their_width(bits: int) -> None:
    weight = np.random.default_rng(2).normal(size=(10, 40))
    found = quantised(single(weight), bits)["x__lif"].op
    assert np.abs(found.weight).max() <= 2 ** (bits - 1) - 1
    assert found.needs()["weight_bits"] <= bits


@pytest.mark.parametrize(
    ("values", "bits"),
    [([127, 127], 8), ([-128, -128], 8), ([-127, 127], 8), ([3, 3], 3), ([-4, -4], 3), ([0], 1)],
)
def test_the_width_of_weights_of_one_sign(values: list[int], bits: int) -> None:
    assert Dense(np.array([values], np.int8)).needs()["weight_bits"] == bits


def test_a_synapse_with_small_weights_uses_its_bits_too() -> None:
    rng = np.random.default_rng(3)
    big, small = rng.normal(size=(6, 10)), rng.normal(size=(6, 10)) / 20
    nodes = (
        Node("x", Input((10,))),
        Node("y", Input((10,))),
        Node("a", Linear(big), ("x",)),
        Node("b", Linear(small), ("y",)),
        Node("lif", Lif(np.array(0.9), np.array(1.0), np.array(1.0)), ("a", "b")),
        Node("out", Output((6,)), ("lif",)),
    )
    integers = quantised(verified(Graph("real", nodes)))
    x, y = integers["x__lif"].op, integers["y__lif"].op
    assert np.abs(y.weight).max() > 63
    assert np.abs(x.weight).max() > 63
    assert y.exponent == 0
    assert x.exponent >= 3


def test_no_input_can_overflow_the_current() -> None:
    graph = single(np.ones((2, 6000)))
    integers = quantised(graph)
    inputs = {"x": np.ones((3, 1, 6000), np.uint8)}
    trace = interpret_integer(integers, inputs, states=True)
    assert int(integers["x__lif"].op.worst_sum().max()) < CURRENT_LIMIT
    assert (trace.states["lif"]["u"] > 0).all(), "a wrapped current would be negative"


def test_graded_inputs_count_with_their_largest_message() -> None:
    integers = quantised(single(np.ones((2, 100)), bits=9))
    assert int(integers["x__lif"].op.worst_sum().max()) * 256 < CURRENT_LIMIT


def test_real_inputs_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="carries real numbers"):
        quantised(single(np.ones((2, 3)), bits=None))


def test_extremes_stay_in_range() -> None:
    """Zero weights, a huge bias, a huge threshold, beta 0 and 1."""
    zero = quantised(single(np.zeros((2, 3))))
    assert not zero["x__lif"].op.weight.any()
    bias = single(np.ones((2, 3)), bias=np.array([1e6, -1e6]))
    assert np.sign(quantised(bias)["lif"].op.bias_mantissa).tolist() == [1, -1]
    assert quantised(single(np.ones((2, 3)), threshold=np.array(1e9)))["lif"].op.threshold <= 131071
    assert quantised(single(np.ones((2, 3)), beta=np.array(0.0)))["lif"].op.decay_v == 4096
    assert quantised(single(np.ones((2, 3)), beta=np.array(1.0)))["lif"].op.decay_v == 0


def test_parameters_per_neuron_survive() -> None:
    graph = single(np.eye(3), beta=np.array([0.0, 0.5, 1.0]), threshold=np.array([0.5, 1.0, 2.0]))
    op = quantised(graph)["lif"].op
    assert op.decay_v.tolist() == [4096, 2048, 0]
    assert op.threshold.tolist() == [127, 254, 508] and op.scale == 254


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_coarse_threshold_gets_finer_steps_from_the_exponents(bits: int) -> None:
    """With 2 bits a threshold of 1 and weights up to 0.7 would be 1 step instead of 1.43."""
    weight = np.random.default_rng(4).uniform(-0.7, 0.7, (6, 12))
    integers = quantised(single(weight), bits)
    lif, exponent = integers["lif"].op, integers["x__lif"].op.exponent
    assert lif.threshold.min() >= FINE / 2 and exponent > 0
    np.testing.assert_allclose(lif.threshold / lif.scale, 1, rtol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_balancing_is_what_makes_the_chip_compute_the_network(seed: int) -> None:
    """Balanced, the layer-wise sums meet; without it the same integers compute something else."""
    graph = audio_visual(seed)
    merged, _ = MergeSynapses()(compile_graph(graph, LOIHI2).nir_graph)
    early, _ = Quantise()(merged)
    balanced, notes = BalanceDelays()(early)
    assert any(slack(early).values())
    assert not any(slack(balanced).values())
    assert notes
    inputs = spikes(graph, seed)
    aligned, wrong = interpret_integer(balanced, inputs), interpret_integer(early, inputs)
    assert not np.array_equal(aligned.spikes["fused"], wrong.spikes["fused"])
    np.testing.assert_array_equal(aligned.spikes["lif1"], wrong.spikes["lif1"])
    late = latencies(balanced)
    assert late["fused"] == 1 + max(late["lif4"], late["lif2"])


def test_too_long_a_delay_is_refused() -> None:
    graph, _ = Quantise()(MergeSynapses()(compile_graph(audio_visual(0), LOIHI2).nir_graph)[0])
    with pytest.raises(LimitError, match="more than the limit of 1"):
        BalanceDelays(max_delay=1)(graph)


def test_loihi1_refuses_other_resets_naming_every_layer() -> None:
    with pytest.raises(LimitError) as caught:
        compile_graph(audio_visual(0, reset="subtract"), target.load("loihi1"))
    assert len(caught.value.findings) == 6
    compile_graph(audio_visual(0, reset="zero"), target.load("loihi1"))


@pytest.mark.parametrize("reset", RESETS)
def test_a_synaptic_current_on_a_lattice(reset: str) -> None:
    """Multiples of 1/127, alpha and beta 1/2, threshold 1: the same spikes, but for the decays' last bits."""
    rng = np.random.default_rng(1)
    graph = single(rng.integers(-127, 128, (20, 30)) / 127.0, reset=reset, alpha=np.array(0.5))
    integers = quantised(graph)
    assert integers["lif"].op.decay_u == 2047
    inputs = spikes(graph, 2, steps=60, batch=8)
    real, chip = interpret_real(graph, inputs), interpret_integer(integers, inputs)
    assert compare(real, chip, ("real", "integer")).agreement > 0.999


def test_decays_of_the_current_per_neuron() -> None:
    op = quantised(single(np.eye(3), alpha=np.array([0.0, 0.25, 4095 / 4096])))["lif"].op
    assert op.decay_u.tolist() == [4095, 3071, 0]
    assert quantised(single(np.eye(3)))["lif"].op.decay_u == 4095


@pytest.mark.parametrize(("alpha", "fan_in"), [(0.5, 3000), (0.9, 600), (0.99, 600), (0.9997, 20)])
def test_no_input_can_overflow_a_current_that_builds_up(alpha: float, fan_in: int) -> None:
    """All inputs in every step, long enough: the current comes near what is promised, and never over it."""
    graph = single(np.ones((1, fan_in)), alpha=np.array(alpha), threshold=np.array(500.0))
    integers, notes = run_passes(graph, to_integers(LOIHI2))
    (said,) = (note.text for note in notes if "overflow of the current is impossible" in note.text)
    worst, highest, limit = map(int, re.findall(r"\d+", said))
    assert limit == CURRENT_LIMIT > highest
    assert highest == -(-worst * 4096 // (1 + int(integers["lif"].op.decay_u)))
    inputs = {"x": np.ones((6 * round(1 / (1 - alpha)), 1, fan_in), np.uint8)}
    u = interpret_integer(integers, inputs, states=True).states["lif"]["u"]
    assert 0.9 * (highest << 6) < u.max() <= highest << 6
    assert (u > 0).all(), "a wrapped current would be negative"


@pytest.mark.parametrize(
    ("neuron", "problem"),
    [
        ({"alpha": np.array([0.5, 0.9999])}, "alpha = 0.9999 rounds to 1 in 12 bits"),
    ],
)
def test_neurons_that_the_chip_has_not(neuron: dict[str, object], problem: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        quantised(single(np.ones((2, 3)), **neuron))
    (finding,) = caught.value.findings
    assert finding.place == "lif" and problem in finding.problem


def test_a_current_that_only_zeros_keep_in_its_register_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"with alpha = 0\.9997 its current builds up"):
        quantised(single(np.ones((1, 600)), alpha=np.array(0.9997)))


def test_a_bias_into_a_current_comes_from_a_neuron_that_spikes_in_every_step() -> None:
    graph = single(np.array([[0.5, 0.25], [1.0, 0.75]]), alpha=np.array(0.5), beta=np.array(0.5))
    biased_fc = Node("fc", graph["fc"].op.replace(bias=np.array([0.25, 0.0])), ("x",))
    biased = graph.with_nodes(biased_fc if node.name == "fc" else node for node in graph)
    integers, _ = BalanceDelays()(quantised(biased))
    trace = interpret_integer(integers, {"x": np.zeros((6, 1, 2), np.uint8)}, states=True)
    assert trace.spikes["lif_tick"].all()
    scale = 64 * integers["lif"].op.scale
    built_up = [0.25, 0.375, 0.4375, 0.46875, 0.484375, 0.4921875]
    np.testing.assert_array_equal(trace.states["lif"]["u"][:, 0, 0], np.trunc(np.array(built_up) * scale))
    assert not trace.states["lif"]["u"][:, 0, 1].any()


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_a_bias_into_the_currents_of_a_convolution(flat: bool, padded: bool) -> None:
    """One neuron a place; behind pooling with padding, where the bias differs within a channel, only one."""
    rng = np.random.default_rng(3)
    conv = Conv2d(rng.integers(-64, 64, (3, 2, 3, 3)) / 64, np.array([0.25, 0.0, -0.5]), padding=(1, 1))
    pool = SumPool2d((2, 2), (1, 1), (1, 1) if padded else (0, 0))
    shape = pool.output_shape((3, 5, 4))
    lif = Lif(np.array(0.5), np.array(1.0), np.array(1.0), "subtract_delayed", alpha=np.array(0.5))
    end = [Node("flat", Flatten((math.prod(shape),)), ("pool",))] if flat else []
    nodes = [Node("x", Input((2, 5, 4))), Node("conv", conv, ("x",)), Node("pool", pool, ("conv",)), *end]
    nodes += [Node("lif", lif, (nodes[-1].name,)), Node("out", Output((math.prod(shape),)), ("lif",))]
    graph = verified(Graph("real", tuple(nodes)))
    integers = quantised(graph)
    tick = integers["lif_tick"].op.shape
    assert tick == ((1,) if padded else (1, *shape[1:]))
    inputs = spikes(graph, 0, steps=30, batch=4)
    real, chip = interpret_real(graph, inputs), interpret_integer(integers, inputs)
    assert real.spikes["lif"].any()
    agreement = np.mean(real.spikes["lif"].reshape(30, 4, -1) == chip.spikes["lif"].reshape(30, 4, -1))
    assert agreement > 0.98


def test_a_bias_on_the_potential_of_a_neuron_with_a_current_stays_a_bias() -> None:
    integers = quantised(single(np.ones((2, 3)), alpha=np.array(0.5), bias=np.array(0.25)))
    assert integers["lif"].op.bias_mantissa > 0 and len(integers.neurons) == 1


@pytest.mark.parametrize("leak", [0.0, 1.0])
def test_a_readout_on_a_lattice_sends_the_potential_itself(leak: float) -> None:
    """In steps of 64 S, one S for all outputs; behind neurons, with a bias, in another shape."""
    rng = np.random.default_rng(5)
    weight = rng.integers(-127, 128, (6, 20)) / 128
    weight[0, 0] = 127 / 128
    hidden = rng.integers(-127, 128, (20, 12)) / 128
    hidden[:, 0] = 127 / 128
    nodes = (
        Node("x", Input((12,))),
        Node("fc", Linear(hidden), ("x",)),
        Node("lif", Lif(np.array(0.0), np.array(1.0), np.array(1.0)), ("fc",)),
        Node("head", Linear(weight, np.array([0.5, -0.25, 0, 0, 0, 1])), ("lif",)),
        Node("li", Li(np.array(leak), np.array(1.0)), ("head",)),
        Node("grid", Output((2, 3)), ("li",)),
        Node("sums", Output((6,)), ("head",)),
    )
    graph = verified(Graph("real", nodes))
    integers = quantised(graph)
    inputs = spikes(graph, 1, steps=20, batch=3)
    real, chip = interpret_real(graph, inputs), interpret_integer(integers, inputs)
    np.testing.assert_array_equal(chip.spikes["lif"], real.spikes["lif"])
    for name, layer in (("grid", "li"), ("sums", "sums_readout")):
        scale = integers[layer].op.scale
        assert scale.shape == () and np.any(real.outputs[name])
        np.testing.assert_array_equal(chip.outputs[name], 64 * scale * real.outputs[name])
