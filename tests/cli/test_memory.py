"""`avnir run --memory`: the same results, or how much is needed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avnir.cli import main, memory
from avnir.cli.memory import free, resident
from avnir.hardware.cpu.memory import Footprint
from avnir.testing.cases import CASES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that is shown its window twice, and inputs."""
    folder, case = tmp_path_factory.mktemp("model"), CASES["window_sum"]()
    case.program.save(folder / "program")
    np.savez(folder / "inputs.npz", **case.inputs)  # type: ignore[arg-type]
    return folder


def run(capsys: pytest.CaptureFixture[str], folder: Path, *options: object) -> dict[str, Any]:
    """What the command says, but for the seconds; how it ends is in `exit_status`, where it is refused."""
    capsys.readouterr()
    call = ["run", str(folder), "--inputs", str(folder / "inputs.npz"), "--json", *map(str, options)]
    try:
        main(call)
    except SystemExit as stop:
        assert stop.code == 2
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    record.pop("seconds", None)
    return record


@pytest.mark.parametrize("states", [(), ("--states",)], ids=["spikes", "states"])
def test_a_run_in_pieces_says_and_writes_the_same(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    tmp_path: Path,
    states: tuple[str, ...],
) -> None:
    whole = run(capsys, folder, *states, "--out", tmp_path / "whole.npz")
    monkeypatch.setattr(memory, "resident", lambda: 0)
    monkeypatch.setattr(Footprint, "share", lambda made, room, *rest: _least(made, *rest))
    pieces = run(capsys, folder, *states, "--out", tmp_path / "pieces.npz", "--memory", "1G")
    assert pieces == whole
    assert (tmp_path / "pieces.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


SHARE = Footprint.share


def _least(made: Footprint, steps: int, batch: int) -> Any:
    return SHARE(made, made.alone(1), steps, batch)


def test_too_little_is_told_with_what_is_enough(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    refused = run(capsys, folder, "--memory", "1M")
    assert refused["error"].startswith(
        "1M of memory are too little: this process with the program, its inputs"
    )
    enough = re.search(r"give --memory (\d+M) or more", refused["error"])
    assert enough is not None
    assert run(capsys, folder, "--memory", enough[1])["samples"] == 3


@pytest.mark.parametrize("size", ["4", "4Q", "-1G", "0M", "much", "G"])
def test_what_is_no_size_is_refused(capsys: pytest.CaptureFixture[str], folder: Path, size: str) -> None:
    error = run(capsys, folder, "--memory", size)["error"]
    assert f"{size!r} is no size; give a number and K, M, G or T, such as 4G or 512M" in error


@pytest.mark.parametrize("size", ["8g", "8GB", "8 GiB", "8192M", "0.0078125T"])
def test_sizes(size: str) -> None:
    assert memory.Size().convert(size, None, None) == 8 << 30


@pytest.mark.parametrize("elsewhere", [("--backend", "interpreter"), ("--workers", 1)], ids=str)
def test_only_the_engine_in_one_process_runs_in_pieces(
    capsys: pytest.CaptureFixture[str], folder: Path, elsewhere: tuple[object, ...]
) -> None:
    error = run(capsys, folder, *elsewhere, "--memory", "8G")["error"]
    assert error.startswith("--memory is for the backend cpu in one process")


def test_what_is_free_is_no_more_than_the_group_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name for name in ("limit", "used", "account")]
    monkeypatch.setattr(memory, "GROUPS", ((*files, "inactive_file"),))
    machine = free()
    assert resident() > 0 and machine > 0
    for path, text in zip(files, ("1000000", "300000", "anon 5\ninactive_file 100000\n"), strict=True):
        path.write_text(text)
    assert free() == 800_000
    files[0].write_text("max")
    assert free() > 800_000
