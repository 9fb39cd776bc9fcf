"""The exported step in ONNX Runtime gives the graph's spikes; nothing of ours computes them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest

from avnir.errors import DataError, UnsupportedError
from avnir.export.onnx_run import onnx_trace
from avnir.export.onnx_write import onnx_bytes, write_onnx
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_real import interpret_real
from avnir.ir.real import RESETS, Delay, Input, Li, Lif, Linear, Output, RealOperation, SumPool2d
from avnir.verify.compare import compare
from avnir.verify.ties import tie_samples
from tests.networks import audio_visual, spikes


def assert_same(graph: Graph, seed: int, steps: int) -> None:
    """Every spike equal, but in samples in which float32's rounding provably decides one."""
    inputs = spikes(graph, seed, steps=steps, batch=8)
    ours, theirs = interpret_real(graph, inputs), onnx_trace(graph, inputs)
    assert all(0 < s.mean() < 1 for s in ours.spikes.values())
    ties = tie_samples(graph, inputs, theirs, ours)
    assert len(ties) <= 1
    clear = [sample for sample in range(8) if sample not in ties]
    found = compare(ours.samples(clear), theirs.samples(clear), ("graph", "onnxruntime"))
    assert found.identical, found.divergence


@pytest.mark.parametrize("reset", RESETS)
def test_every_reset(reset: str) -> None:
    assert_same(audio_visual(0, reset), seed=1, steps=200)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed: int) -> None:
    assert_same(audio_visual(seed), seed, steps=60)


def test_sum_pooling_gain_and_bias() -> None:
    rng = np.random.default_rng(0)
    neuron = Lif(np.array(0.5), np.array(1.0), np.array(0.25), "zero", bias=rng.normal(size=(2, 3, 3)) * 0.2)
    nodes = (
        Node("x", Input((2, 6, 6))),
        Node("sum", SumPool2d(), ("x",)),
        Node("lif", neuron, ("sum",)),
        Node("out", Output((18,)), ("lif",)),
    )
    assert_same(verified(Graph("real", nodes)), seed=2, steps=50)


@pytest.mark.parametrize("reset", RESETS)
def test_synaptic_current(reset: str) -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(12, 10)) / 4
    neuron = Lif(np.array(0.75), np.array(1.0), np.array(1.0), reset, alpha=np.array(0.6))
    nodes = (
        Node("x", Input((10,))),
        Node("fc", Linear(weight), ("x",)),
        Node("lif", neuron, ("fc",)),
        Node("out", Output((12,)), ("lif",)),
    )
    assert_same(verified(Graph("real", nodes)), seed=4, steps=100)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_delay_is_a_state_for_each_of_its_steps(steps: int) -> None:
    rng = np.random.default_rng(steps)
    neuron = Lif(np.array(0.75), np.array(1.0), np.array(1.0), "zero_next")
    nodes = (
        Node("x", Input((10,))),
        Node("fc", Linear(rng.normal(size=(12, 10)) / 2), ("x",)),
        Node("back", Delay((12,), steps), ("lif",)),
        Node("rec", Linear(rng.normal(size=(12, 12)) / 4), ("back",)),
        Node("lif", neuron, ("fc", "rec")),
        Node("li", Li(np.array(0.9), np.array(0.5), np.array(0.3)), ("lif",)),
        Node("out", Output((12,)), ("li",)),
    )
    graph = verified(Graph("real", nodes))
    made = {value.name for value in onnx.load_model_from_string(onnx_bytes(graph)).graph.output}
    delays = {f"back_{index}_next" for index in range(1, steps + 1)}
    assert made == {"lif", "lif_v_next", "li_v_next", "li_i_next", "out", *delays}
    inputs = spikes(graph, steps, steps=100, batch=8)
    ours, theirs = interpret_real(graph, inputs), onnx_trace(graph, inputs)
    assert 0 < ours.spikes["lif"].mean() < 1
    np.testing.assert_array_equal(theirs.spikes["lif"], ours.spikes["lif"])


def test_the_caller_keeps_the_states(tmp_path: Path) -> None:
    graph = audio_visual(0)
    write_onnx(graph, tmp_path / "step.onnx")
    model = onnx.load(tmp_path / "step.onnx")
    given = [value.name for value in model.graph.input]
    made = [value.name for value in model.graph.output]
    layers = ["lif1", "lif2", "lif3", "lif4", "fused", "lif_out"]
    assert given[:2] == ["image", "audio"]
    assert set(given[2:]) == {f"{layer}_v" for layer in layers}
    assert set(made) == {*layers, *(f"{layer}_v_next" for layer in layers), "output", "hidden"}


def test_same_graph_same_bytes_under_any_hash_seed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.networks import audio_visual\n"
        "from avnir.export.onnx_write import write_onnx\n"
        "write_onnx(audio_visual(0), Path(sys.argv[1]))"
    )
    root = str(Path(__file__).parent.parent.parent)
    for seed in ("0", "99"):
        environment = {"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": root}
        command = [sys.executable, "-c", code, str(tmp_path / seed)]
        subprocess.run(command, check=True, env=environment, timeout=120)
    assert (tmp_path / "0").read_bytes() == (tmp_path / "99").read_bytes() == onnx_bytes(audio_visual(0))


@dataclass(frozen=True, eq=False)
class Novel(RealOperation):
    """An operation that the writer has never heard of."""

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


def test_what_has_no_form_is_refused_by_name(tmp_path: Path) -> None:
    nodes = (
        Node("x", Input((2,))),
        Node("a", Novel(), ("x",)),
        Node("b", Novel(), ("a",)),
        Node("out", Output((2,)), ("b",)),
    )
    with pytest.raises(UnsupportedError) as caught:
        write_onnx(verified(Graph("real", nodes)), tmp_path / "step.onnx")
    assert [finding.place for finding in caught.value.findings] == ["a", "b"]
    assert not list(tmp_path.iterdir())


def test_inputs_are_checked() -> None:
    graph = audio_visual(0)
    with pytest.raises(DataError, match="'audio' is missing"):
        onnx_trace(graph, {"image": spikes(graph, 0)["image"]})
