"""norse reads the file and gives the graph's spikes; what it would compute otherwise never runs."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from avnir.errors import BackendError, DataError, UnsupportedError
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
norse = pytest.importorskip("norse.torch")
norse_run = pytest.importorskip("avnir.export.norse_run")
readers = pytest.importorskip("avnir.export.nir_readers")


def assert_same(graph: Graph, seed: int) -> None:
    """Every spike of every layer, and the output, over 200 steps of 8 samples; both spike."""
    inputs = trains(graph, seed)
    ours, theirs = interpret_real(graph, inputs), norse_run.norse_trace(graph, inputs)
    assert 0 < sum(train.mean() for train in ours.spikes.values()) < len(ours.spikes)
    assert theirs.spikes.keys() == ours.spikes.keys()
    found = compare(theirs, ours, ("norse", "graph"))
    assert found.identical, found.divergence


def refusals(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Place and problem of every finding, each with a remedy; norse saw nothing of the network."""
    monkeypatch.setattr(norse, "from_nir", lambda *a, **k: pytest.fail("norse was given the network"))
    with pytest.raises(UnsupportedError) as caught:
        norse_run.norse_trace(graph, trains(graph, 0, 1, 1))
    assert all(finding.remedy for finding in caught.value.findings)
    return [(finding.place, finding.problem) for finding in caught.value.findings]


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_of_hard_resets(seed: int) -> None:
    assert_same(random_network(seed, hard=True), seed)


def test_normalisation_is_in_the_weights() -> None:
    norm = BatchNorm(rand(1, 4), np.abs(rand(2, 4)) + 0.5, rand(3, 4), rand(4, 4))
    conv = Conv2d(rand(5, 4, 1, 3, 3), None, (1, 1), (1, 1), groups=2)
    graph = chain_of(
        (2, 6, 6), conv, norm, lif(0.8), SumPool2d(), Flatten((36,)), Linear(rand(6, 5, 36)), lif()
    )
    assert_same(graph, 1)


def test_a_residual_around_two_layers() -> None:
    nodes = (
        Node("x", Input((6,))),
        Node("a", Linear(rand(1, 6, 6)), ("x",)),
        Node("lif_a", lif(0.9), ("a",)),
        Node("b", Linear(rand(2, 6, 6)), ("lif_a",)),
        Node("lif_b", lif(0.7, 0.5), ("b",)),
        Node("c", Linear(rand(3, 4, 6)), ("lif_a", "lif_b")),
        Node("lif_c", lif(0.6), ("c",)),
        Node("out", Output((2, 2)), ("lif_c",)),
    )
    assert_same(verified(Graph("real", nodes)), 2)


def test_names_that_a_module_has_already() -> None:
    plain = chain_of((6,), Linear(rand(1, 6, 6)), lif(), Linear(rand(2, 4, 6)), lif())
    taken = ("graph", "forward", "train", "class", "state", "if")
    assert_same(readers.renamed(plain, dict(zip(plain.by_name, taken, strict=True))), 3)


def test_beta_of_one_where_a_step_is_a_second() -> None:
    graph = chain_of((6,), Linear(rand(1, 6, 6)), lif(1.0))
    assert_same(dataclasses.replace(graph, dt=1.0), 4)


def test_float64_all_the_way() -> None:
    """A potential that exceeds its threshold by less than float32 can tell."""
    graph = chain_of((1,), Linear(np.array([[1 + 1e-12]])), lif(0.0))
    ones = {"x": np.ones((3, 2, 1))}
    assert norse_run.norse_trace(graph, ones).spikes["n1"].all()
    below = chain_of((1,), Linear(np.array([[1 - 1e-12]])), lif(0.0))
    assert not norse_run.norse_trace(below, ones).spikes["n1"].any()


@pytest.mark.parametrize("name", ["chain_zero", "current_zero"])
def test_the_nir_cases_of_hard_resets(name: str) -> None:
    assert_same(CASES[name](), 5)


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith("_zero")])
def test_all_other_nir_cases_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusals(CASES[name](), monkeypatch)


class Novel(RealOperation):
    """An operation that norse's rules have never heard of."""

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


