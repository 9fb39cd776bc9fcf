"""What we write, we and `nir` read back: the same graph, the same values, the same bytes."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.errors import InterchangeError
from avnir.export.nir_conv import square_form
from avnir.export.nir_read import read_nir
from avnir.export.nir_schema import Form
from avnir.export.nir_write import write_nir
from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_real import interpret_real
from avnir.passes.fold_gain import FoldGain
from tests.export.nir_cases import (
    CASES,
    REFORMED,
    audio_visual,
    chain,
    convolutions,
    current,
    integrators,
    recurrent,
    sequences,
)
from tests.random_graphs import LOOPED_LAYERS, inputs_for, real_graph

FORMS: tuple[Form, ...] = ("standard", "strict")
EVERY = {**CASES, **REFORMED}


def in_strict_form(graph: Graph) -> Graph:
    """The graph with the reset that the strict form refuses replaced by another."""
    return graph.with_nodes(
        dataclasses.replace(node, op=node.op.replace(reset="subtract"))
        if isinstance(node.op, real.Lif) and node.op.reset == "zero_next"
        else node
        for node in graph
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", EVERY)
def test_reads_back_equal(case: str, form: Form, tmp_path: Path) -> None:
    graph = EVERY[case]()
    if form == "strict":
        graph = in_strict_form(graph)
    write_nir(graph, tmp_path / "g.nir", form=form)
    again = read_nir(tmp_path / "g.nir")
    assert again == graph
    assert [node.source for node in again] == [node.source for node in graph]


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(FORMS))
def test_random_graphs_read_back_equal(random: Random, form: Form) -> None:
    graph, _ = FoldGain()(real_graph(random, LOOPED_LAYERS))
    if form == "strict":
        graph = in_strict_form(graph)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.nir"
        write_nir(graph, path, form=form)
        assert read_nir(path) == graph
        nir.write(path, nir.read(path))
        assert read_nir(path) == graph


@pytest.mark.parametrize("case", CASES)
def test_nir_reads_the_same_nodes_edges_and_values(case: str, tmp_path: Path) -> None:
    graph = CASES[case]()
    write_nir(graph, tmp_path / "g.nir")
    read = nir.read(tmp_path / "g.nir")
    assert set(read.nodes) == {node.name for node in graph}
    assert read.edges == [(feeder, node.name) for node in graph for feeder in node.inputs]
    for node in graph:
        there = read.nodes[node.name]
        shape = graph.shapes[node.name]
        if node.op.kind not in ("Output",):
            np.testing.assert_array_equal(there.output_type["output"], shape, err_msg=node.name)
        if isinstance(node.op, real.Lif):
            check_neuron(there, node.op, shape, graph.dt)
        if isinstance(node.op, real.Linear | real.Conv2d):
            assert there.weight.dtype == node.op.weight.dtype
            np.testing.assert_array_equal(
                np.sort(there.weight[there.weight != 0]), np.sort(node.op.weight[node.op.weight != 0])
            )


def check_neuron(there: nir.NIRNode, op: real.Lif, shape: tuple[int, ...], dt: float) -> None:
    kind = "CubaLIF" if op.alpha is not None else "IF" if np.all(op.beta == 1) else "LIF"
    assert type(there).__name__ == kind
    own = {"IF": (), "LIF": ("tau", "v_leak"), "CubaLIF": ("tau_syn", "tau_mem", "w_in", "v_leak")}[kind]
    for name in ("r", "v_threshold", "v_reset", *own):
        assert getattr(there, name).shape == shape
        assert getattr(there, name).dtype == np.float64
    assert np.all(there.v_reset == 0)
    np.testing.assert_array_equal(there.v_threshold, np.broadcast_to(op.threshold, shape))
    if kind == "LIF":
        np.testing.assert_array_equal(there.tau, np.broadcast_to(dt / (1 - op.beta), shape))
    if op.alpha is None:
        assert np.all(there.r == 1)
        return
    np.testing.assert_array_equal(there.tau_mem, np.broadcast_to(dt / (1 - op.beta), shape))
    np.testing.assert_array_equal(there.tau_syn, np.broadcast_to(dt / (1 - op.alpha), shape))
    np.testing.assert_array_equal(there.r, there.tau_mem / dt)
    np.testing.assert_array_equal(there.w_in, there.tau_syn / dt)


def test_metadata_survives_nir_and_comes_back(tmp_path: Path) -> None:
    for case, make in EVERY.items():
        graph = make()
        write_nir(graph, tmp_path / f"{case}.nir", {"version": "1", "seeds": [1, 2]})
        read = nir.read(tmp_path / f"{case}.nir")
        assert json.loads(read.metadata["avnir"])["metadata"] == {"seeds": [1, 2], "version": "1"}
        nir.write(tmp_path / "again.nir", read)
        assert read_nir(tmp_path / "again.nir") == graph


def test_bytes_are_the_same_at_another_time_and_under_another_hash_seed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\nfrom tests.export.nir_cases import CASES\n"
        "from avnir.export.nir_write import write_nir\n"
        "for name, make in CASES.items():\n"
        "    write_nir(make(), Path(sys.argv[1]) / f'{name}.nir', {'b': 1, 'a': {'d': 2, 'c': 3}})\n"
    )
    folders = [tmp_path / seed for seed in ("1", "2")]
    for folder in folders:
        environment = {**os.environ, "PYTHONHASHSEED": folder.name}
        here = str(Path(__file__).parents[2])
        subprocess.run([sys.executable, "-c", code, str(folder), here], env=environment, check=True)
        time.sleep(1.1)
    for case in CASES:
        first, second = ((folder / f"{case}.nir").read_bytes() for folder in folders)
        assert first == second


def without_metadata(path: Path) -> None:
    graph = nir.read(path)
    graph.metadata = {}
    for node in graph.nodes.values():
        node.metadata = {}
    nir.write(path, graph)


def test_without_our_metadata_resets_are_hard_and_inputs_binary(tmp_path: Path) -> None:
    write_nir(chain("subtract"), tmp_path / "g.nir")
    without_metadata(tmp_path / "g.nir")
    with pytest.raises(InterchangeError, match="how long a time step is; give it in seconds \\(--dt\\)"):
        read_nir(tmp_path / "g.nir")
    graph = read_nir(tmp_path / "g.nir", dt=1e-3)
    assert {node.op.reset for node in graph.select(lambda op: op.stateful)} == {"zero"}  # type: ignore[attr-defined]
    assert [node.op.message_bits for node in graph.inputs] == [0]  # type: ignore[attr-defined]
    inputs = inputs_for(graph, steps=40)
    ours, theirs = (interpret_real(g, inputs) for g in (chain("zero"), graph))
    for name, spikes in ours.spikes.items():
        assert spikes.any()
        np.testing.assert_array_equal(theirs.spikes[name], spikes)


def test_foreign_reader_of_our_convolutions_computes_the_same(tmp_path: Path) -> None:
    """Without metadata the square, ungrouped form stands in the graph, and gives the same spikes."""
    graph = convolutions()
    hard = graph.with_nodes(
        type(n)(n.name, n.op.replace(reset="zero") if n.op.kind == "Lif" else n.op, n.inputs) for n in graph
    )
    write_nir(hard, tmp_path / "g.nir")
    without_metadata(tmp_path / "g.nir")
    plain = read_nir(tmp_path / "g.nir", dt=graph.dt)
    assert plain["grouped"].op.groups == 1  # type: ignore[attr-defined]
    inputs = inputs_for(graph, steps=10)
    ours, theirs = (interpret_real(g, inputs) for g in (hard, plain))
    for name, spikes in ours.spikes.items():
        assert spikes.any()
        np.testing.assert_array_equal(theirs.spikes[name], spikes, err_msg=name)


def test_square_form_leaves_square_kernels_alone_and_says_where_there_is_none() -> None:
    square = real.Conv2d(np.ones((2, 2, 3, 3)))
    assert square_form(square, (2, 5, 5)) is square
    assert square_form(real.Conv2d(np.ones((2, 2, 2, 3))), (2, 6, 6)) is None
    roomy = real.Conv2d(np.ones((2, 2, 2, 3)), stride=(2, 1))
    form = square_form(roomy, (2, 6, 6))
    assert form is not None
    assert form.weight.shape == (2, 2, 3, 3)
    x = np.random.default_rng(0).normal(size=(1, 2, 6, 6))
    np.testing.assert_array_equal(form.step(x, {}), roomy.step(x, {}))


def test_dt_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    write_nir(audio_visual(), tmp_path / "g.nir")
    assert isinstance(read_nir(tmp_path / "g.nir", dt=1e-4), Graph)
    with pytest.raises(InterchangeError, match=r"its time step is 0.0001 s, not 0.001 s"):
        read_nir(tmp_path / "g.nir", dt=1e-3)


def test_a_loop_of_one_layer_is_written_without_its_delay(tmp_path: Path) -> None:
    """As other frameworks write it; two layers, or two steps, keep NIR's Delay. Strict keeps them all."""
    graph = recurrent("zero")
    write_nir(graph, tmp_path / "g.nir")
    read = nir.read(tmp_path / "g.nir")
    assert {name for name, node in read.nodes.items() if isinstance(node, nir.Delay)} == {"back", "long"}
    assert {("lif1", "again1"), ("again1", "lif1"), ("lif2", "lif2_gain")} <= set(read.edges)
    np.testing.assert_array_equal(read.nodes["long"].delay, np.full(4, 2e-3))
    write_nir(graph, tmp_path / "g.nir", form="strict")
    delays = {n for n, node in nir.read(tmp_path / "g.nir").nodes.items() if isinstance(node, nir.Delay)}
    assert delays == {"before1", "before2", "back", "long"}


