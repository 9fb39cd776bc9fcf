"""`avnir compare`: what a person reads, what a program reads, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avnir.cli import main
from avnir.ir.graph import Graph
from avnir.ir.interpret_integer import interpret_integer
from avnir.testing.cases import CASES
from avnir.trace import Trace
from avnir.trace_csv import write_csv

MODEL = Path(__file__).resolve().parent.parent.parent / "examples" / "av_digits.pt"
Compare = Callable[..., str]


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Compare:
    """Run `avnir compare ARGUMENTS`; what it printed. `status` is what must come back."""

    def run(*arguments: Any, status: int = 0) -> str:
        found = 0
        try:
            main(["compare", *map(str, arguments)])
        except SystemExit as stop:
            found = int(stop.code or 0)
        printed = capsys.readouterr()
        assert found == status, printed.out + printed.err
        return " ".join((printed.out or printed.err).split())

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A program of three layers, its inputs and its trace, and what a run without a reset records."""
    case = CASES["deep"]()
    case.program.save(tmp_path / "program")
    np.savez(tmp_path / "inputs.npz", **case.inputs)
    graph = case.program.graph
    interpret_integer(graph, case.inputs).save(tmp_path / "ours.npz")
    nodes = (
        dataclasses.replace(n, op=n.op.replace(reset="none")) if n.name == "layer1" else n for n in graph
    )
    theirs = interpret_integer(Graph("integer", tuple(nodes)), case.inputs, states=True)
    theirs.save(tmp_path / "theirs.npz")
    write_csv(theirs, tmp_path / "theirs.csv")
    return tmp_path


def known(folder: Path) -> list[Any]:
    return ["--program", folder, "--inputs", folder / "inputs.npz"]


def test_equal_runs(compare: Compare, folder: Path) -> None:
    said = compare("integer", folder / "ours.npz", *known(folder))
    assert "equal: integer and ours.npz agree in all" in said
    assert "slots of 3 layers" in said


def test_a_difference_is_told_from_the_neuron_to_the_cause(compare: Compare, folder: Path) -> None:
    said = compare("integer", folder / "theirs.csv", *known(folder), status=1)
    assert "first differ in layer layer1, neuron (" in said
    assert "integer does not spike, theirs.csv spikes" in said
    assert "against a threshold of 7,680" in said
    assert "What reached the layer until then is the same on both sides" in said
    assert "active of 18 synapses" in said
    assert "Cause in layer layer1 of theirs.csv: a spike does something else to the potential" in said
    assert "Resets by 'none' in place of 'zero'." in said
    assert "enters here" in said
    assert "slots that differ, by step" in said


def test_recorded_registers_are_shown(compare: Compare, folder: Path) -> None:
    said = compare("integer", folder / "theirs.npz", *known(folder), status=1)
    assert "theirs.npz recorded u = " in said
    assert "values of registers" in said


def test_as_json(compare: Compare, folder: Path) -> None:
    record = json.loads(compare("integer", folder / "theirs.csv", *known(folder), "--json", status=1))
    assert record["equal"] is False
    assert record["divergence"]["layer"] == "layer1"
    assert record["diagnosis"]["entries"][0]["explanations"][0]["name"] == "reset"
    assert record["states"]["integer"]["threshold"] == 120 << 6
    assert [layer["layer"] for layer in record["layers"]] == ["layer1", "layer2", "layer3"]


def test_two_recordings_without_a_network(compare: Compare, folder: Path) -> None:
    said = compare(folder / "ours.npz", folder / "theirs.npz", status=1)
    assert "say what network this is" in said
    with_cause = compare(folder / "ours.npz", folder / "theirs.npz", *known(folder), status=1)
    assert "Cause in layer layer1 of theirs.npz" in with_cause


def test_the_recording_is_blamed_whichever_side_it_stands_on(compare: Compare, folder: Path) -> None:
    said = compare(folder / "theirs.npz", "integer", *known(folder), status=1)
    assert "theirs.npz spikes, integer does not spike" in said
    assert "Cause in layer layer1 of theirs.npz" in said


def test_of_two_recordings_the_one_is_blamed_that_is_not_the_network_s(
    compare: Compare, folder: Path
) -> None:
    said = compare(folder / "theirs.npz", folder / "ours.npz", *known(folder), status=1)
    assert "Cause in layer layer1 of theirs.npz" in said
    trace = Trace.load(folder / "ours.npz")
    Trace({name: 1 - sent for name, sent in trace.spikes.items()}, {}).save(folder / "other.npz")
    said = compare(folder / "other.npz", folder / "theirs.npz", *known(folder), status=1)
    assert "Neither side is what this network gives on these inputs" in said
    assert "Cause in layer layer1 of theirs.npz" in said


