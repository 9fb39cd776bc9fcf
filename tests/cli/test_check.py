"""`avnir check`: all findings at once, nothing written; and what it says of what can be exported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.errors import Finding, UnsupportedError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.real import Conv2d, Flatten, Input, Lif, Linear, MaxPool2d, Output, Threshold
from avnir.verify.findings import EXACT, IMPOSSIBLE, LOWERED, PROGRAMMABLE, Examination, examine
from tests.networks import audio_visual

LOIHI1, LOIHI2 = target.load("loihi1"), target.load("loihi2")
HALF = np.array(0.5)


def lif(reset: str = "zero", beta: float | Sequence[float] = 0.5) -> Lif:
    return Lif(beta=np.array(beta), threshold=np.array(1.0), gain=np.array(1.0), reset=reset)


def taken(examination: Examination) -> dict[str, str]:
    return {layer.name: layer.taken for layer in examination.layers}


def refused(graph: Graph, chip: target.Target) -> tuple[Finding, ...]:
    """What an export says, which stops at the first pass that refuses."""
    try:
        compile_graph(graph, chip)
    except UnsupportedError as error:
        return error.findings
    return ()


def everything_wrong() -> Graph:
    """A real input, a max-pool of a sum, mixed leaks, an output of potentials, resets not the chip's."""
    rng = np.random.default_rng(0)
    return verified(
        Graph(
            "real",
            (
                Node("picture", Input((2, 4, 4), None), source="forward(picture)"),
                Node("sound", Input((3,))),
                Node("conv", Conv2d(rng.normal(size=(2, 2, 1, 1))), ("picture",)),
                Node("pool", MaxPool2d(), ("conv",), "pool (net.py:7)"),
                Node("flat", Flatten((8,)), ("pool",)),
                Node("fused", lif("subtract"), ("flat",), "fused (net.py:8)"),
                Node("fc", Linear(rng.normal(size=(4, 8))), ("fused",)),
                Node("ears", Linear(rng.normal(size=(4, 3))), ("sound",)),
                Node("mixed", lif("zero", (1.0, 0.5, 0.5, 0.5)), ("fc", "ears")),
                Node("readout", Linear(rng.normal(size=(2, 4))), ("mixed",)),
                Node("output", Output((2,)), ("readout",), "forward -> output"),
            ),
        )
    )


def test_what_can_be_exported_says_how_each_operation_is_taken() -> None:
    graph = audio_visual(0, "zero")
    examination = examine(graph, LOIHI2)
    assert examination.exportable
    assert examination.unasked == ()
    assert examination.placement is not None
    assert examination.placement.pieces == compile_graph(graph, LOIHI2).placement.pieces
    found = taken(examination)
    assert list(found) == [node.name for node in graph]
    assert {found[n] for n in ("image", "conv1", "lif1", "fc_audio", "lif_out", "hidden")} == {EXACT}
    assert {found[n] for n in ("norm1", "pool", "average", "scale", "flat")} == {LOWERED}
    how = {layer.name: layer.how for layer in examination.layers}
    assert how["norm1"] == ("folded into conv1",)
    assert "(OR)" in how["pool"][0]
    assert any(text.startswith("audio__fused delayed by") for text in how["fused"])
    assert any("merged into one synapse" in text for text in how["fused"])
    assert how["smooth"] == ("the synapses into lif4, fused",)


def test_notes_are_those_of_the_export() -> None:
    graph = audio_visual(1)
    assert examine(graph, LOIHI2).notes == compile_graph(graph, LOIHI2).notes


@pytest.mark.parametrize("reset", ["subtract", "none", "zero_delayed", "subtract_delayed"])
def test_resets_need_a_programmable_chip(reset: str) -> None:
    graph = audio_visual(0, reset)
    programmable, fixed = examine(graph, LOIHI2), examine(graph, LOIHI1)
    neurons = {node.name for node in graph.neurons}
    assert {name for name, how in taken(programmable).items() if how == PROGRAMMABLE} == neurons
    assert programmable.exportable
    assert {name for name, how in taken(fixed).items() if how == IMPOSSIBLE} == neurons
    assert {finding.place for finding in fixed.findings} == neurons
    assert fixed.placement is None


