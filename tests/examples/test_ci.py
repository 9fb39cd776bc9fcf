"""The workflow is one that GitHub can read, and its commands do what they say."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest

pytest.importorskip("torch", reason="a model is made")
pytest.importorskip("yaml", reason="the workflow is YAML")

import torch
import yaml

import avnir
from avnir.cli import COMMANDS
from avnir.verify.budget import budget_of, read_budgets

ROOT = Path(__file__).resolve().parent.parent.parent
WORKFLOW = ROOT / "examples" / "ci" / "verify.yml"
EVENT = {"pull_request": "github.event_name == 'pull_request'"}


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    """The file; YAML 1.1 reads its key `on` as true."""
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())
    return found


def steps(workflow: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, step) for name, job in workflow["jobs"].items() for step in job["steps"])


def test_it_has_what_a_workflow_has(workflow: dict[str, Any]) -> None:
    assert set(workflow) == {"name", True, "permissions", "env", "jobs"}
    assert set(workflow[True]) == {"push", "pull_request"}
    assert workflow["permissions"] == {"contents": "read"}
    for _, step in steps(workflow):
        assert len({"uses", "run"} & set(step)) == 1
        assert set(step) <= {"name", "uses", "with", "run", "if"}
        assert "uses" not in step or "@v" in step["uses"]
    assert workflow["jobs"]["diff"]["if"] == EVENT["pull_request"]
    uploads = [step for _, step in steps(workflow) if step.get("uses", "").startswith("actions/upload")]
    assert [step["if"] for step in uploads] == ["always()", "always()"], (
        "reports are kept of a failed gate too"
    )


def test_every_command_in_it_exists(workflow: dict[str, Any]) -> None:
    lines = [line for _, step in steps(workflow) for line in step.get("run", "").splitlines()]
    called = [shlex.split(line)[1] for line in lines if line.startswith("avnir ")]
    assert called == ["lava", "verify", "export", "export", "diff"]
    assert set(called) <= set(COMMANDS)


class Net(torch.nn.Module):
    """One layer of ten neurons."""

    def __init__(self, seed: int) -> None:
        import snntorch

        super().__init__()
        torch.manual_seed(seed)
        self.fc = torch.nn.Linear(12, 10)
        self.lif = snntorch.Leaky(beta=0.9, init_hidden=True, reset_mechanism="zero", reset_delay=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One step, `[B, 12]`."""
        out: torch.Tensor = self.lif(self.fc(x))
        return out


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with a model and its budget, and beside it the base branch's, with another model."""
    (tmp_path / "base").mkdir()
    spikes = (torch.rand(6, 4, 12) < 0.5).float()
    labels = torch.arange(4)
    for seed, path in enumerate((tmp_path / "base" / "model.pt", tmp_path / "model.pt")):
        avnir.save(Net(seed), spikes, path, time="step", labels=labels)
    (tmp_path / "avnir.toml").write_text('[models."model.pt"]\nmin_agreement = 0.5\nmax_cores = 1\n')
    return tmp_path


def test_its_commands_run(workflow: dict[str, Any], repository: Path) -> None:
    shim = repository / "bin" / "avnir"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m avnir "$@"\n')
    shim.chmod(0o755)
    page = repository / "page.md"
    path = f"{shim.parent}{os.pathsep}{os.environ['PATH']}"
    for job, step in steps(workflow):
        if "avnir " not in step.get("run", "") or "install" in step["run"] or "lava" in step["run"]:
            continue
        given = workflow["jobs"][job].get("env", {})
        subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            check=True,
            cwd=repository,
            env={**os.environ, **given, "PATH": path, "GITHUB_STEP_SUMMARY": str(page)},
            timeout=300,
        )
    assert xml.parse(repository / "out" / "verify.xml").getroot().get("failures") == "0"
    shown = page.read_text()
    assert shown.startswith((repository / "out" / "verify.md").read_text())
    assert "## avnir verify: passed" in shown
    assert "## avnir diff: out/before to out/after" in shown
    assert "| accuracy |" in shown


def test_the_budgets_of_the_examples_are_of_models_that_are_there() -> None:
    budgets = read_budgets(ROOT / "examples" / "avnir.toml")
    assert {ROOT / "examples" / name for name in budgets} == set((ROOT / "examples").glob("*.pt"))
    for table in budgets.values():
        budget = budget_of(table)
        assert budget.backends == ("cpu", "lava")
        assert len(budget.limits) == 6
        assert budget.golden is not None
        assert budget.golden.is_file()
