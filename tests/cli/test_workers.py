"""`--workers` and `--scheduler` of `run`, `verify` and `bench`: what they say and write is the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avnir import target
from avnir.cli import main
from avnir.compile import compile_graph
from avnir.export import write_nir
from avnir.many.clusters import on_this_machine
from tests.networks import audio_visual

Json = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program, its network as NIR, and inputs of more samples than one part has."""
    folder = tmp_path_factory.mktemp("model")
    compiled = compile_graph(audio_visual(0, reset="zero"), target.load("loihi2"))
    compiled.program.save(folder / "program")
    write_nir(compiled.nir_graph, folder / "net.nir")
    rng = np.random.default_rng(0)
    inputs = {
        node.name: (rng.random((6, 70, *compiled.nir_graph.shapes[node.name])) < 0.4).astype(np.uint8)
        for node in compiled.nir_graph.inputs
    }
    np.savez(folder / "inputs.npz", labels=rng.integers(0, 5, 70), **inputs)  # type: ignore[arg-type]
    return folder


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a scheduler with two workers."""
    with on_this_machine(2) as client:
        yield str(client.scheduler_info()["address"])


@pytest.fixture
def as_json(capsys: pytest.CaptureFixture[str]) -> Json:
    def call(*arguments: object) -> dict[str, Any]:
        capsys.readouterr()
        main([*map(str, arguments), "--json"])
        record: dict[str, Any] = json.loads(capsys.readouterr().out)
        record.pop("seconds", None)
        return record

    return call


def test_run_writes_the_same_trace(as_json: Json, folder: Path, tmp_path: Path, address: str) -> None:
    call = ("run", folder, "--inputs", folder / "inputs.npz", "--states", "--out")
    here = as_json(*call, tmp_path / "here.npz")
    there = as_json(*call, tmp_path / "there.npz", "--scheduler", address)
    assert here == there
    assert (tmp_path / "here.npz").read_bytes() == (tmp_path / "there.npz").read_bytes()


def test_bench_counts_the_same(as_json: Json, folder: Path) -> None:
    call = ("bench", folder / "net.nir", "--inputs", folder / "inputs.npz", "--target", "loihi1", "--balance")
    assert as_json(*call) == as_json(*call, "--workers", 2)


def test_verify_finds_the_same(as_json: Json, folder: Path, address: str) -> None:
    call = ("verify", folder / "net.nir", "--inputs", folder / "inputs.npz", "--backend", "cpu")
    here, there = as_json(*call), as_json(*call, "--scheduler", address)
    assert here["quantisation"]["agreement"] < 1
    assert here == there
