"""The main job on the network that comes with the project, through the real command line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.conftest import ROOT, Avnir, as_json

PROGRAM = {"program/arrays.npz", "program/program.json", "program.nir"}
FILES = {"graph.nir", "lava.py", "placement.json", "report.html", *PROGRAM}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.lava
@pytest.mark.usefixtures("require_lava")
def test_verify_on_the_cpu_engine_and_in_lava(avnir: Avnir, model: Path) -> None:
    done = avnir("verify", model, "--target", "loihi2", "--backend", "cpu", "--backend", "lava", "--json")
    record = as_json(done)
    pairs = {(c["first"], c["second"]): c for c in record["exact"]}
    assert set(pairs) == {("model", "graph"), ("snntorch", "graph"), ("integer", "cpu"), ("integer", "lava")}
    for comparison in pairs.values():
        assert comparison["identical"]
        assert len(comparison["layers"]) >= 7
        assert all(layer["equal"] == layer["slots"] > 0 for layer in comparison["layers"])
        assert all(min(layer["spikes"].values()) > 0 for layer in comparison["layers"])
    assert record["rounding_ties"] == []
    assert 0.9 < record["quantisation"]["agreement"] < 1
    assert set(record["accuracy"]) == {"model", "snntorch", "graph", "integer", "cpu", "lava"}
    assert min(record["accuracy"].values()) >= 0.95


def test_export_writes_the_whole_folder_and_its_manifest(avnir: Avnir, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    record = as_json(avnir("export", model, "--target", "loihi2", "--out", out, "--explain", "--json"))
    manifest = json.loads((out / "manifest.json").read_text())
    assert set(manifest["files"]) == FILES
    for name, wanted in manifest["files"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == wanted
    assert manifest["model"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert manifest["silicon"] == "not tested on silicon"
    assert any("delayed by" in note for note in record["notes"])
    assert str(tmp_path) not in "".join(p.decode(errors="ignore") for p in bytes_of(out).values())


def test_same_input_same_bytes(avnir: Avnir, model: Path, tmp_path: Path) -> None:
    made = []
    for seed in ("0", "4711"):
        out = tmp_path / seed
        avnir("export", model, "--target", "loihi2", "--out", out, PYTHONHASHSEED=seed)
        made.append(bytes_of(out))
    avnir("export", model, "--target", "loihi2", "--out", out, PYTHONHASHSEED="1")  # over the earlier one
    assert made[0] == made[1] == bytes_of(out)


@pytest.mark.lava
@pytest.mark.usefixtures("require_lava")
def test_an_exported_folder_runs_alike_everywhere(avnir: Avnir, model: Path, tmp_path: Path) -> None:
    from avnir.export import load
    from avnir.trace import Trace
    from avnir.verify.compare import compare

    checkpoint = load(model)
    out, inputs = tmp_path / "exported", tmp_path / "inputs.npz"
    np.savez(inputs, **{n: a[:, :6] for n, a in checkpoint.inputs.items()}, labels=checkpoint.labels[:6])
    avnir("export", model, "--target", "loihi2", "--out", out)
    traces = []
    for backend in ("cpu", "interpreter", "lava", "lava-runtime"):
        to = tmp_path / f"{backend}.npz"
        record = as_json(avnir("run", out, "--inputs", inputs, "--backend", backend, "--out", to, "--json"))
        assert record["samples"] == 6
        assert record["accuracy"] >= 0.5
        traces.append(Trace.load(to))
    assert all(compare(traces[0], other, ("a", "b")).identical for other in traces[1:])


def test_the_nir_file_gives_the_same_program(avnir: Avnir, model: Path, tmp_path: Path) -> None:
    from avnir import target
    from avnir.compile import compile_graph
    from avnir.export import load, read_nir
    from avnir.ir.interpret_real import interpret_real
    from avnir.program import Program
    from avnir.verify.compare import compare

    out = tmp_path / "exported"
    avnir("export", model, "--target", "loihi2", "--out", out)
    graph = read_nir(out / "graph.nir")
    again = compile_graph(graph, target.load("loihi2")).program
    written = Program.load(out / "program")
    assert again == written
    assert again.digest == written.digest
    checkpoint = load(model)
    assert compare(checkpoint.recorded, interpret_real(graph, checkpoint.inputs), ("model", "nir")).layers
    for layer in compare(
        checkpoint.recorded, interpret_real(graph, checkpoint.inputs), ("model", "nir")
    ).layers:
        assert layer.equal == layer.slots


def test_gates_decide_the_exit_status(avnir: Avnir, model: Path) -> None:
    avnir("verify", model, "--samples", 4, "--min-agreement", 0.9, "--min-accuracy", 0.9)
    failed = avnir("verify", model, "--samples", 4, "--min-agreement", 0.99999, status=1)
    assert "spike agreement of the integers is" in failed.stderr
    failed = avnir("verify", model, "--samples", 4, "--max-synops", 10, "--json", status=1)
    assert "SynOps a sample, above 10" in failed.stderr


def test_onnx_runtime_is_one_more_reference(avnir: Avnir, model: Path, tmp_path: Path) -> None:
    record = as_json(avnir("verify", model, "--samples", 10, "--backend", "onnxruntime", "--json"))
    pairs = {(c["first"], c["second"]): c["identical"] for c in record["exact"]}
    assert pairs == {("model", "graph"): True, ("snntorch", "graph"): True, ("onnxruntime", "graph"): True}
    out = tmp_path / "exported"
    written = as_json(avnir("export", model, "--target", "loihi2", "--out", out, "--onnx", "--json"))
    assert set(written["files"]) == {*FILES, "step.onnx"}


def test_fewer_bits_agree_less(avnir: Avnir, model: Path) -> None:
    found = [
        as_json(avnir("verify", model, "--samples", 10, "--weight-bits", bits, "--json"))["quantisation"][
            "agreement"
        ]
        for bits in (8, 4)
    ]
    assert found[0] > found[1]


def test_the_shipped_model_is_small_and_made_of_generated_data() -> None:
    from avnir.export import load

    path = ROOT / "examples" / "av_digits.pt"
    assert path.stat().st_size < 1 << 20
    notes = load(path).notes
    assert notes["test_accuracy"] >= 0.95
    assert notes["data"] == "generated digits"


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("0*.py")), ids=lambda p: p.name)
def test_examples_run(script: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "%" in done.stdout