def test_every_finding_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = chain_of(
        (2, 6, 6),
        Conv2d(rand(1, 2, 2, 3, 3), padding=(1, 1)),
        lif(reset="subtract"),
        AvgPool2d(),
        Conv2d(rand(2, 2, 2, 1, 1)),
        lif(reset="zero_delayed"),
        SumPool2d((2, 2), (1, 1), (1, 1)),
        Scale(np.array(0.5)),
        Threshold(np.array(0.5)),
        MaxPool2d(),
        Conv2d(rand(3, 2, 2, 1, 1)),
        lif(1.0),
        Novel(),
    )
    assert refusals(graph, monkeypatch) == [
        ("n1 (net.py:1)", "its reset is 'subtract', and norse's neurons of NIR have the hard reset alone"),
        ("n2 (net.py:2)", "norse does not read AvgPool2d from NIR files"),
        (
            "n4 (net.py:4)",
            "its reset is 'zero_delayed', and norse's neurons of NIR have the hard reset alone",
        ),
        ("n5 (net.py:5)", "norse leaves out its padding of (1, 1)"),
        ("n6 (net.py:6)", "norse does not read Scale from NIR files"),
        ("n7 (net.py:7)", "norse does not read Threshold from NIR files"),
        ("n8 (net.py:8)", "norse does not read Threshold from NIR files"),
        ("n10 (net.py:10)", "norse's IF (beta = 1) leaves out dt, here 0.0001 s"),
        ("n11 (net.py:11)", "norse is not known to compute Novel"),
    ]


def test_a_type_of_the_file_that_norse_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(norse_run, "TYPES", ("Input", "Output", "LIF"))
    graph = chain_of((3,), Linear(rand(1, 3, 3)), lif())
    assert refusals(graph, monkeypatch) == [("n0", "norse is not known to compute NIR's Linear")]


def diamond() -> Graph:
    """Two branches of one input that meet: depth first, the sum comes before the second branch."""
    return verified(
        Graph(
            "real",
            (
                Node("x", Input((6,))),
                Node("a", Linear(rand(1, 4, 6)), ("x",)),
                Node("b", Linear(rand(2, 4, 6)), ("x",)),
                Node("lif", lif(), ("a", "b")),
                Node("out", Output((4,)), ("lif",)),
            ),
        )
    )


def idle() -> Graph:
    """A branch that reaches no output."""
    graph = chain_of((6,), Linear(rand(1, 4, 6)), lif())
    return graph.with_nodes([*graph, Node("late", Linear(rand(2, 3, 4)), ("n1",))])


def pair(ports: str) -> Graph:
    twice = {"in": ("x", "y"), "out": ("x", "x")}[ports]
    nodes = [Node(name, Input((3,))) for name in dict.fromkeys(twice)]
    nodes += [Node("fc", Linear(rand(1, 3, 3)), tuple(dict.fromkeys(twice))), Node("lif", lif(), ("fc",))]
    nodes += [Node(name, Output((3,)), ("lif",)) for name in ("out", "again")[: 1 + (ports == "out")]]
    return verified(Graph("real", tuple(nodes)))


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (diamond(), [("lif", "norse runs it before b, which feeds it, and leaves that out")]),
        (idle(), [("late", "it feeds nothing, and the package nir makes one more output of it")]),
        (pair("in"), [("x, y", "the network has 2 inputs, of which norse takes one")]),
        (pair("out"), [("out, again", "the network has 2 outputs, of which norse takes one")]),
    ],
    ids=["diamond", "idle", "inputs", "outputs"],
)
def test_wiring_that_norse_does_not_follow(
    graph: Graph, expected: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusals(graph, monkeypatch) == expected


def test_a_network_too_deep_to_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Linear(np.ones((1, 1)))
    found = refusals(chain_of((1,), *([one] * norse_run.MAX_DEPTH)), monkeypatch)
    assert found == [("graph", "it has 502 nodes, and norse follows 500")]


def test_the_order_is_the_one_that_norse_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a diamond too, which runs only here."""
    orders = []
    made = norse.from_nir

    def spied(*arguments: object, **options: object) -> object:
        network = made(*arguments, **options)
        orders.append([node.name for node in network.execution_order])
        return network

    monkeypatch.setattr(norse, "from_nir", spied)
    monkeypatch.setattr(norse_run, "refuse", lambda reader, found: None)
    for graph in (diamond(), random_network(2, hard=True)):
        norse_run.norse_trace(graph, trains(graph, 0, 1, 1))
        names = readers.new_names(graph)
        assert orders[-1] == [names[name] for name in norse_run.depth_first(graph)]


@pytest.mark.parametrize("missing", ["norse.torch", "nir"])
def test_where_norse_is_missing(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    graph = chain_of((6,), Linear(rand(1, 4, 6)), lif())
    with pytest.raises(BackendError, match="pip install --no-deps norse==1"):
        norse_run.norse_trace(graph, trains(graph, 0, 1, 1))


def test_inputs_are_checked() -> None:
    graph = chain_of((6,), Linear(rand(1, 4, 6)), lif())
    with pytest.raises(DataError, match="'x' is missing"):
        norse_run.norse_trace(graph, {})
