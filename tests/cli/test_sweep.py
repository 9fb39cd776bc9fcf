"""`avnir sweep`: the same lines wherever the points are measured, whatever is killed on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from avnir import target
from avnir.cli import main
from avnir.compile import compile_graph
from avnir.export import read_nir, write_nir
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.real import Input, Lif, Linear, Output
from avnir.passes.scale_thresholds import ScaleThresholds
from tests.cli.calls import Run

FEW = ("--weight-bits", "3", "--weight-bits", "8", "--threshold-scale", "1.0", "--threshold-scale", "1.25")
MANY = (
    *(part for name in ("loihi1", "loihi2") for part in ("--target", name)),
    *(part for bits in range(2, 9) for part in ("--weight-bits", str(bits))),
    *(part for scale in (0.8, 1.0, 1.2) for part in ("--threshold-scale", str(scale))),
)
POINTS = 2 * 7 * 3


def network(reset: str) -> Graph:
    """40 inputs, 60 and 5 neurons."""
    rng = np.random.default_rng(0)
    neuron = Lif(np.array(0.8), np.array(1.0), np.array(1.0), reset)
    nodes = (
        Node("x", Input((40,))),
        Node("hidden", Linear(rng.normal(0, 0.3, (60, 40))), ("x",)),
        Node("lif", neuron, ("hidden",)),
        Node("last", Linear(rng.normal(0, 0.3, (5, 60))), ("lif",)),
        Node("lif_out", neuron, ("last",)),
        Node("out", Output((5,)), ("lif_out",)),
    )
    return compile_graph(verified(Graph("real", nodes)), target.load("loihi2")).nir_graph


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A NIR file and its inputs, as arguments: nothing of it needs torch."""
    folder = tmp_path_factory.mktemp("model")
    write_nir(network("zero"), folder / "net.nir")
    rng = np.random.default_rng(0)
    spikes = (rng.random((6, 70, 40)) < 0.4).astype(np.uint8)
    np.savez(folder / "inputs.npz", x=spikes, labels=rng.integers(0, 5, 70))
    return str(folder / "net.nir"), "--inputs", str(folder / "inputs.npz")


