"""Where the environment is looked for, and that it is made whole or not at all."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from avnir.cli.lava import command
from avnir.errors import BackendError, UserError
from avnir.hardware import environments
from avnir.hardware.lava import environment, install


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("AVNIR_LAVA_ENV", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Set-ups that write the files of an environment and start nothing; `commands` is what they ran."""
    commands: list[list[str]] = []

    def run(command, progress):
        commands.append([str(part) for part in command])
        time.sleep(0.05)
        fill(Path(command[-1]) if "venv" in command else Path(command[0]).parent.parent)

    monkeypatch.setattr(environments, "run", run)
    monkeypatch.setattr(install, "smoke", lambda made: None)
    found = (Path("/usr/bin/python3.10"), "3.10")
    monkeypatch.setattr(environments, "interpreter", lambda pythons, whose, python: found)
    return commands


def fill(folder: Path, version: str = environment.LAVA_VERSION) -> None:
    (folder / "bin").mkdir(exist_ok=True, parents=True)
    (folder / "bin" / "python").touch()
    (folder / "pyvenv.cfg").touch()
    (folder / f"lib/python3.10/site-packages/lava_nc-{version}.dist-info").mkdir(exist_ok=True, parents=True)


def quiet(line: str) -> None:
    """Nobody listens."""


def test_places(cache, monkeypatch):
    assert len({environment.place(python) for python in environment.PYTHONS}) == len(environment.PYTHONS)
    assert environment.place("3.10").parent == cache / "avnir"
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(cache / "mine"))
    assert environment.place("3.10") == cache / "mine"


@pytest.mark.parametrize("python", environment.PYTHONS)
def test_an_environment_of_any_version_is_found(python):
    assert environment.find() is None
    fill(environment.place(python))
    assert environment.require().folder == environment.place(python)
    assert environment.why_missing() is None


def test_another_version_of_lava_does_not_count(cache, monkeypatch):
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(cache / "mine"))
    fill(cache / "mine", "0.9.0")
    with pytest.raises(BackendError, match=r"AVNIR_LAVA_ENV=.*holds no environment with lava-nc 0\.10\.0"):
        environment.require()


def test_set_up_once(quick):
    folder = install.setup(quiet)
    assert environment.require().folder == folder
    assert len(quick) == 2
    assert install.setup(quiet) == folder
    assert len(quick) == 2
    install.setup(quiet, force=True)
    assert len(quick) == 4


def test_two_at_once_make_one(quick):
    threads = [threading.Thread(target=install.setup, args=(quiet,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(quick) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BackendError("no network")])
def test_an_interrupted_set_up_leaves_nothing(quick, cache, monkeypatch, error):
    def smoke(made):
        raise error

    monkeypatch.setattr(install, "smoke", smoke)
    with pytest.raises(type(error)):
        install.setup(quiet)
    assert [path.name for path in (cache / "avnir").iterdir() if path.is_dir()] == []
    assert environment.find() is None


def test_leftovers_of_a_killed_set_up_are_removed(quick):
    folder = environment.place("3.10")
    left = folder.parent / f".{folder.name}.abc" / "new"
    left.mkdir(parents=True)
    install.setup(quiet)
    assert not left.parent.exists()


def test_a_folder_of_the_users_is_not_replaced(quick, cache, monkeypatch):
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(cache / "mine"))
    (cache / "mine").mkdir()
    (cache / "mine" / "thesis.tex").touch()
    with pytest.raises(UserError, match="was not written by avnir"):
        install.setup(quiet)
    assert [path.name for path in (cache / "mine").iterdir()] == ["thesis.tex"]


def test_a_command_that_fails_is_shown(capsys):
    told: list[str] = []
    with pytest.raises(BackendError, match=r"(?s)failed; nothing was set up:.*broken"):
        environments.run(
            [Path(sys.executable), "-c", "import sys; print('working'); sys.exit('broken')"], told.append
        )
    assert told == ["working", "broken"]


def test_interpreters_that_do_not_fit(tmp_path, monkeypatch):
    with pytest.raises(BackendError, match=r"does not run, but Lava needs Python 3\.10, 3\.11, 3\.12"):
        environments.interpreter(environment.PYTHONS, "Lava", tmp_path / "python")
    monkeypatch.setattr(environments, "candidates", lambda version: iter(()))
    with pytest.raises(BackendError, match=r"uv python install 3\.10"):
        environments.interpreter(environment.PYTHONS, "Lava")


def test_the_declared_version_comes_first_and_the_newest_patch(monkeypatch, tmp_path):
    for version in ("3.11.9", "3.10.9", "3.10.13"):
        python = tmp_path / "versions" / version / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\necho {python}\necho {version.rpartition('.')[0]}\n")
        python.chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    found = environments.interpreter(environment.PYTHONS, "Lava")
    assert found == (tmp_path / "versions/3.10.13/bin/python", "3.10")


def test_the_command_line(quick):
    runner = CliRunner()
    before = runner.invoke(command, ["status", "--json"])
    assert before.exit_code == 2
    assert json.loads(before.stdout)["ready"] is False
    made = runner.invoke(command, ["setup", "--json"])
    assert made.exit_code == 0
    assert json.loads(made.stdout) == {"environment": str(environment.place("3.10"))}
    after = runner.invoke(command, ["status"])
    assert after.exit_code == 0
    assert str(environment.place("3.10")) in after.stdout
