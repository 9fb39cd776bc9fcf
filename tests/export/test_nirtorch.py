"""nirtorch parses the file and sees the same network; names of nodes never reach the code it generates."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from avnir.cli import main
from avnir.errors import BackendError, DataError, GraphError, InterchangeError, UnsupportedError
from avnir.export.nir_read import read_nir
from avnir.export.nir_write import write_nir
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_real import interpret_real
from avnir.ir.real import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Output,
    RealOperation,
    Scale,
    SumPool2d,
    Threshold,
)
from avnir.verify.compare import compare
from tests.export.nir_cases import CASES, rand
from tests.export.reader_cases import chain_of, lif, random_network, trains

torch = pytest.importorskip("torch")
nirtorch = pytest.importorskip("nirtorch")
nirtorch_run = pytest.importorskip("avnir.export.nirtorch_run")
readers = pytest.importorskip("avnir.export.nir_readers")


def assert_same(graph: Graph, seed: int) -> None:
    """Every spike of every layer over 200 steps of 8 samples, and the output's shape; both spike."""
    inputs = trains(graph, seed)
    ours, theirs = interpret_real(graph, inputs), nirtorch_run.nirtorch_trace(graph, inputs)
    assert 0 < sum(train.mean() for train in ours.spikes.values()) < len(ours.spikes)
    assert theirs.spikes.keys() == ours.spikes.keys()
    found = compare(theirs, ours, ("nirtorch", "graph"))
    assert found.identical, found.divergence


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed: int, hard: bool) -> None:
    assert_same(random_network(seed, hard), seed)


@pytest.mark.parametrize(
    "name",
    ["convolutions", *(f"{kind}_{reset}" for kind in ("chain", "current") for reset in nirtorch_run.RESETS)],
)
def test_every_layer_and_every_reset_of_the_nir_cases(name: str) -> None:
    assert_same(CASES[name](), 5)


def test_what_the_pipeline_lowers() -> None:
    norm = BatchNorm(rand(1, 4), np.abs(rand(2, 4)) + 0.5, rand(3, 4), rand(4, 4))
    conv = Conv2d(rand(5, 4, 1, 3, 3), None, (1, 1), (1, 1), groups=2)
    graph = chain_of(
        (2, 6, 6),
        conv,
        norm,
        lif(0.8),
        MaxPool2d((3, 3), (2, 2), (1, 1)),
        Scale(rand(6, 4, 1, 1)),
        AvgPool2d((2, 2), (1, 1), (1, 1)),
        lif(1.0, 3.0, "subtract"),
        SumPool2d((2, 2), (2, 2), (1, 0)),
        Threshold(np.array(1.5)),
        Flatten((4 * 3 * 2,)),
        Linear(rand(6, 5, 24)),
        lif(0.7, reset="subtract_delayed"),
    )
    assert_same(graph, 1)


def diamond() -> Graph:
    """Two branches of different depth, and three layers into one."""
    nodes = (
        Node("x", Input((6,))),
        Node("a", Linear(rand(1, 4, 6)), ("x",)),
        Node("b", Linear(rand(2, 4, 6)), ("x",)),
        Node("lif", lif(), ("a", "b")),
        Node("c", Linear(rand(3, 4, 4)), ("lif",)),
        Node("last", lif(0.7), ("c", "a", "b")),
        Node("out", Output((2, 2)), ("last",)),
    )
    return verified(Graph("real", nodes))


def test_branches_that_meet() -> None:
    assert_same(diamond(), 2)


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_under_any_hash_seed(seed: str) -> None:
    """nirtorch walks through sets of names."""
    code = "from tests.export.test_nirtorch import assert_same, diamond; assert_same(diamond(), 3)"
    root = Path(__file__).parent.parent.parent
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)


