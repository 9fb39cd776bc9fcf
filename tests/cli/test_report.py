"""`avnir report`: a model's report alone, and that of an exported folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avnir.cli import main

pytest.importorskip("torch")

MODEL = Path(__file__).parents[2] / "examples" / "av_digits.pt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, exported."""
    made = tmp_path_factory.mktemp("exported") / "av"
    main(["export", str(MODEL), "--target", "loihi2", "--out", str(made)])
    return made


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first three of the example's own samples."""
    from avnir.export import load

    kept = load(MODEL)
    path = tmp_path_factory.mktemp("inputs") / "few.npz"
    assert kept.labels is not None
    np.savez(path, labels=kept.labels[:3], **{name: array[:, :3] for name, array in kept.inputs.items()})
    return path


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["report", *map(str, arguments)])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_report_of_a_model_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made" / "report.html"
    main(["report", str(MODEL), "--samples", "3", "--why", "--out", str(out)])
    told = capsys.readouterr().out
    assert f"wrote {out}" in told.replace("\n", "")
    assert list(out.parent.iterdir()) == [out]
    page = out.read_text(encoding="utf-8")
    for title in ("Which approximation lost spikes", "Where accuracy went", "The cores", "Latency", "Energy"):
        assert title in page, title


def test_the_report_of_an_export_is_small_and_says_all(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 1_000_000
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["program"] in page
    assert manifest["model"]["sha256"] in page


def test_a_folder_s_own_report_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["report", str(folder)])
    assert f"{folder / 'report.html'} was written by the export" in capsys.readouterr().out
    main(["report", str(folder), "--json"])
    assert json.loads(capsys.readouterr().out) == {"report": str(folder / "report.html")}


def test_a_folder_is_compared_on_other_inputs(
    folder: Path, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "report.html").read_bytes()
    out = tmp_path / "other.html"
    main(["report", str(folder), "--inputs", str(inputs), "--out", str(out), "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["program"] == json.loads((folder / "manifest.json").read_text())["program"]
    assert record["samples"] == 3
    assert [(c["first"], c["second"], c["identical"]) for c in record["exact"]] == [("integer", "cpu", True)]
    assert (folder / "report.html").read_bytes() == before
    page = out.read_text(encoding="utf-8")
    assert "The export is exact." in page
    assert "<title>av on Intel Loihi 2</title>" in page


def test_the_default_name_is_beside_the_model(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.pt").write_bytes(MODEL.read_bytes())
    main(["report", str(tmp_path / "net.pt"), "--inputs", str(inputs), "--target", "loihi1"])
    assert "net_loihi1.html" in capsys.readouterr().out
    assert "dynamic energy is" in (tmp_path / "net_loihi1.html").read_text(encoding="utf-8")


def test_what_does_not_fit_is_refused(
    folder: Path, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "leave out --target and --cores" in refusal(capsys, folder, "--target", "loihi1", "--cores", 3)
    assert "holds no report.html" in refusal(capsys, tmp_path)
    assert "holds no manifest.json" in refusal(capsys, tmp_path, "--inputs", inputs)
    assert "there is no backend" in refusal(capsys, MODEL, "--backend", "none")
    (tmp_path / "manifest.json").write_text("{}")
    told = refusal(capsys, tmp_path, "--inputs", inputs)
    assert f"give the model, with --program {tmp_path}" in told
