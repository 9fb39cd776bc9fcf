"""`avnir export --explain`, and the placement that an export holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avnir import target
from avnir.cli import main
from avnir.place import Placement
from avnir.program import Program

pytest.importorskip("torch")

MODEL = str(Path(__file__).parents[2] / "examples" / "av_digits.pt")


def test_every_pass_every_rounding_and_every_layers_cores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", MODEL, "--target", "loihi2", "--out", str(tmp_path / "out"), "--explain"]
    main([*arguments, "--json"])
    record = json.loads(capsys.readouterr().out)
    main(arguments)
    text = capsys.readouterr().out
    assert all(note in text for note in record["notes"])
    assert any(note.startswith("fold_batchnorm: ") for note in record["notes"])
    assert any(note.startswith("quantise: ") for note in record["notes"])
    layers = [row["layer"] for row in record["layers_on_cores"]]
    assert layers == [cost["layer"] for cost in record["roundings"]]
    assert all(0 <= cost["together"] <= cost["slots"] for cost in record["roundings"])
    assert any(cost["weights"] for cost in record["roundings"])
    assert all(str(cost["together"]) in text for cost in record["roundings"])
    on_chip = [part["name"] for part in record["runs_where"] if part["runs"] == "fixed neuron"]
    assert on_chip == layers
    assert len(record["runs_where"]) == 2 + len(layers) + 2
    assert "what runs where" in text
    assert all(part["name"] in text and part["how"] in text for part in record["runs_where"])
    assert "layers on the cores of Intel Loihi 2" in text
    assert "6 of 120 cores; not tested on silicon" in text

    chip = target.load("loihi2")
    placement = Placement.from_json((tmp_path / "out" / "placement.json").read_text(), chip)
    assert placement.program == Program.load(tmp_path / "out" / "program").digest
    assert placement.cores == record["placement"]["cores"] == 6
    assert sum(int(row["pieces"]) for row in record["layers_on_cores"]) == len(placement.pieces)


def test_without_it_nothing_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["export", MODEL, "--target", "loihi2", "--out", str(tmp_path / "out"), "--json"])
    assert not json.loads(capsys.readouterr().out).keys() & {
        "notes",
        "roundings",
        "runs_where",
        "layers_on_cores",
    }


def test_a_chip_that_is_too_small_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["export", MODEL, "--target", "loihi2", "--cores", "5", "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert "the program does not fit Intel Loihi 2" in told
    assert "-bit weights would fit" in told
    assert not list(tmp_path.iterdir())
