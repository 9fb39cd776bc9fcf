"""`--memory` of `verify` and `bench`: the same words, files and figures, or how much is needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.export import write_nir
from avnir.pieces import Need
from tests.cli.calls import Run
from tests.networks import audio_visual

MODEL = Path(__file__).parents[2] / "examples" / "av_digits.pt"
SAMPLES = 13
VERIFY = ("verify", "net.nir", "--inputs", "x.npz", "--max-latency", "1s")
BENCH = ("bench", "net.nir", "--inputs", "x.npz", "--target")
RoomFor = Callable[[int], list[int]]
SECONDS = re.compile(r'time="[^"]*"|\d+\.\d+ s\b')


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `net.nir` and inputs; floating point takes 4 samples together."""
    graph = compile_graph(audio_visual(0, reset="zero"), target.load("loihi2")).nir_graph
    write_nir(graph, tmp_path / "net.nir")
    rng = np.random.default_rng(0)
    inputs: dict[str, Any] = {
        node.name: (rng.random((6, SAMPLES, *graph.shapes[node.name])) < 0.4).astype(np.uint8)
        for node in graph.inputs
    }
    np.savez(tmp_path / "x.npz", labels=rng.integers(0, 5, SAMPLES), **inputs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setattr("avnir.many.samples.FLOAT_SAMPLES", 4)
    return tmp_path


SAMPLES_WITHIN = Need.samples


@pytest.fixture
def room_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Called with a number: so many samples fit into memory, or the fewest; gives how many were at work."""

    def so_many(samples: int) -> list[int]:
        at_work: list[int] = []

        def within(need: Need, room: int, batch: int, together: int = 1) -> int:
            few = need.once + max(samples, min(together, batch)) * need.each
            at_work.append(SAMPLES_WITHIN(need, few, batch, together))
            return at_work[-1]

        monkeypatch.setattr(Need, "samples", within)
        return at_work

    return so_many


def record(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    found.pop("seconds", None)
    return found


@pytest.mark.parametrize("samples", [1, 9])
def test_verify_says_and_writes_the_same(run: Run, folder: Path, room_for: RoomFor, samples: int) -> None:
    files = {"--record": "golden.npz", "--junit": "tests.xml", "--summary": "page.md"}
    written: list[dict[str, str | bytes]] = []
    said: list[Any] = []
    for taken in (SAMPLES, samples):
        at_work = room_for(taken)
        status, out, _ = run(*VERIFY, *(word for option in files.items() for word in option), "--json")
        said.append((status, record(out)))
        written.append({"golden.npz": (folder / "golden.npz").read_bytes()})
        written[-1] |= {
            name: SECONDS.sub("", (folder / name).read_text()) for name in ("tests.xml", "page.md")
        }
        for name in files.values():
            (folder / name).unlink()
    assert at_work == [{1: 4, 9: 8}[samples]]
    assert said[0] == said[1]
    assert said[0][0] == 0
    assert said[0][1]["measures"]["latency"] > 0
    assert written[0] == written[1]


def test_a_golden_trace_is_checked_the_same(run: Run, room_for: RoomFor) -> None:
    assert run(*VERIFY, "--record", "golden.npz")[0] == 0
    other = (*VERIFY, "--golden", "golden.npz", "--weight-bits", 6, "--json")
    status, out, err = run(*other)
    assert status == 1
    room_for(4)
    again = run(*other)
    assert (again[0], record(again[1]), again[2]) == (status, record(out), err)
    assert "the integers differ from golden.npz, first at" in err
    assert run(*VERIFY, "--golden", "golden.npz")[0] == 0


@pytest.mark.parametrize("samples", [1, 5])
@pytest.mark.parametrize("options", [("loihi1", "--balance"), ("loihi2",)], ids=" ".join)
def test_bench_finds_the_same(run: Run, room_for: RoomFor, samples: int, options: tuple[str, ...]) -> None:
    whole = run(*BENCH, *options, "--json")
    at_work = room_for(samples)
    assert run(*BENCH, *options, "--json") == whole
    assert at_work == [samples]
    assert whole[0] == 0


def test_a_model_is_compared_with_snntorch_the_same(run: Run, room_for: RoomFor) -> None:
    pytest.importorskip("torch")
    call = ("verify", MODEL, "--samples", 10, "--json")
    status, out, _ = run(*call)
    room_for(4)
    again = run(*call)
    assert (again[0], record(again[1])) == (status, record(out))
    assert status == 0
    assert [pair["first"] for pair in record(out)["exact"]] == ["model", "snntorch", "integer"]


@pytest.mark.parametrize(
    ("call", "least"), [(VERIFY, "4 samples"), ((*BENCH, "loihi2"), "one sample")], ids=["verify", "bench"]
)
def test_too_little_is_told_with_what_is_enough(run: Run, call: tuple[str, ...], least: str) -> None:
    status, _, err = run(*call, "--memory", "1M", "--json")
    assert status == 2
    told = f"avnir: 1M of memory are too little: this process with the program, its inputs and {least} takes "
    assert err.startswith(told)
    enough = re.search(r"give --memory (\d+M) or more", err)
    assert enough is not None
    whole, fitted = run(*call, "--json"), run(*call, "--json", "--memory", enough[1])
    assert (fitted[0], record(fitted[1])) == (whole[0], record(whole[1]))
    assert whole[0] == 0


@pytest.mark.parametrize("call", [VERIFY, (*BENCH, "loihi2")], ids=["verify", "bench"])
@pytest.mark.parametrize("elsewhere", [("--workers", 2), ("--scheduler", "tcp://nowhere:1")], ids=str)
def test_only_one_process_keeps_to_a_budget(
    run: Run, call: tuple[str, ...], elsewhere: tuple[object, ...]
) -> None:
    status, out, err = run(*call, *elsewhere, "--memory", "8G")
    assert (status, out) == (2, "")
    assert err == (
        "avnir: --memory is for one process, which takes some samples after others; leave out --workers and "
        "--scheduler, or use fewer --samples\n"
    )


def test_the_command_itself_keeps_to_a_budget(run: Run) -> None:
    call = [*BENCH, "loihi1", "--json"]
    found = subprocess.run(
        [sys.executable, "-m", "avnir", *call, "--memory", "1G"], capture_output=True, check=True, text=True
    )
    assert (found.stdout, found.stderr) == run(*call)[1:]
