"""The program.nir of an export: there, the same program, run as such, and refused as a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avnir.export import nir_program_encode
from avnir.export.nir_program import read_program_nir
from avnir.export.nir_write import write_nir
from avnir.program import Program
from tests.cli.calls import Run
from tests.export.nir_cases import chain


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_nir(chain("zero"), tmp_path / "net.nir")
    return tmp_path / "net.nir"


def test_an_exported_program_runs_from_its_nir_file(run: Run, model: Path, tmp_path: Path) -> None:
    out, inputs = tmp_path / "out", tmp_path / "x.npz"
    np.savez(inputs, image=(np.random.default_rng(0).random((9, 2, 6)) < 0.5).astype(np.uint8))
    assert run("export", model, "--target", "loihi2", "--out", out)[0] == 0
    assert read_program_nir(out / "program.nir") == Program.load(out / "program")
    records = []
    for source in (out, out / "program.nir"):
        status, said, _ = run("run", source, "--inputs", inputs, "--json")
        assert status == 0
        records.append(json.loads(said) | {"seconds": None})
    assert records[0] == records[1]


def test_a_program_is_no_model_and_a_network_no_program(run: Run, model: Path, tmp_path: Path) -> None:
    run("export", model, "--target", "loihi2", "--out", tmp_path / "out")
    for arguments in (("check",), ("export", "--target", "loihi2")):
        status, _, said = run(arguments[0], tmp_path / "out/program.nir", *arguments[1:])
        assert status == 2
        assert "quantised program, not a real network" in said
    status, _, said = run("run", model, "--inputs", "x.npz")
    assert status == 2
    assert "real network, not a quantised program" in said


def test_a_program_too_large_for_nir_is_left_out_aloud(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nir_program_encode, "MAX_BYTES", 100)
    out = tmp_path / "out"
    status, said, _ = run("export", model, "--target", "loihi2", "--out", out)
    assert status == 0
    assert "left out program.nir: the program cannot be written as NIR" in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert set(manifest["left_out"]) == {"program.nir"}
    assert not (out / "program.nir").exists()
    assert "program/program.json" in manifest["files"]