def test_of_two_delays_of_one_edge_one_is_written(tmp_path: Path) -> None:
    """Left out both, they would be one edge, and the spikes would count once."""
    neuron = real.Lif(np.array(0.5), np.array(1.2), np.array(0.5))
    nodes = (
        Node("x", real.Input((3,))),
        Node("first", real.Delay((3,)), ("lif",)),
        Node("second", real.Delay((3,)), ("lif",)),
        Node("lif", neuron, ("x", "first", "second")),
        Node("out", real.Output((3,)), ("lif",)),
    )
    graph = verified(Graph("real", nodes))
    write_nir(graph, tmp_path / "g.nir")
    assert set(nir.read(tmp_path / "g.nir").nodes) == {"x", "second", "lif", "out"}
    assert read_nir(tmp_path / "g.nir") == graph


@pytest.mark.parametrize("form", FORMS)
def test_a_foreign_reader_of_our_loops_computes_the_same(form: Form, tmp_path: Path) -> None:
    graph = recurrent("zero")
    write_nir(graph, tmp_path / "g.nir", form=form)
    without_metadata(tmp_path / "g.nir")
    assert_same_spikes(graph, read_nir(tmp_path / "g.nir", dt=graph.dt), steps=100)


def assert_same_spikes(graph: Graph, other: Graph, steps: int) -> None:
    inputs = inputs_for(graph, steps=steps, batch=8)
    ours, theirs = (interpret_real(g, inputs) for g in (graph, other))
    for name, spikes in ours.spikes.items():
        assert 0 < spikes.mean() < 1, name
        np.testing.assert_array_equal(theirs.spikes[name].reshape(spikes.shape), spikes, err_msg=name)


