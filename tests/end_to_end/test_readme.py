"""What the README shows is what happens: its code and its commands run, its table is the demo's."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.conftest import ROOT, Avnir

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]


@pytest.mark.lava
@pytest.mark.usefixtures("require_lava")
def test_your_own_model(avnir: Avnir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [code] = blocks("python")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=tmp_path, timeout=120)
    np.savez("my_inputs.npz", x=np.zeros((20, 2, 64), np.uint8))
    ran = [
        c
        for c in commands()
        if c[0] == "avnir" and ("model.pt" in c or "model_loihi2" in c) and "train" not in c
    ]
    assert [c[1] for c in ran] == ["export", "verify", "run"]
    for command in ran:
        avnir(*command[1:])
    assert (tmp_path / "spikes.npz").is_file()


def test_every_command_shown_exists(avnir: Avnir) -> None:
    shown = {command[1] for command in commands() if command[0] == "avnir"}
    assert {"export", "verify", "run", "train", "lava", "doctor"} <= shown
    for name in shown:
        assert "Usage: avnir" in avnir(name, "--help").stdout
    goals = {command[1] for command in commands() if command[0] == "make"}
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{goal}:" in makefile for goal in goals)


def test_the_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


@pytest.mark.lava
@pytest.mark.usefixtures("require_lava")
def test_the_table_is_the_demos(avnir: Avnir, model: Path) -> None:
    done = avnir("verify", model, "--target", "loihi2", "--backend", "cpu", "--backend", "lava")
    shown = [line.rstrip() for line in done.stdout.splitlines() if line.strip()]
    assert "\n".join(shown) in README, "make demo prints another table; put it into the README"
