"""The passes of the real level change no spike."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.errors import GraphError, UnsupportedError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_real import interpret_real
from avnir.ir.real import AvgPool2d, BatchNorm, Conv2d, Flatten, Input, Li, Lif, Linear, MaxPool2d, Output
from avnir.passes.fold_batchnorm import FoldBatchNorm
from avnir.passes.fold_gain import FoldGain
from avnir.passes.lower_maxpool import LowerMaxPool
from avnir.passes.merge_synapses import MergeSynapses
from avnir.verify.compare import compare
from tests.networks import audio_visual, batch_norm, lif, spikes

PIPELINE = (FoldBatchNorm(), LowerMaxPool(), FoldGain(), MergeSynapses())


@pytest.mark.parametrize("seed", range(12))
def test_every_pass_keeps_every_spike(seed: int) -> None:
    graph = audio_visual(seed)
    inputs = spikes(graph, seed)
    before = interpret_real(graph, inputs)
    assert all(0 < s.mean() < 1 for s in before.spikes.values()), "the test needs layers that spike"
    for step in PIPELINE:
        graph, _ = step(graph)
        comparison = compare(before, interpret_real(graph, inputs), ("before", step.name))
        assert comparison.identical, f"{step.name}: {comparison.divergence}"


def test_the_result_has_one_synapse_per_path() -> None:
    graph = audio_visual(0)
    for step in PIPELINE:
        graph, _ = step(graph)
    kinds = {node.op.kind for node in graph}
    assert kinds <= {"Input", "Conv2d", "Linear", "Flatten", "Lif", "Output"}
    assert all(node.op.bias is None for node in graph if node.op.kind in ("Conv2d", "Linear"))
    assert {n.name for n in graph.neurons} == {"lif1", "lif2", "lif3", "pool", "lif4", "fused", "lif_out"}
    assert len(graph["fused"].inputs) == 4, "three paths of the image branch and one of the audio branch"


def test_batch_norm_folds_into_the_weights_before_it() -> None:
    rng = np.random.default_rng(3)
    norm = batch_norm(rng, 2)
    graph = _chain(
        Node("fc", Linear(rng.normal(size=(2, 3)), rng.normal(size=2)), ("x",)), Node("bn", norm, ("fc",))
    )
    folded, notes = FoldBatchNorm()(graph)
    scale = norm.weight / np.sqrt(norm.variance + norm.eps)
    fc = graph["fc"].op
    np.testing.assert_allclose(folded["fc"].op.weight, fc.weight * scale[:, None], rtol=1e-15)
    np.testing.assert_allclose(
        folded["fc"].op.bias, (fc.bias - norm.mean) * scale + norm.bias, rtol=1e-12, atol=1e-15
    )
    assert "bn" not in folded.by_name
    assert [str(n) for n in notes] == ["fold_batchnorm: bn: folded into fc"]


def test_batch_norm_after_a_sum_becomes_a_convolution() -> None:
    rng = np.random.default_rng(4)
    nodes = (
        Node("x", Input((2, 4, 4))),
        Node("a", Conv2d(rng.normal(size=(2, 2, 1, 1))), ("x",)),
        Node("b", Conv2d(rng.normal(size=(2, 2, 1, 1))), ("x",)),
        Node("bn", batch_norm(rng, 2), ("a", "b")),
        Node("lif", lif(rng), ("bn",)),
        Node("out", Output((2, 4, 4)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    folded, _ = FoldBatchNorm()(graph)
    assert folded["bn"].op.kind == "Conv2d"
    inputs = spikes(graph, 1)
    before, after = interpret_real(graph, inputs), interpret_real(folded, inputs)
    assert compare(before, after, ("before", "after")).identical


def test_max_pooling_of_anything_but_spikes_is_refused_with_every_place() -> None:
    rng = np.random.default_rng(5)
    nodes = (
        Node("x", Input((2, 4, 4))),
        Node("conv", Conv2d(rng.normal(size=(2, 2, 1, 1))), ("x",)),
        Node("first", MaxPool2d((2, 2), (2, 2)), ("conv",), "net.pool1 (net.py:7)"),
        Node("lif", lif(rng), ("first",)),
        Node("other", lif(rng), ("first",)),
        Node("second", MaxPool2d((2, 2), (2, 2)), ("lif", "other"), "net.pool2 (net.py:9)"),
        Node("last", lif(rng), ("second",)),
        Node("out", Output((2, 1, 1)), ("last",)),
    )
    with pytest.raises(UnsupportedError) as caught:
        LowerMaxPool()(verified(Graph("real", nodes)))
    assert [f.place for f in caught.value.findings] == ["net.pool1 (net.py:7)", "net.pool2 (net.py:9)"]
    assert "lif (Lif) + other (Lif)" in str(caught.value)


def test_max_pooling_of_binary_inputs_is_or() -> None:
    rng = np.random.default_rng(6)
    nodes = (
        Node("x", Input((2, 5, 5))),
        Node("pool", MaxPool2d((3, 3), (2, 2), (1, 1)), ("x",)),
        Node("lif", lif(rng), ("pool",)),
        Node("out", Output((2, 3, 3)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    inputs = spikes(graph, 2, rate=0.1)
    lowered, _ = LowerMaxPool()(graph)
    pooled = interpret_real(lowered, inputs).spikes["pool"]
    for i in range(3):
        for j in range(3):
            window = inputs["x"][..., max(2 * i - 1, 0) : 2 * i + 2, max(2 * j - 1, 0) : 2 * j + 2]
            np.testing.assert_array_equal(pooled[..., i, j], window.max(axis=(-2, -1)))


def test_an_output_that_is_no_spike_is_read_out() -> None:
    graph = verified(
        Graph(
            "real",
            (
                Node("x", Input((3,))),
                Node("fc", Linear(np.ones((2, 3)), np.array([1.0, 2.0])), ("x",)),
                Node("out", Output((2,)), ("fc",)),
            ),
        )
    )
    merged, _ = MergeSynapses()(graph)
    assert merged["out"].inputs == ("out_readout",)
    assert merged["out_readout"].op == Li(np.array(0.0), np.array(1.0), bias=np.array([1.0, 2.0]))


def test_a_bias_before_padding_becomes_one_value_a_neuron() -> None:
    rng = np.random.default_rng(7)
    nodes = (
        Node("x", Input((1, 4, 4))),
        Node("first", Conv2d(rng.normal(size=(2, 1, 1, 1)), np.array([0.5, -0.3])), ("x",)),
        Node("second", Conv2d(rng.normal(size=(1, 2, 3, 3)), None, padding=(1, 1)), ("first",)),
        Node("lif", lif(rng), ("second",)),
        Node("out", Output((1, 4, 4)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    merged, _ = MergeSynapses()(graph)
    bias = merged["lif"].op.bias
    assert bias.shape == (1, 4, 4)
    assert bias[0, 0, 0] != bias[0, 1, 1], "a corner sees less of the padded bias"
    inputs = spikes(graph, 3, steps=50)
    assert compare(interpret_real(graph, inputs), interpret_real(merged, inputs), ("a", "b")).identical


@pytest.mark.parametrize("size", [6, 7])
def test_average_pooling_folds_into_a_padded_convolution_only_where_exact(size: int) -> None:
    rng = np.random.default_rng(8)
    half = size // 2
    nodes = (
        Node("x", Input((2, size, size))),
        Node("pool", AvgPool2d((2, 2), (2, 2)), ("x",)),
        Node("conv", Conv2d(rng.normal(size=(3, 2, 3, 3)), None, padding=(1, 1)), ("pool",)),
        Node("lif", lif(rng), ("conv",)),
        Node("out", Output((3, half, half)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    merged, _ = MergeSynapses()(graph)
    assert merged["x__lif"].op.kind == ("Conv2d" if size == 6 else "Linear")
    inputs = spikes(graph, 4, steps=50)
    assert compare(interpret_real(graph, inputs), interpret_real(merged, inputs), ("a", "b")).identical


def test_a_matrix_that_is_too_large_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avnir.passes.synapse_algebra.MAX_MATRIX", 100)
    rng = np.random.default_rng(9)
    nodes = (
        Node("x", Input((2, 7, 7))),
        Node("pool", AvgPool2d((2, 2), (2, 2)), ("x",)),
        Node("conv", Conv2d(rng.normal(size=(3, 2, 3, 3)), None, padding=(1, 1)), ("pool",)),
        Node("lif", lif(rng), ("conv",), "net.lif (net.py:3)"),
        Node("out", Output((3, 3, 3)), ("lif",)),
    )
    with pytest.raises(UnsupportedError, match=r"net\.lif \(net\.py:3\).*more than 100 entries"):
        MergeSynapses()(verified(Graph("real", nodes)))


def test_passes_leave_their_input_alone() -> None:
    graph = audio_visual(1)
    before = [(n.name, n.op.text(), n.inputs) for n in graph]
    for step in (FoldBatchNorm(), LowerMaxPool()):
        step(graph)
    assert [(n.name, n.op.text(), n.inputs) for n in graph] == before
    with pytest.raises(ValueError, match="read-only"):
        graph["conv1"].op.weight[0] = 0


def test_batch_norm_of_an_unfit_shape_is_refused() -> None:
    ones = np.ones(3)
    with pytest.raises(GraphError, match="BatchNorm takes 3 channels"):
        _chain(
            Node("bn", BatchNorm(ones, ones, ones, ones), ("x",)), Node("f", Flatten((2,)), ("bn",)), size=2
        )


def _chain(*middle: Node, size: int = 3) -> Graph:
    last = middle[-1].name
    neuron = Lif(np.array(0.9), np.array(1.0), np.array(1.0))
    nodes = (
        Node("x", Input((size,))),
        *middle,
        Node("lif", neuron, (last,)),
        Node("out", Output((2,)), ("lif",)),
    )
    return verified(Graph("real", nodes))
