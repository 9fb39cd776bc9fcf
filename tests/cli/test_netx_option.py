"""`avnir export --netx`: the file, what is said about it, and refusals before anything is written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from avnir.cli import main
from avnir.export.nir_write import write_nir
from avnir.hardware.lava import netx_run
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program
from tests.export.nir_cases import chain

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `avnir export ARGUMENTS --target loihi2 --netx` in this process: exit status, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = 0
        try:
            main(["export", *map(str, arguments), "--target", "loihi2", "--netx"])
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_nir(chain("zero"), tmp_path / "net.nir")
    return tmp_path / "net.nir"


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    spikes = (np.random.default_rng(0).random((30, 4, 6)) < 0.5).astype(np.uint8)
    np.savez(tmp_path / "x.npz", image=spikes)
    return tmp_path / "x.npz"


def test_the_file_is_the_program_beside_it(run: Run, model: Path, tmp_path: Path) -> None:
    status, said, _ = run(model, "--json")
    record = json.loads(said)
    assert status == 0
    assert record["netx"] == {"not_run": "there are no example inputs", "per_neuron": ["lif1", "lif2"]}
    assert "netx.net" in record["files"]
    program = Program.load(tmp_path / "net_loihi2/program")
    assert program.provenance["form"] == "netx"
    assert program.digest == json.loads((tmp_path / "net_loihi2/placement.json").read_text())["program"]
    with h5py.File(tmp_path / "net_loihi2/netx.net") as file:
        assert np.array_equal(file["layer/1/bias"][()], program.graph["lif1"].op.bias_mantissa)


def test_what_is_said(run: Run, model: Path) -> None:
    status, said, _ = run(model)
    assert status == 0
    assert "netx.net was written, but not run: there are no example inputs" in said
    assert "in netx.net thresholds or decays differ within lif1, lif2" in said


def test_without_lava_dl_the_remedy_is_said(
    run: Run, model: Path, inputs: Path, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(tmp_path))
    status, said, _ = run(model, "--inputs", inputs)
    assert status == 0
    assert "netx.net was written, but not run" in said
    assert "run `avnir lava setup --netx`" in said


def test_a_difference_ends_it(run: Run, model: Path, inputs: Path, monkeypatch, tmp_path) -> None:
    def wrong(file, program, given):
        assert file.name == "netx.net"
        trace = interpret_integer(program.graph, given)
        trace.spikes["lif2"][7, 1, 2] ^= 1
        return trace

    monkeypatch.setattr(netx_run, "netx_missing", lambda: None)
    monkeypatch.setattr(netx_run, "run_netx", wrong)
    status, _, said = run(model, "--inputs", inputs)
    assert status == 1
    assert "netx differs from the integers: lif2, neuron (2,), step 7, sample 1" in said
    assert not (tmp_path / "net_loihi2").exists()


def test_soft_resets_are_refused_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    write_nir(chain("subtract"), tmp_path / "net.nir")
    status, _, said = run(tmp_path / "net.nir")
    assert status == 2
    assert "netx cannot hold this network exactly" in said
    assert said.count("its reset is 'subtract', but netx's is 'zero'") == 2
    assert not (tmp_path / "net_loihi2").exists()


@pytest.mark.lava
def test_netx_runs_it_over_the_examples(run: Run, model: Path, inputs: Path) -> None:
    if missing := netx_run.netx_missing():
        (pytest.fail if os.environ.get("AVNIR_REQUIRE_LAVA") == "1" else pytest.skip)(missing)
    status, said, _ = run(model, "--inputs", inputs)
    assert status == 0
    assert "lava-dl's netx runs netx.net: equal in all 1,080 spike slots" in said