def refusals(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Place and problem of every finding, each with a remedy; nirtorch saw nothing of the network."""
    monkeypatch.setattr(nirtorch, "nir_to_torch", never)
    with pytest.raises(UnsupportedError) as caught:
        nirtorch_run.nirtorch_trace(graph, trains(graph, 0, 1, 1))
    assert all(finding.remedy for finding in caught.value.findings)
    return [(finding.place, finding.problem) for finding in caught.value.findings]


def never(*arguments: object, **options: object) -> None:
    pytest.fail("nirtorch was given the network")


class Novel(RealOperation):
    """An operation that the rules have never heard of."""

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


def test_every_finding_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = (
        Node("x", Input((3,))),
        Node("y", Input((3,))),
        Node("a", Linear(rand(1, 3, 3)), ("x",), "net.py:7"),
        Node("novel", Novel(), ("y",), "net.py:8"),
        Node("idle", Linear(rand(2, 3, 3)), ("a",)),
        Node("lif", lif(), ("a", "novel")),
        Node("out", Output((3,)), ("lif", "a")),
        Node("again", Output((3,)), ("lif",)),
    )
    problems = dict(refusals(verified(Graph("real", nodes)), monkeypatch))
    assert problems == {
        "x, y": "the network has 2 inputs, of which nirtorch takes one",
        "out, again": "the network has 2 outputs, of which nirtorch takes one",
        "novel (net.py:8)": "nirtorch is not known to compute Novel",
        "idle": "it feeds nothing, and the package nir makes one more output of it",
        "out": problems["out"],
    }
    assert problems["out"].startswith("nirtorch returns what feeds it (lif, ")


def test_a_type_of_the_file_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {kind: build for kind, build in nirtorch_run.MODULES.items() if kind != "LIF"}
    monkeypatch.setattr(nirtorch_run, "MODULES", known)
    graph = chain_of((3,), Linear(rand(1, 3, 3)), lif())
    assert refusals(graph, monkeypatch) == [("n1", "nirtorch is not known to compute NIR's LIF")]


def test_a_reset_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nirtorch_run, "RESETS", ("zero",))
    graph = chain_of((3,), Linear(rand(1, 3, 3)), lif(reset="subtract"))
    assert refusals(graph, monkeypatch) == [("n1 (net.py:1)", "its reset is 'subtract'")]


@pytest.mark.parametrize("missing", ["nirtorch", "nir"])
def test_where_nirtorch_is_missing(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    graph = chain_of((6,), Linear(rand(1, 4, 6)), lif())
    with pytest.raises(BackendError, match=r'run: pip install "avnir\[nirtorch\]"'):
        nirtorch_run.nirtorch_trace(graph, trains(graph, 0, 1, 1))


def test_inputs_are_checked() -> None:
    graph = chain_of((6,), Linear(rand(1, 4, 6)), lif())
    with pytest.raises(DataError, match="'x' is missing"):
        nirtorch_run.nirtorch_trace(graph, {})


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A folder that appears where a node's name is run as code."""
    return tmp_path / "canary"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the nodes that nirtorch is given, as they come."""
    names: list[str] = []
    made = nirtorch.nir_to_torch

    def spied(content: Any, *arguments: object, **options: object) -> Any:
        names.extend(content.nodes)
        return made(content, *arguments, **options)

    monkeypatch.setattr(nirtorch, "nir_to_torch", spied)
    return names


def code_that_touches(path: Path) -> str:
    """A name that ends the text it is pasted into, makes a folder, and begins another text; no dots."""
    return f'n" + str(getattr(__import__("os"), "mkdir")("{path}")) + "'


def nodes_called(name: str) -> nir.NIRGraph:
    """Two neurons of that name between `x` and `out`."""
    neurons = nir.LIF(np.full(2, 1e-3), np.ones(2), np.zeros(2), np.full(2, 0.1), np.zeros(2))
    nodes = {"x": nir.Input(np.array([2])), name: neurons, "out": nir.Output(np.array([2]))}
    return nir.NIRGraph(nodes, [("x", name), (name, "out")])


def test_nirtorch_by_itself_runs_the_code_in_a_name(canary: Path) -> None:
    """Without this the tests below could not fail."""
    neurons = {nir.LIF: lambda node: torch.nn.Identity()}
    network = nirtorch.nir_to_torch(nodes_called(code_that_touches(canary)), neurons)
    with pytest.raises(AttributeError):
        network(torch.ones(2))
    assert canary.exists()


def changed(path: Path, name: str) -> None:
    """A file of ours whose node was renamed afterwards, its edges too."""
    write_nir(chain_of((2,), Linear(np.eye(2))), path)
    with h5py.File(path, "r+") as file:
        file.move("node/nodes/n0", f"node/nodes/{name}")
        edges = [[end.decode().replace("n0", name) for end in edge] for edge in file["node/edges"][()]]
        del file["node/edges"]
        file.create_dataset("node/edges", data=edges, dtype=h5py.string_dtype())


def foreign(path: Path, name: str) -> None:
    """A file of another writer, which may be read under other names or refused."""
    nir.write(path, nodes_called(name))


@pytest.mark.parametrize("written", [changed, foreign])
def test_code_in_the_name_of_a_node_never_reaches_nirtorch(
    written: Callable[[Path, str], None],
    canary: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "evil.nir", code_that_touches(Path(canary.name)))
    np.savez(tmp_path / "x.npz", x=np.ones((5, 1, 2)))
    given = ["verify", "evil.nir", "--inputs", "x.npz", "--backend", "nirtorch"]
    with suppress(SystemExit):
        main([*given, *(["--dt", "0.0001"] if written is foreign else [])])
    assert not canary.exists()
    assert set(seen) <= {"n0", "n1", "n2", "n3"}
    if written is changed:
        assert not seen
        with pytest.raises(InterchangeError):
            read_nir(tmp_path / "evil.nir")


def test_no_graph_has_such_a_name(canary: Path) -> None:
    node = chain_of((2,), Linear(np.eye(2)))["n0"]
    bad = dataclasses.replace(node, name=code_that_touches(canary))
    with pytest.raises(GraphError, match="is not a name of letters"):
        verified(Graph("real", (Node("x", Input((2,))), bad, Node("out", Output((2,)), (bad.name,)))))
    assert not canary.exists()


def test_nirtorch_sees_names_of_ours_alone(seen: list[str]) -> None:
    """`__class__`, `state` and `input` are names in the generated code too."""
    plain = chain_of((6,), Linear(rand(1, 6, 6)), lif(), Linear(rand(2, 4, 6)), lif())
    taken = ("input", "__class__", "state", "self", "is_none", "torch")
    assert_same(readers.renamed(plain, dict(zip(plain.by_name, taken, strict=True))), 3)
    assert sorted(seen) == [f"n{index}" for index in range(6)]