def test_a_shift_is_said(compare: Compare, folder: Path) -> None:
    trace = Trace.load(folder / "ours.npz")
    Trace({name: _later(sent) for name, sent in trace.spikes.items()}, {}).save(folder / "late.npz")
    said = compare(folder / "ours.npz", folder / "late.npz", *known(folder), status=1)
    assert "Equal after a shift: late.npz is +1 steps later in every layer that differs." in said
    assert "every layer is equal after a shift by +1" in said.lower()


def _later(sent: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return np.concatenate([sent[:1] * 0, sent[:-1]])


def test_two_lists_of_events_without_a_network(compare: Compare, folder: Path) -> None:
    write_csv(Trace.load(folder / "ours.npz"), folder / "ours.csv")
    said = compare(folder / "ours.csv", folder / "theirs.csv", status=1)
    assert "first differ in layer layer1" in said
    head = "layer,step,sample,neuron,value\n"
    (folder / "short.csv").write_text(head + "a,0,0,0,1\n")
    (folder / "long.csv").write_text(head + "a,0,0,0,1\na,3,1,2,1\n")
    assert "neuron 2, step 3, sample 1" in compare(folder / "short.csv", folder / "long.csv", status=1)
    compare(folder / "short.csv", folder / "long.csv", "--steps", 3)


def test_what_is_not_recorded_is_said(compare: Compare, folder: Path) -> None:
    trace = Trace.load(folder / "ours.npz")
    Trace({"layer3": trace.spikes["layer3"]}, {}).save(folder / "last.npz")
    said = compare("integer", folder / "last.npz", *known(folder))
    assert "last.npz has no recording of layer1, layer2: not compared" in said


def test_names_are_mapped(compare: Compare, folder: Path) -> None:
    trace = Trace.load(folder / "ours.npz")
    Trace({"core7": trace.spikes["layer2"], "noise": trace.spikes["layer2"]}, {}).save(folder / "chip.npz")
    chip = ["integer", folder / "chip.npz", *known(folder)]
    assert "layer core7 is not known" in compare(*chip, status=2)
    compare(*chip, "--layer", "core7=layer2", "--layer", "noise=")


def test_only_so_many_steps_and_samples(compare: Compare, folder: Path) -> None:
    trace = Trace.load(folder / "ours.npz")
    longer = {name: np.concatenate([sent, sent]) for name, sent in trace.spikes.items()}
    Trace(longer, {}).save(folder / "longer.npz")
    said = compare("integer", folder / "longer.npz", *known(folder), status=2)
    assert (
        "has 24 steps, not 12; record the same window, or compare the first steps of both with --steps 12"
        in said
    )
    compare("integer", folder / "longer.npz", *known(folder), "--steps", 12, "--samples", 1)


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        (("integer", "nonsense"), "there is no stage 'nonsense'; give a recording (.npz or .csv) or one of"),
        (("integer", "ours.npz"), "integer needs inputs to run on; give --model, or --inputs"),
        (("ours.npz", "missing.csv"), "missing.csv cannot be read as a list of events"),
        (("ours.npz", "inputs.npz"), "inputs.npz is not a trace of format"),
    ],
)
def test_wrong_input(
    compare: Compare, folder: Path, monkeypatch: pytest.MonkeyPatch, sides: tuple[str, str], words: str
) -> None:
    monkeypatch.chdir(folder)
    assert words in compare(*sides, status=2)


def test_a_real_stage_needs_a_model(compare: Compare, folder: Path) -> None:
    said = compare("graph", folder / "ours.npz", *known(folder), status=2)
    assert "graph is a stage, and needs a network to run; give --model" in said


def test_stages_of_a_model(compare: Compare) -> None:
    pytest.importorskip("torch")
    said = compare("graph", "nir", "--model", MODEL, "--samples", 2)
    assert "equal: graph and nir agree" in said
    assert "graph has no recording of image_branch_pool1: not compared" in said
    compare("model", "graph", "--model", MODEL, "--samples", 2)
    said = compare("graph", "integer", "--model", MODEL, "--samples", 2, "--steps", 4, status=1)
    assert "One side is the model in floating point" in said
