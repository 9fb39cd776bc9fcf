"""The command line: help, exit statuses, one clear message for each wrong input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from avnir.cli import COMMANDS, main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `avnir ARGUMENTS` in this process: exit status, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = 0
        try:
            main(list(arguments))
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_help_lists_every_command(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    status, out, _ = run(name, "--help")
    assert status == 0
    assert "Usage: avnir" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("frobnicate",), "No such command 'frobnicate'"),
        (("targets", "loihi9"), "there is no target 'loihi9'; known are loihi1, loihi2"),
        (
            ("run", "nowhere", "--inputs", "x.npz", "--backend", "abacus"),
            "there is no backend 'abacus'; installed are",
        ),
        (("run", "nowhere", "--inputs", "x.npz"), "nowhere cannot be read as a program"),
        (("run", "nowhere"), "Missing option '--inputs'"),
        (("verify", "m.pt", "--min-accuracy", "7"), "7.0 is not in the range"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(run: Run, arguments: tuple[str, ...], message: str) -> None:
    status, out, err = run(*arguments)
    assert status == 2
    assert err.startswith("avnir: ")
    assert message in err
    assert "Traceback" not in err
    assert not out


def test_errors_are_json_too(run: Run) -> None:
    status, out, err = run("targets", "loihi9", "--json")
    assert status == 2
    assert json.loads(out) == {"error": err.removeprefix("avnir: ").strip(), "exit_status": 2}


def test_targets_as_json(run: Run) -> None:
    status, out, _ = run("targets", "--json")
    assert status == 0
    assert json.loads(out)["loihi2"]["costs"]["synaptic_operation_energy"]["value"] is None


def test_targets_as_a_table_names_sources(run: Run) -> None:
    status, out, _ = run("targets", "loihi1")
    assert status == 0
    assert "Davies" in out


def test_doctor_names_every_backend(run: Run) -> None:
    status, out, _ = run("doctor", "--json")
    assert status == 0
    assert set(json.loads(out)["backends"]) >= {"cpu", "interpreter", "lava", "lava-runtime", "loihi2"}
    assert run("doctor")[0] == 0


def test_a_bug_is_status_3_and_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("avnir.target.load", broken)
    status, _, err = run("targets", "loihi1")
    assert status == 3
    assert "this is a bug in avnir (ZeroDivisionError: oops)" in err


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch", "torch"), ("lightning_fabric.fabric", "models"), ("tensorboard", "models"), ("av", "models")],
)
def test_a_missing_extra_names_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr("avnir.target.load", missing)
    status, _, err = run("targets", "loihi1")
    assert status == 2
    assert f'pip install "avnir[{extra}]"' in err


def test_python_m_avnir(tmp_path: Path) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "avnir", "--version"], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.startswith("avnir, version ")
