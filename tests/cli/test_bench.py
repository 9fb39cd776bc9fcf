"""`avnir bench`: the same figures as text and as JSON, refusals, and what is asked of it wrongly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avnir.cli import main

pytest.importorskip("torch")

MODEL = str(Path(__file__).parents[2] / "examples" / "av_digits.pt")
FEW = ("--samples", "3")


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    main(["bench", MODEL, *arguments, "--json"])
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    told = capsys.readouterr()
    assert stop.value.code == 2
    assert not told.out
    return told.err


def test_no_energy_is_totalled_for_loihi2_but_all_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    record = as_json(capsys, "--target", "loihi2", *FEW)
    assert (record["samples"], record["steps"], record["placement"]["cores"]) == (3, 8, 6)
    assert len(record["placement"]["by_core"]) == 6
    energy = record["energy_per_sample"]
    assert energy["dynamic_joules"] is None
    assert energy["static"]["joules"] is None
    assert energy["refused_for"] == [entry["figure"] for entry in energy["entries"]]
    stored = record["synops_per_sample"]["total"]["stored"]
    assert energy["entries"][0]["count"] == pytest.approx(stored)
    main(["bench", MODEL, "--target", "loihi2", *FEW])
    text = capsys.readouterr().out
    assert "placement: 6 of 120 cores" in text
    assert "no energy total for Intel Loihi 2: no price was ever published for synaptic operations" in text
    assert f"{stored:,.1f}" in text
    assert "arithmetic convention, no chip's energy" in text
    assert all(cost["source"] in text for cost in record["latency"]["figures"].values())
    by_connection = record["synops_per_sample"]["by_connection"]
    assert all(f"{counts['stored']:,.1f}" in text for counts in by_connection.values())


def test_loihi1_has_a_total_with_its_band_and_static_energy_apart(capsys: pytest.CaptureFixture[str]) -> None:
    energy = as_json(capsys, "--target", "loihi1", *FEW)["energy_per_sample"]
    assert energy["refused_for"] == []
    total = sum(entry["joules"] for entry in energy["entries"])
    assert energy["dynamic_joules"] == pytest.approx(total)
    assert energy["dynamic_joules_band"] == pytest.approx([total * 0.883, total * 1.117])
    assert all(entry["source"] and entry["grade"] == "fitted" for entry in energy["entries"])
    static = energy["static"]
    assert static["joules"] == pytest.approx(104.4e-3 * static["window_ns"] * 1e-9)
    main(["bench", MODEL, "--target", "loihi1", *FEW])
    text = capsys.readouterr().out
    assert f"dynamic: {1e9 * total:,.1f} nJ a sample" in text
    assert "static, apart:" in text
    assert "11.7 %" in text


def test_given_inputs_are_what_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silence = {name: np.zeros((8, 2, 1, 16, 16), np.uint8) for name in ("image", "audio")}
    np.savez(tmp_path / "x.npz", **silence)  # type: ignore[arg-type]
    record = as_json(capsys, "--target", "loihi2", "--inputs", str(tmp_path / "x.npz"))
    assert record["samples"] == 2
    assert record["synops_per_sample"]["by_connection"]["image__image_branch_lif1"]["stored"] == 0


def test_chips_and_cores_that_do_not_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert "one chip has 3 usable ones" in refusal(capsys, MODEL, "--target", "loihi2", "--cores", "3")
    assert "has 128 cores; 500 usable ones" in refusal(capsys, MODEL, "--target", "loihi2", "--cores", "500")
    two = as_json(capsys, "--target", "loihi2", "--cores", "3", "--chips", "2", *FEW)
    assert (two["placement"]["chips"], two["placement"]["cores_per_chip"]) == (2, 3)
    assert two["latency"]["messages_between_chips"] > 0
    assert "chip_link_energy" in two["energy_per_sample"]["refused_for"]


def test_a_placement_balanced_by_the_run_is_shown_beside_the_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = as_json(capsys, "--target", "loihi2", *FEW)
    record = as_json(capsys, "--target", "loihi2", "--balance", *FEW)
    assert (plain["placement"]["balanced"], record["placement"]["balanced"]) == (False, True)
    assert record["unbalanced"]["latency"] == plain["latency"]
    assert "unbalanced" not in plain
    assert record["latency"]["step_ns"]["mean"] < plain["latency"]["step_ns"]["mean"]
    main(["bench", MODEL, "--target", "loihi2", "--balance", *FEW])
    text = capsys.readouterr().out.split("balanced by this run")[1]
    for latency, placed_by in ((plain["latency"], "most possible"), (record["latency"], "this run")):
        row = next(line for line in text.splitlines() if line.strip().startswith(placed_by))
        assert f"{latency['step_ns']['mean']:.0f} ns" in row
        busiest = latency["busiest_core"]
        assert f"chip {busiest['chip']}, core {busiest['core']} (" in row


def test_a_network_without_inputs_cannot_be_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", MODEL, "--target", "loihi2", "--out", str(tmp_path / "out")])
    capsys.readouterr()
    told = refusal(capsys, str(tmp_path / "out" / "graph.nir"), "--target", "loihi2")
    assert "graph.nir holds no example inputs; give --inputs FILE.npz" in told