@pytest.fixture(scope="module")
def expected(model: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The lines of all points, measured in one process."""
    out = tmp_path_factory.mktemp("expected") / "lines.jsonl"
    main(["sweep", *model, *MANY, "--out", str(out)])
    lines = sorted_lines(out)
    assert len(lines) == POINTS
    return lines


def sorted_lines(path: Path) -> list[bytes]:
    return sorted(path.read_bytes().splitlines())


def written(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""A shell starts what runs in its background with Ctrl-C ignored, and so what the tests start there."""


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", INTERRUPTIBLE, "-W", "error", "-m", "avnir", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(done: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until it is so, as long as the process is there."""
    while not done() and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()


def workers_of(pid: int) -> list[psutil.Process]:
    """The worker processes that a command, or a Dask worker's nanny, has started."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_a_line_holds_what_export_and_bench_say(run: Run, model: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    status, said, error = run("sweep", *model, "--samples", 20, *FEW, "--target", "loihi1", "--out", out)
    assert (status, error) == (0, "")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    settings = [(line["target"], line["weight_bits"], line["threshold_scale"]) for line in lines]
    assert settings == [("loihi1", 3, 1.0), ("loihi1", 8, 1.0), ("loihi1", 3, 1.25), ("loihi1", 8, 1.25)]
    graph = ScaleThresholds(1.25)(read_nir(Path(model[0])))[0]
    assert lines[3]["program"] == compile_graph(graph, target.load("loihi1")).program.digest
    _, told, _ = run("bench", *model, "--samples", 20, "--target", "loihi1", "--weight-bits", 3, "--json")
    bench = json.loads(told)
    assert lines[0]["program"] == bench["program"]
    assert lines[0]["synops_per_sample"] == pytest.approx(bench["synops_per_sample"]["total"])
    assert lines[0]["placement"]["cores"] == bench["placement"]["cores"]
    assert lines[0]["latency"]["window_ns"] == pytest.approx(bench["latency"]["window_ns"]["mean"])
    energy = bench["energy_per_sample"]
    assert lines[0]["energy_per_sample"]["dynamic_joules"] == pytest.approx(energy["dynamic_joules"])
    _, told, _ = run("verify", *model, "--samples", 20, "--target", "loihi1", "--weight-bits", 3, "--json")
    verified = json.loads(told)
    assert lines[0]["agreement"] == verified["quantisation"]["agreement"]
    assert lines[0]["accuracy"] == {
        "float": verified["accuracy"]["graph"],
        "deployed": verified["accuracy"]["integer"],
    }
    by_layer = {layer["layer"]: layer["agreement"] for layer in verified["quantisation"]["layers"]}
    assert lines[0]["agreement_by_layer"] == by_layer
    assert "20 samples x 6 steps, nothing was measured on silicon" in said
    assert f"4 points: {out}" in said


def test_the_best_accuracy_comes_first(run: Run, model: tuple[str, ...], tmp_path: Path) -> None:
    status, said, error = run("sweep", *model, *FEW, "--out", tmp_path / "lines.jsonl", "--json")
    assert (status, error) == (0, "")
    points = json.loads(said)["points"]
    merits = [(point["accuracy"]["deployed"], point["agreement"]) for point in points]
    assert len(merits) == 4
    assert merits == sorted(merits, reverse=True)


def test_a_killed_worker_loses_nothing(model: tuple[str, ...], expected: list[bytes], tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    command = started("sweep", *model, *MANY, "--workers", 2, "--out", out)
    until(lambda: written(out) >= 2, command)
    workers = workers_of(command.pid)
    workers[0].send_signal(signal.SIGKILL)
    assert written(out) < POINTS
    _, error = command.communicate(timeout=300)
    assert (command.returncode, error) == (0, "")
    assert sorted_lines(out) == expected
    assert not any(worker.is_running() for worker in workers)


def test_a_killed_sweep_goes_on(
    run: Run, model: tuple[str, ...], expected: list[bytes], tmp_path: Path
) -> None:
    out = tmp_path / "lines.jsonl"
    command = started("sweep", *model, *MANY, "--workers", 1, "--out", out)
    until(lambda: written(out) >= 2, command)
    workers = workers_of(command.pid)
    command.kill()
    command.communicate(timeout=300)
    gone, alive = psutil.wait_procs(workers, timeout=200)
    assert (len(gone), alive) == (1, [])
    with out.open("ab") as file:
        file.write(b'{"accuracy": {"depl')
    before = written(out)
    kept = out.read_bytes()
    assert 2 <= before < POINTS
    status, said, error = run("sweep", *model, *MANY, "--out", out)
    assert status == 0
    assert f"{out}: its last line was torn (19 bytes) and is dropped" in error
    assert f"{POINTS} points, {before} of them from before: {out}" in said
    assert out.read_bytes().startswith(kept[:-19])
    assert sorted_lines(out) == expected
    complete = out.read_bytes()
    status, said, _ = run("sweep", *model, *MANY, "--out", out)
    assert (status, out.read_bytes()) == (0, complete)
    assert f"{POINTS} points, {POINTS} of them from before" in said


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A scheduler's address, and the process of a `dask worker` that has joined it."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    log = (tmp_path / "log").open("wb")
    at: tuple[str, ...] = ("--host", "127.0.0.1", "--no-dashboard")
    at += ("--scheduler-file", str(file))
    worker = ("worker", *at, "--nthreads", "2", "--local-directory", str(tmp_path))
    commands = (("scheduler", *at, "--port", "0"), worker)
    processes = [subprocess.Popen([*dask, *command], stdout=log, stderr=log) for command in commands]
    until_there = time.monotonic() + 200
    while not file.exists() and time.monotonic() < until_there:
        time.sleep(0.05)
    yield json.loads(file.read_text())["address"], processes[1].pid
    for process in reversed(processes):
        process.terminate()
        process.wait(200)
    log.close()


def test_a_schedulers_workers_write_the_same_lines(
    scheduler: tuple[str, int], model: tuple[str, ...], expected: list[bytes], tmp_path: Path
) -> None:
    address, nanny = scheduler
    out = tmp_path / "lines.jsonl"
    command = started("sweep", *model, *MANY, "--scheduler", address, "--out", out)
    until(lambda: written(out) >= 2, command)
    [worker] = workers_of(nanny)
    worker.send_signal(signal.SIGKILL)
    assert written(out) < POINTS
    _, error = command.communicate(timeout=300)
    assert command.returncode == 0, error
    assert sorted_lines(out) == expected


def test_ctrl_c_ends_everything_and_says_how_to_go_on(model: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    command = started("sweep", *model, *MANY, "--workers", 1, "--out", out)
    until(lambda: written(out) >= 2, command)
    workers = workers_of(command.pid)
    for process in (*workers, psutil.Process(command.pid)):  # as a terminal does
        process.send_signal(signal.SIGINT)
    _, error = command.communicate(timeout=300)
    assert command.returncode == 130
    assert error.split("\n") == [
        f"{written(out)} of {POINTS} points were measured and are in {out}; the same command goes on",
        *("", "avnir: stopped", ""),
    ]
    assert not any(worker.is_running() for worker in workers)


def test_what_cannot_be_made_has_a_line_with_the_reason(run: Run, tmp_path: Path) -> None:
    write_nir(network("subtract"), tmp_path / "net.nir")
    np.savez(tmp_path / "inputs.npz", x=np.ones((4, 2, 40), np.uint8))
    model = (tmp_path / "net.nir", "--inputs", tmp_path / "inputs.npz")
    out = tmp_path / "lines.jsonl"
    status, said, _ = run("sweep", *model, "--target", "loihi1", "--target", "loihi2", "--out", out)
    assert status == 0
    refused, made = (json.loads(line) for line in out.read_text().splitlines())
    assert "programmable" in refused["refused"]
    assert "program" not in refused
    assert (made["refused"], made["accuracy"]) == (None, None)
    assert f"loihi1 8 1: {refused['refused']}" in said
    status, _, error = run("sweep", *model, "--cores", 500, "--out", out)
    assert (status, error) == (0, "")
    assert "500 usable ones" in json.loads(out.read_text().splitlines()[2])["refused"]


def test_a_file_of_another_model_is_refused(run: Run, model: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    run("sweep", *model, "--samples", 2, "--out", out)
    line: dict[str, Any] = json.loads(out.read_text())
    out.write_text(json.dumps({**line, "model": "f" * 64}) + "\n")
    status, _, error = run("sweep", *model, "--samples", 2, "--out", out)
    assert status == 2
    assert f"{out}, line 1, is of another model (ffffffffffff, but this is {line['model'][:12]})" in error
    assert written(out) == 1
    out.write_text('{"loss": 0.5}\n')
    status, _, error = run("sweep", *model, "--samples", 2, "--out", out)
    assert status == 2
    assert "line 1, is not of format avnir-sweep-1" in error


def test_other_inputs_and_versions_are_other_points(run: Run, model: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    for samples in (2, 3, 2):
        run("sweep", *model, "--samples", samples, "--out", out)
    assert [json.loads(line)["samples"] for line in out.read_text().splitlines()] == [2, 3]
    out.write_text(out.read_text().replace('"avnir": "', '"avnir": "0.0.'))
    run("sweep", *model, "--samples", 2, "--out", out)
    assert [json.loads(line)["samples"] for line in out.read_text().splitlines()] == [2, 3, 2]


def test_what_is_asked_wrongly(
    run: Run, model: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "lines.jsonl"
    status, _, error = run("sweep", *model, "--out", out, "--workers", 2, "--scheduler", "tcp://there:1")
    assert status == 2
    assert "--workers starts processes here, --scheduler has its own; give one of them" in error
    status, _, error = run("sweep", *model, "--out", out, "--scheduler", "nonsense://there")
    assert status == 2
    assert "no Dask scheduler answers at 'nonsense://there'" in error
    for wrong in ("0", "nan", "inf"):
        assert run("sweep", *model, "--out", out, "--threshold-scale", wrong)[0] == 2
    status, _, error = run("sweep", *model, "--out", out, "--target", "loihi9")
    assert (status, out.exists()) == (2, True)
    assert "there is no target 'loihi9'" in error
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, error = run("sweep", *model, "--out", out, "--workers", 2)
    assert status == 2
    assert error == (
        'avnir: this needs distributed, which is not installed; run: pip install "avnir[distributed]"\n'
    )
    assert out.read_bytes() == b""