def test_every_pass_and_limit_is_asked_at_once() -> None:
    graph = everything_wrong()
    examination = examine(graph, LOIHI1)
    assert examination.unasked == ()
    assert examination.placement is None
    assert examination.parts == ()
    problems = {finding.place: finding.problem for finding in examination.findings}
    assert set(problems) == {
        "pool (net.py:7)",
        "mixed",
        "forward -> output",
        "forward(picture)",
        "fused (net.py:8)",
    }
    assert "not one binary spike train" in problems["pool (net.py:7)"]
    assert "beta = 1" in problems["mixed"]
    assert "a potential that is sent is not the chip's" in problems["forward -> output"]
    assert "real numbers" in problems["forward(picture)"]
    assert "'subtract'" in problems["fused (net.py:8)"]
    impossible = {name for name, how in taken(examination).items() if how == IMPOSSIBLE}
    assert impossible == {"pool", "mixed", "output", "picture", "fused"}


@pytest.mark.parametrize("chip", [LOIHI1, LOIHI2], ids=lambda chip: chip.name)
@pytest.mark.parametrize("graph", [everything_wrong(), *map(audio_visual, range(4))], ids=range(5))
def test_it_refuses_what_an_export_refuses_and_no_more(graph: Graph, chip: target.Target) -> None:
    found = examine(graph, chip)
    first = refused(graph, chip)
    assert found.exportable == (not first)
    assert found.findings[: len(first)] == first


def test_each_finding_alone_goes_away_with_its_remedy() -> None:
    """The stand-ins themselves add no finding: the remedied network has none."""
    by_name = dict(everything_wrong().by_name)
    by_name["picture"] = Node("picture", Input((2, 4, 4)))
    by_name["fused"] = Node("fused", lif(), ("flat",))
    by_name["mixed"] = Node("mixed", lif(), ("fc", "ears"))
    by_name["output"] = Node("output", Output((4,)), ("mixed",))
    by_name["pool"] = Node("pool", MaxPool2d(), ("early",))
    by_name["early"] = Node("early", Threshold(HALF), ("conv",))
    order = ("picture", "sound", "conv", "early", "pool", "flat", "fused", "fc", "ears", "mixed", "output")
    graph = verified(Graph("real", tuple(by_name[name] for name in order)))
    assert examine(graph, LOIHI1).exportable


def test_what_lies_behind_a_refusal_without_a_remedy_is_named() -> None:
    short = LOIHI2.limits.delay_steps.model_copy(update={"value": 1})
    limits = LOIHI2.limits.model_copy(update={"delay_steps": short})
    examination = examine(audio_visual(0), LOIHI2.model_copy(update={"limits": limits}))
    assert not examination.exportable
    assert examination.unasked == ("limits",)
    assert all("more than the limit of 1" in finding.problem for finding in examination.findings)
    assert len(examination.findings) > 1


def test_json_and_table_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from avnir.cli import main

    model = str(Path(__file__).parents[2] / "examples" / "av_digits.pt")
    main(["check", model, "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["exportable"] is True
    assert record["rounding_ties"] == record["findings"] == record["not_evaluated"] == []
    assert record["placement"]["cores"] == 6
    main(["check", model])
    text = capsys.readouterr().out
    assert "6 of 120 cores" in text
    assert "it can be exported for loihi2" in text
    for layer in record["layers"]:
        assert layer["name"] in text
        assert all(how in text for how in layer["how"])
    assert record["left_out"] == {}
    assert record["runs_where"][-1]["name"] == "decision"
    assert all(part["how"] in text for part in record["runs_where"])
