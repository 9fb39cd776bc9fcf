"""`avnir train`: what it saves, what it prints, what it refuses."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch
import torch
from click.testing import CliRunner, Result

import avnir
from avnir import target
from avnir.cli.train import command
from avnir.cli.verify import command as verify
from avnir.compile import compile_graph
from avnir.errors import DataError, TargetError
from avnir.export import TieError, load
from avnir.models import build
from avnir.models.data import generator
from avnir.program import Program


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The calls of `avnir.save`, with fewer generated pairs so that a run is short."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setitem(vars(avnir), "save", lambda *args, **options: calls.append((*args, options)))
    monkeypatch.setattr(generator, "load_generator", partial(generator.load_generator, 150))
    return calls


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["av-digits", *arguments])


def test_it_saves_the_network_with_test_examples(saved: list[tuple[Any, ...]], tmp_path: Path) -> None:
    out = tmp_path / "model.pt"
    result = run("--epochs", "1", "--subset", "100", "--examples", "9", "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert (printed["model"], printed["train_pairs"], printed["test_pairs"]) == (str(out), 100, 497)
    [(network, inputs, path, options)] = saved
    assert path == out
    assert list(inputs) == ["image", "audio"]
    assert [tensor.shape for tensor in inputs.values()] == [(8, 9, 1, 16, 16)] * 2
    assert options["labels"].shape == (9,)
    assert options["notes"]["test_accuracy"] == printed["test_accuracy"]
    again = build(*options["architecture"])
    again.load_state_dict(network.state_dict())
    assert json.loads(json.dumps(options["notes"])) == options["notes"]


def test_examples_that_float32_decides_are_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown: list[Any] = []

    def save(network: Any, inputs: Any, path: Any, **options: Any) -> None:
        shown.append(options["labels"])
        if len(shown) == 1:
            raise TieError("a tie", (0, 2))

    monkeypatch.setitem(vars(avnir), "save", save)
    monkeypatch.setattr(generator, "load_generator", partial(generator.load_generator, 150))
    result = run("--epochs", "1", "--examples", "4", "--out", str(tmp_path / "model.pt"))
    assert result.exit_code == 0, result.output
    first, second = shown
    assert len(first) == len(second) == 4
    assert second[0] == first[1]
    assert second[1] == first[3]


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_one_modality_has_one_input(saved: list[tuple[Any, ...]], tmp_path: Path, modality: str) -> None:
    result = run("--epochs", "1", "--modality", modality, "--out", str(tmp_path / "model.pt"))
    assert result.exit_code == 0, result.output
    assert f"generated digits, {modality}: trained in" in result.stdout
    [(_, inputs, _, options)] = saved
    assert len(inputs) == 1
    assert options["architecture"][1]["modality"] == modality


def test_it_resumes_what_it_kept(saved: list[tuple[Any, ...]], tmp_path: Path) -> None:
    out, kept = str(tmp_path / "model.pt"), str(tmp_path / "run.ckpt")
    assert run("--epochs", "1", "--out", out, "--checkpoint", kept).exit_code == 0
    assert run("--epochs", "1", "--out", out, "--resume", kept).exit_code == 0
    first, second = (network.state_dict() for network, *_ in saved)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--data", "mnist-fsdd"], "mnist-fsdd is read from files, say where with --data-dir: mnist.npz, or"),
        (["--data", "mnist-fsdd", "--data-dir", "nowhere"], "Directory 'nowhere' does not exist"),
        (
            ["--data-dir", ".", "--image-size", "28", "--fold", "1"],
            "the generator makes its data, all 16x16: leave out --data-dir, --image-size, --fold",
        ),
        (["--data", "shd", "--data-dir", "."], "shd has no image: choose --modality audio"),
        (["--form", "paper"], "av-digits has one form: leave out --form"),
        (["--out", "nowhere/model.pt"], "the folder of nowhere/model.pt does not exist"),
        (["--epochs", "0"], "0 is not in the range x>=1"),
    ],
)
def test_wrong_use_is_refused_before_any_work(arguments: list[str], complaint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr


@pytest.mark.parametrize("option", ["--examples", "--subset"])
def test_more_pairs_than_there_are_is_refused(saved: list[tuple[Any, ...]], option: str) -> None:
    result = run(option, "100000")
    assert isinstance(result.exception, DataError)
    assert saved == []


@pytest.fixture
def few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer generated pairs, so that a run is short."""
    monkeypatch.setattr(generator, "load_generator", partial(generator.load_generator, 150))


