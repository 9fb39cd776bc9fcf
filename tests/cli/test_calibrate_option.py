"""`--calibrate`: its examples or a file, what it says, and the program it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.export import read_nir, write_nir
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program
from tests.cli.calls import Run
from tests.networks import audio_visual, spikes


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A NIR file, with `seen.npz` and `unseen.npz` beside it."""
    graph = compile_graph(audio_visual(0, reset="zero"), target.load("loihi2")).nir_graph
    write_nir(graph, tmp_path / "net.nir")
    for seed, name in enumerate(("seen", "unseen")):
        np.savez(tmp_path / f"{name}.npz", **spikes(graph, seed, steps=8))
    return tmp_path / "net.nir"


def test_an_export_holds_the_program_that_was_chosen_on_the_file(
    run: Run, model: Path, tmp_path: Path
) -> None:
    seen, out = tmp_path / "seen.npz", tmp_path / "out"
    status, said, error = run("export", model, "--target", "loihi2", "--out", out, "--calibrate", seen)
    assert status == 0, error
    assert f"calibrated on 3 samples x 8 steps of {seen}" in said
    with np.load(seen) as inputs:
        expected = compile_graph(read_nir(model), target.load("loihi2"), 8, dict(inputs)).program
    assert Program.load(out / "program") == expected
    assert expected.provenance["calibration"]["samples"] == 3


def test_without_a_file_it_is_the_inputs_that_are_compared(run: Run, model: Path, tmp_path: Path) -> None:
    arguments = ("verify", model, "--inputs", tmp_path / "seen.npz", "--weight-bits", 3)
    status, said, error = run(*arguments, "--calibrate")
    assert status == 0, error
    assert "calibrated on 3 samples x 8 steps, the ones compared here: expect somewhat less" in said
    agreements = [
        json.loads(run(*arguments, "--json", *more)[1])["quantisation"]["agreement"]
        for more in ((), ("--calibrate",))
    ]
    assert agreements[0] < agreements[1]


def test_labels_in_the_file_are_used(run: Run, model: Path, tmp_path: Path) -> None:
    """Labels that data-free integers give: nothing decides more of them right."""
    graph, chip = read_nir(model), target.load("loihi2")
    parts = [spikes(graph, seed, steps=8) for seed in range(8)]
    inputs = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    free = compile_graph(graph, chip, 2).program
    labels = interpret_integer(free.graph, inputs).decisions()
    chosen = compile_graph(graph, chip, 2, inputs).program
    assert not np.array_equal(interpret_integer(chosen.graph, inputs).decisions()[1::2], labels[1::2])
    np.savez(tmp_path / "labelled.npz", labels=labels, **inputs)
    out, labelled = tmp_path / "out", tmp_path / "labelled.npz"
    arguments = ("export", model, "--target", "loihi2", "--weight-bits", 2, "--out", out)
    status, said, error = run(*arguments, "--calibrate", labelled)
    assert status == 0, error
    assert "not calibrated: data-free integers decide more of 24 samples x 8 steps right" in said
    assert Program.load(out / "program").graph == free.graph


@pytest.mark.parametrize(
    ("calibrate", "problem"),
    [((), "holds no example inputs to calibrate on"), (("nowhere.npz",), "cannot be read")],
)
def test_examples_that_are_not_there(
    run: Run, model: Path, tmp_path: Path, calibrate: tuple[str, ...], problem: str
) -> None:
    arguments = ("export", model, "--target", "loihi2", "--out", tmp_path / "out", "--calibrate", *calibrate)
    status, _, error = run(*arguments)
    assert status == 2 and problem in error
    assert not (tmp_path / "out").exists()
