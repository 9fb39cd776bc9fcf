"""The three systems through the real command line: the networks that come with the project, and a new one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from examples.systems.pretrained import DIGEST, OPTIONS
from tests.end_to_end.conftest import ROOT, Avnir, as_json

PRESENTATIONS = {"scmrl": 3, "l2act": 1, "taaf": 1}
"""How often a chip is shown a window: S-CMRL sums over the window, and gates what it sums over it again."""
MAX_LOSS = 0.01
"""A point of accuracy may go to quantisation."""

systems = pytest.mark.parametrize("system", PRESENTATIONS)


def file_of(system: str) -> Path:
    return ROOT / "examples" / f"{system}.pt"


def card_of(system: str) -> str:
    return (ROOT / "models" / "cards" / f"{system}.md").read_text(encoding="utf-8")


@systems
def test_the_file_is_small_and_what_its_card_says(system: str) -> None:
    from avnir.export import load

    saved = load(file_of(system))
    assert file_of(system).stat().st_size < 2 << 20
    assert saved.notes["data"] == "generated digits"
    assert saved.notes["test_accuracy"] >= 0.97
    assert saved.architecture is not None
    name, config = saved.architecture
    assert name == system
    assert settings(OPTIONS[system]).items() <= {k: str(v) for k, v in config.items()}.items()
    assert f"$ avnir train {system} {OPTIONS[system]} " in card_of(system)
    assert f"{100 * saved.notes['test_accuracy']:.2f} % of {saved.notes['test_pairs']}" in card_of(system)


def settings(options: str) -> Mapping[str, str]:
    words = options.split()
    return dict(value.split("=") for key, value in pairwise(words) if key == "--set")


@systems
@pytest.mark.lava
@pytest.mark.usefixtures("require_lava")
def test_every_stage_has_every_spike(avnir: Avnir, system: str) -> None:
    backends = ("--backend", "cpu", "--backend", "lava")
    record = as_json(
        avnir("verify", file_of(system), "--target", "loihi2", *backends, "--samples", 2, "--json")
    )
    pairs = {(one["first"], one["second"]): one for one in record["exact"]}
    assert set(pairs) == {("model", "graph"), ("snntorch", "graph"), ("integer", "cpu"), ("integer", "lava")}
    for comparison in pairs.values():
        assert comparison["identical"], comparison["divergence"]
        assert all(layer["equal"] == layer["slots"] > 0 for layer in comparison["layers"])
        assert all(min(layer["spikes"].values()) > 0 for layer in comparison["layers"])
    assert record["rounding_ties"] == []
    assert 0.85 < record["quantisation"]["agreement"] < 1
    assert f"`{record['program'][:DIGEST]}`" in card_of(system), "run: python -m examples.systems pretrained"


@systems
def test_the_exported_program_decides_as_the_network(avnir: Avnir, system: str, tmp_path: Path) -> None:
    from avnir.export import load
    from avnir.ir.presentations import presentations
    from avnir.program import Program

    out, inputs, saved = tmp_path / "exported", tmp_path / "inputs.npz", load(file_of(system))
    np.savez(inputs, **saved.inputs, labels=saved.labels)  # type: ignore[arg-type]
    avnir("export", file_of(system), "--target", "loihi2", "--out", out)
    assert presentations(Program.load(out / "program").graph) == PRESENTATIONS[system]
    run = as_json(avnir("run", out, "--inputs", inputs, "--json"))
    floats = float(np.mean(saved.decision.classes(saved.recorded) == saved.labels))
    assert run["samples"] == 20
    assert run["accuracy"] >= floats - MAX_LOSS


def test_from_training_to_proof(avnir: Avnir, tmp_path: Path) -> None:
    model, out = tmp_path / "model.pt", tmp_path / "exported"
    budget = ("--subset", 200, "--epochs", 1, "--set", "width=8", "--set", "score_hidden=8")
    trained = as_json(
        avnir("train", "taaf", "--data", "generator", *budget, "--examples", 6, "--out", model, "--json")
    )
    assert trained["train_pairs"] == 200
    avnir("export", model, "--target", "loihi2", "--out", out)
    record = as_json(avnir("verify", model, "--target", "loihi2", "--json"))
    assert record["equal"]
    assert record["samples"] == 6
    assert (out / "program" / "program.json").is_file()
