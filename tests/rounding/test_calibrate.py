"""Integers chosen by their spikes: no worse on the data, better on other data, in range, the same again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from avnir import target
from avnir.compile import Compiled, compile_graph, run_passes, to_integers
from avnir.errors import DataError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.latency import slack
from avnir.ir.operation import Array
from avnir.ir.real import Conv2d, Delay, Input, Lif, Linear, Output
from avnir.ir.real_graded import WindowSum
from avnir.passes.merge_synapses import MergeSynapses
from avnir.passes.quantise import Quantise
from avnir.rounding import examples
from avnir.rounding.calibrate import calibrated, delivered
from avnir.rounding.examples import Examples, data_record
from avnir.rounding.layer_run import stepped
from avnir.rounding.moments import bundles
from avnir.rounding.neuron_layer import layer_of
from avnir.rounding.rounded import neurons, rounded_nearest
from avnir.rounding.scales import CURRENT_LIMIT, choose_scales
from avnir.verify.compare import compare
from tests.networks import audio_visual, spikes

LOIHI2 = target.load("loihi2")


def dense(seed: int = 0, **neuron: object) -> Graph:
    """Two layers with weights of no lattice; what comes in is correlated (`correlated`)."""
    rng = np.random.default_rng(seed)
    lif = Lif(**{"beta": np.array(0.9), "threshold": np.array(1.0), "gain": np.array(1.0), **neuron})  # type: ignore[arg-type]
    nodes = (
        Node("x", Input((40,))),
        Node("fc1", Linear(rng.normal(0.02, 0.2, (24, 40))), ("x",)),
        Node("lif1", lif, ("fc1",)),
        Node("fc2", Linear(rng.normal(0.02, 0.3, (10, 24))), ("lif1",)),
        Node("lif2", lif, ("fc2",)),
        Node("out", Output((10,)), ("lif2",)),
    )
    return verified(Graph("real", nodes))


def correlated(seed: int, batch: int = 24, steps: int = 12) -> dict[str, Array]:
    """Spikes of 40 inputs that a few causes drive, `[T, B, 40]`."""
    causes = np.random.default_rng(99).random((4, 40))
    rng = np.random.default_rng(seed)
    rate = (rng.random((batch, 4)) > 0.5) @ causes / 4
    return {"x": (rng.random((steps, batch, 40)) < rate).astype(np.uint8)}


def agreement(graph: Graph, compiled: Compiled, inputs: dict[str, Array]) -> float:
    chip = interpret_integer(compiled.program.graph, inputs)
    return compare(interpret_real(graph, inputs), chip, ("real", "integer")).agreement


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_more_spikes_agree_on_data_that_was_not_used(bits: int) -> None:
    graph, unseen = dense(), correlated(2)
    free = agreement(graph, compile_graph(graph, LOIHI2, bits), unseen)
    better = agreement(graph, compile_graph(graph, LOIHI2, bits, correlated(1)), unseen)
    assert better > free


@pytest.mark.parametrize("seed", range(4))
def test_every_layer_of_a_network_is_at_least_as_good_on_the_data(seed: int) -> None:
    """Layer for layer, given the same arriving spikes, and within every limit."""
    graph = audio_visual(seed)
    merged, _ = run_passes(compile_graph(graph, LOIHI2).nir_graph, (MergeSynapses(),))
    seen = Examples.of(merged, spikes(merged, seed, steps=10))
    for node in merged.neurons:
        layer = layer_of(merged, node, "channel")
        scales = choose_scales(layer, 7)
        wanted = seen.real[node.name]
        alone = dataclasses.replace(seen, arrived=dict(seen.arrived))
        layer, chosen, _ = calibrated(layer, scales, 7, seen)
        assert all(np.abs(weight).max() <= 7 for weight in chosen.weights)
        assert layer.accumulated(chosen.worst_sum(layer)).max() < CURRENT_LIMIT
        unequal = seen.arrived[node.name] != wanted
        nearest = _spikes_of_nearest(merged, node, alone) != wanted
        assert unequal[:, 1::2].sum() <= nearest[:, 1::2].sum(), "every other sample judges"


def _spikes_of_nearest(merged: Graph, node: Node, seen: Examples) -> Array:
    layer = layer_of(merged, node, "channel")
    chosen = rounded_nearest(layer, choose_scales(layer, 7), 7)
    current = delivered(layer, chosen, [seen.arriving(synapse) for synapse in layer.synapses])
    return stepped(neurons(layer, chosen), current.astype(np.int64))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_judged_is_what_the_chip_does(seed: int) -> None:
    """The spikes by which each layer was chosen are those of the whole integer network."""
    graph = audio_visual(seed)
    inputs = spikes(graph, seed, steps=8)
    compiled = compile_graph(graph, LOIHI2, 4, inputs)
    merged, _ = MergeSynapses()(compiled.nir_graph)
    seen = Examples.of(merged, inputs)
    for node in merged.neurons:
        layer = layer_of(merged, node, "channel")
        calibrated(layer, choose_scales(layer, 7), 7, seen)
    trace = interpret_integer(compiled.program.graph, inputs)
    for name, array in trace.spikes.items():
        np.testing.assert_array_equal(seen.arrived[name], array)
    assert not any(slack(compiled.program.graph).values())


def test_weights_that_suit_only_the_samples_they_were_made_for_are_not_chosen() -> None:
    """Few samples of many independent inputs, of which covariances are mostly chance."""
    rng = np.random.default_rng(4)
    nodes = (
        Node("x", Input((600,))),
        Node("fc", Linear(rng.normal(0, 0.08, (32, 600))), ("x",)),
        Node("lif", Lif(np.array(0.9), np.array(1.0), np.array(1.0)), ("fc",)),
        Node("out", Output((32,)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    seen, unseen = ({"x": (rng.random((8, b, 600)) < 0.2).astype(np.uint8)} for b in (20, 100))
    free = agreement(graph, compile_graph(graph, LOIHI2, 4), unseen)
    assert agreement(graph, compile_graph(graph, LOIHI2, 4, seen), unseen) > free - 0.001


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_one_sample_is_enough_to_run(samples: int) -> None:
    graph = dense()
    compiled = compile_graph(graph, LOIHI2, 4, correlated(1, batch=samples))
    assert any(f"calibrated on {samples} samples x 12 steps" in note.text for note in compiled.notes)


def test_the_same_data_gives_the_same_program_and_provenance_says_which() -> None:
    graph, inputs = dense(), correlated(1)
    one, two = (compile_graph(graph, LOIHI2, 4, inputs).program for _ in range(2))
    assert one.digest == two.digest
    used = one.provenance["calibration"]
    assert (used["samples"], used["steps"]) == (24, 12)
    assert used == data_record(inputs)
    assert used["sha256"] != data_record(correlated(2))["sha256"]
    assert "calibration" not in compile_graph(graph, LOIHI2, 4).program.provenance


def test_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="must be"):
        compile_graph(dense(), LOIHI2, 8, {"x": np.zeros((3, 2, 39), np.uint8)})


def test_a_layer_that_rounding_does_not_change_is_left_alone() -> None:
    rng = np.random.default_rng(1)
    weight = rng.integers(-127, 128, (20, 40)) / 127.0
    weight[:, 0] = 1.0
    graph = dense(beta=np.array(0.5))
    nodes = (Node("fc1", Linear(weight), ("x",)) if node.name == "fc1" else node for node in graph)
    integers, notes = run_passes(
        graph.with_nodes(_resized(nodes, weight)), to_integers(LOIHI2, 8, correlated(3))
    )
    np.testing.assert_array_equal(integers["x__lif1"].op.weight, np.rint(127 * weight))
    (said,) = (note.text for note in notes if note.node == "lif1" and "calibrated" in note.text)
    assert said == "not calibrated: rounding changes no weight and no threshold"


def _resized(nodes: object, weight: Array) -> list[Node]:
    """The second layer with as many inputs as the first has rows."""
    second = Linear(np.random.default_rng(5).normal(size=(10, len(weight))))
    return [Node("fc2", second, ("lif1",)) if node.name == "fc2" else node for node in nodes]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("bits", "peak"), [(0, 1), (6, 31)])
def test_graded_inputs_and_synaptic_currents(bits: int, peak: int) -> None:
    rng = np.random.default_rng(2)
    graph = dense(alpha=np.array(0.6))
    nodes = [Node("x", Input((40,), bits)) if node.name == "x" else node for node in graph]
    inputs = {"x": rng.integers(0, peak + 1, (10, 6, 40))}
    compiled = compile_graph(graph.with_nodes(nodes), LOIHI2, 4, inputs)
    assert not compiled.program.graph["lif1"].op.bias_mantissa.any(), "a bias would skip the current"
    free = agreement(graph.with_nodes(nodes), compile_graph(graph.with_nodes(nodes), LOIHI2, 4), inputs)
    assert agreement(graph.with_nodes(nodes), compiled, inputs) > free


def test_a_recurrent_layer_is_calibrated_with_its_spikes_in_the_model() -> None:
    rng = np.random.default_rng(3)
    nodes = (
        Node("x", Input((40,))),
        Node("back", Delay((16,), 1), ("lif",)),
        Node("fc", Linear(rng.normal(0.02, 0.2, (16, 40))), ("x",)),
        Node("loop", Linear(rng.normal(0, 0.2, (16, 16))), ("back",)),
        Node("lif", Lif(np.array(0.9), np.array(1.0), np.array(1.0)), ("fc", "loop")),
        Node("out", Output((16,)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    compiled = compile_graph(graph, LOIHI2, 3, correlated(1))
    assert any("lif is chosen later" in note.text for note in compiled.notes)
    unseen = correlated(2)
    assert agreement(graph, compiled, unseen) > agreement(graph, compile_graph(graph, LOIHI2, 3), unseen)


def test_too_long_rows_are_rounded_without_feedback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avnir.rounding.moments.MAX_INPUTS", 30)
    monkeypatch.setattr("avnir.rounding.calibrate.MAX_INPUTS", 30)
    notes = compile_graph(dense(), LOIHI2, 4, correlated(1)).notes
    assert [n.node for n in notes if "no feedback between them" in n.text] == ["lif1"]


def test_synapses_share_a_covariance_only_as_far_as_it_may_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    nodes = (
        Node("x", Input((4, 6, 6))),
        Node("y", Input((2, 6, 6))),
        Node("a", Conv2d(rng.normal(size=(8, 2, 3, 3)), groups=2), ("x",)),
        Node("b", Conv2d(rng.normal(size=(8, 1, 3, 3)), groups=2), ("y",)),
        Node("c", Conv2d(rng.normal(size=(8, 4, 3, 3))), ("x",)),
        Node("lif", Lif(np.array(0.9), np.array(1.0), np.array(1.0)), ("a", "b", "c")),
        Node("out", Output((8, 4, 4)), ("lif",)),
    )
    merged, _ = MergeSynapses()(verified(Graph("real", nodes)))
    layer = layer_of(merged, merged["lif"], "channel")
    arriving = [spikes(merged, 1)[synapse.source] for synapse in layer.synapses]
    made = bundles(layer, [0, 0, 0], arriving)
    assert sorted(bundle.members for bundle in made) == [(0, 1), (2,)]
    assert [len(bundle.feedback) for bundle in made] == [2, 1]
    assert made[0].feedback[0].factor.shape == (27, 27)
    monkeypatch.setattr("avnir.rounding.moments.MAX_INPUTS", 20)
    assert [bundle.members for bundle in bundles(layer, [0, 0, 0], arriving)] == [(0,), (1,)]


def test_the_budget_takes_samples_from_everywhere_and_one_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    merged, _ = MergeSynapses()(dense())
    inputs = correlated(1)
    monkeypatch.setattr(examples, "MAX_SLOTS", 34 * 12 * 3 + 5)
    seen = Examples.of(merged, inputs)
    np.testing.assert_array_equal(seen.real["x"], inputs["x"][:, [0, 11, 23]])
    assert seen.extent == (12, 3)
    monkeypatch.setattr(examples, "MAX_SLOTS", 34 * 5)
    assert Examples.of(merged, inputs).extent == (5, 1)


def test_a_sum_over_the_window_keeps_all_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = ([*dense()][start : start + 3] for start in (0, 3))
    summed = dataclasses.replace(second[0], inputs=("counts",))
    counted = [Node("counts", WindowSum(steps=12), ("lif1",)), summed]
    graph = verified(Graph("real", (*first, *counted, *second[1:])))
    monkeypatch.setattr(examples, "MAX_SLOTS", 34 * 5)
    steps, samples = examples.within_budget(graph, correlated(1))
    assert (range(12)[steps], samples.tolist()) == (range(12), [0])


def test_a_granularity_of_layers_is_calibrated_too() -> None:
    merged, _ = MergeSynapses()(dense())
    inputs = correlated(1)
    integers, _ = Quantise(4, "layer", inputs)(merged)
    assert integers["lif1"].op.scale.ndim == 0