def program_of(path: Path, bits: int) -> Program:
    return compile_graph(load(path).graph, target.load("loihi2"), bits).program


def test_trained_integers_are_what_the_saved_model_compiles_to(few_pairs: None, tmp_path: Path) -> None:
    out = tmp_path / "four.pt"
    options = (
        "--epochs",
        "1",
        "--examples",
        "9",
        "--quantise",
        "loihi2",
        "--weight-bits",
        "4",
        "--json",
    )
    result = run(*options, "--out", str(out))
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    program = program_of(out, 4)
    assert printed["program"] == program.digest
    assert 0 < printed["float_accuracy"] <= 1
    slots = sum(int(np.prod(program.graph.shapes[node.name])) for node in program.graph.neurons)
    assert printed["equal_slots"] == 8 * 9 * slots
    notes = load(out).notes
    assert (notes["weight_bits"], notes["program"]) == (4, program.digest)
    arguments = [str(out), "--target", "loihi2", "--backend", "cpu", "--json"]
    verified = CliRunner().invoke(verify, arguments)
    assert json.loads(verified.stdout)["program"] == program.digest


def test_training_on_starts_from_a_saved_model(few_pairs: None, tmp_path: Path) -> None:
    first, out = tmp_path / "first.pt", tmp_path / "out.pt"
    few = ("--examples", "9")
    assert run("--epochs", "1", "--modality", "image", "--out", str(first), *few).exit_code == 0
    result = run("--start", str(first), "--quantise", "loihi2", "--out", str(out), *few)
    assert result.exit_code == 0, result.output
    assert "generated digits, image: trained in" in result.stdout
    assert "integers        8 bits for loihi2, program " in result.stdout
    assert f"program {program_of(out, 8).digest[:12]};" in result.stdout
    assert list(load(out).inputs) == ["image"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--start", "a.pt"], "--start is what --quantise begins with"),
        (["--start", "a.pt", "--quantise", "loihi2", "--resume", "b"], "leave out --resume"),
        (
            ["--start", "a.pt", "--quantise", "loihi2", "--modality", "image", "--checkpoint", "c"],
            "leave out --modality, --checkpoint",
        ),
    ],
)
def test_options_that_do_not_fit_together_are_refused(arguments: list[str], complaint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_an_unknown_target_is_refused_before_any_work() -> None:
    result = run("--quantise", "abacus")
    assert isinstance(result.exception, TargetError)


def test_a_model_of_other_data_is_refused(few_pairs: None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    foreign = torch.nn.Sequential(
        torch.nn.Linear(6, 4), snntorch.Leaky(beta=0.5, init_hidden=True, reset_mechanism="zero")
    )
    path = tmp_path / "foreign.pt"
    avnir.save(foreign, torch.ones(3, 2, 6), path)
    result = run("--start", str(path), "--quantise", "loihi2", "--out", str(tmp_path / "out.pt"))
    assert isinstance(result.exception, DataError)
    assert "the data are image and audio" in str(result.exception)


SYSTEM = ("taaf", "--set", "width=16", "--epochs", "1", "--subset", "40", "--examples", "5")


def test_a_system_trains_for_the_shapes_of_the_data(few_pairs: None, tmp_path: Path) -> None:
    out = tmp_path / "taaf.pt"
    result = CliRunner().invoke(command, [*SYSTEM, "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    assert 0 <= json.loads(result.stdout)["validation_accuracy"] <= 1
    saved = load(out)
    assert saved.architecture is not None
    assert saved.architecture[0] == "taaf"
    assert [x.shape for x in saved.inputs.values()] == [(4, 5, 1, 16, 16)] * 2


def test_integers_of_a_graded_input_are_refused(few_pairs: None, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        command, [*SYSTEM, "--quantise", "loihi2", "--out", str(tmp_path / "taaf.pt")]
    )
    assert "taaf takes direct inputs" in str(result.exception)


def test_a_setting_without_a_value_is_refused() -> None:
    result = run("--set", "steps")
    assert result.exit_code == 2
    assert "steps: give each as key=value" in result.stderr