@pytest.mark.parametrize("reset", [reset for reset in real.RESETS if reset != "zero_next"])
@pytest.mark.parametrize("make", [chain, current, recurrent])
def test_the_strict_form_says_every_reset_without_metadata(
    make: Callable[[str], Graph], reset: str, tmp_path: Path
) -> None:
    graph = make(reset)
    write_nir(graph, tmp_path / "g.nir", form="strict")
    without_metadata(tmp_path / "g.nir")
    plain = read_nir(tmp_path / "g.nir", dt=graph.dt)
    assert {node.op.reset for node in plain if isinstance(node.op, real.Lif)} <= {"zero"}
    assert_same_spikes(graph, plain, steps=200)


def test_a_foreign_reader_of_our_sequences_computes_the_same(tmp_path: Path) -> None:
    graph = sequences()
    write_nir(graph, tmp_path / "g.nir", form="strict")
    kinds = {name: type(node).__name__ for name, node in nir.read(tmp_path / "g.nir").nodes.items()}
    assert {name for name, kind in kinds.items() if kind == "Conv1d"} == {"conv1", "conv2", "mean", "sums"}
    without_metadata(tmp_path / "g.nir")
    assert_same_spikes(graph, read_nir(tmp_path / "g.nir", dt=graph.dt), steps=20)


def test_an_alpha_neuron_without_reset_is_two_integrators(tmp_path: Path) -> None:
    write_nir(integrators(), tmp_path / "g.nir")
    kinds = {name: type(node).__name__ for name, node in nir.read(tmp_path / "g.nir").nodes.items()}
    assert {name: kinds[name] for name in ("alpha_excited", "alpha_inhibited", "alpha", "whole", "both")} == {
        "alpha_excited": "LI",
        "alpha_inhibited": "LI",
        "alpha": "Threshold",
        "whole": "I",
        "both": "CubaLI",
    }
    without_metadata(tmp_path / "g.nir")
    graph = integrators()
    inputs = inputs_for(graph, steps=100)
    ours, theirs = (interpret_real(g, inputs) for g in (graph, read_nir(tmp_path / "g.nir", dt=graph.dt)))
    assert ours.spikes["alpha"].any()
    np.testing.assert_array_equal(theirs.spikes["alpha"], ours.spikes["alpha"])
    np.testing.assert_allclose(theirs.outputs["out"], ours.outputs["out"], rtol=1e-9)
