"""`avnir why`: what it says and writes; `--program`: integers of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avnir.compile import with_choices
from avnir.export import write_nir
from avnir.ir.graph import Graph
from avnir.program import Program
from avnir.rounding.layer_choice import LayerChoice
from tests.cli.calls import Run
from tests.verify.networks import BETWEEN, LATTICE, compiled, inputs, layer, two_layers


def written(folder: Path, graph: Graph) -> tuple[object, ...]:
    """A NIR file and inputs for it, as arguments."""
    made = compiled(graph).nir_graph
    write_nir(made, folder / "net.nir")
    np.savez(folder / "x.npz", **inputs(samples=10))
    return folder / "net.nir", "--inputs", folder / "x.npz"


@pytest.fixture
def model(tmp_path: Path) -> tuple[object, ...]:
    return written(tmp_path, two_layers())


def test_it_names_the_cause_and_writes_what_mends_it(
    run: Run, model: tuple[object, ...], tmp_path: Path
) -> None:
    fixed = tmp_path / "fixed"
    status, said, error = run("why", *model, "--weight-bits", 3, "--fix", fixed, "--max-core-growth", 1)
    assert status == 0, error
    lines = {line.split("  ")[0].strip(): line for line in said.splitlines()}
    assert "weights of 3 bits, 10 samples x 40 steps" in said
    assert "%" in lines["weights"]
    assert "nothing lost by delays: every spike arrives in the step in which it does in the model" in lines
    assert "nothing lost by pooling and folding" in said
    assert "weights of 8 instead of 3 bits" in said
    assert f"wrote {fixed}; verify it with --program {fixed}" in lines
    assert Program.load(fixed / "program").provenance["layers"]
    assert (fixed / "report.html").is_file()

    options = (("--weight-bits", 3), ("--program", fixed))
    found = [json.loads(run("verify", *model, "--json", *option)[1]) for option in options]
    assert found[1]["program"] == Program.load(fixed / "program").digest
    before, after = (verdict["quantisation"]["agreement"] for verdict in found)
    gate = ("verify", *model, "--min-agreement", (before + after) / 2)
    assert [run(*gate, *option)[0] for option in options] == [1, 0]


def test_the_same_command_writes_the_same_bytes(run: Run, model: tuple[object, ...], tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        status, said, error = run("why", *model, "--weight-bits", 4, "--fix", tmp_path / name, "--json")
        assert status == 0, error
        record = json.loads(said)
        found.append(
            {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}
        )
    assert found[0] == found[1]
    alone = sum(cause["alone"]["slots"] for cause in record["causes"])
    assert alone + record["interaction"]["slots"] == record["lost"]["slots"]
    assert record["mending"]["mended"] is True
    assert record["mending"]["program"] == record["manifest"]["program"]


def test_it_calibrates_on_the_file_that_is_given(run: Run, model: tuple[object, ...], tmp_path: Path) -> None:
    seen = tmp_path / "seen.npz"
    np.savez(seen, **inputs(seed=9, samples=20))
    asked = ("why", *model, "--weight-bits", 4, "--calibrate", seen)
    status, said, error = run(*asked, "--fix", tmp_path / "fixed", "--json")
    assert status == 0, error
    tried = json.loads(said)["mending"]["tried"]
    assert tried[0]["change"] == "all layers: data-free integers"
    used = Program.load(tmp_path / "fixed" / "program").provenance["calibration"]
    assert used["samples"] == 20


def test_where_nothing_is_lost_it_says_so_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    model = written(tmp_path, layer(LATTICE))
    status, said, _ = run("why", *model)
    assert status == 0
    assert "0 of 4800 spike slots differ" in said
    assert "changes" not in said
    status, _, error = run("why", *model, "--fix", tmp_path / "fixed")
    assert status == 1
    assert "nothing is lost" in error
    status, said, _ = run("why", *model, "--fix", tmp_path / "fixed", "--json")
    assert (status, json.loads(said)["lost"]["slots"]) == (1, 0)
    assert not (tmp_path / "fixed").exists()


def test_a_folder_that_someone_broke_is_found(run: Run, tmp_path: Path) -> None:
    graph = layer(BETWEEN, beta=np.array(0.5))
    model = written(tmp_path, graph)
    with_choices(compiled(graph), {"lif": LayerChoice(threshold=40)}).program.save(tmp_path / "broken")
    status, said, error = run("verify", *model, "--program", tmp_path / "broken", "--min-agreement", 0.999)
    assert status == 1
    assert "integer = cpu" in said
    assert "below 0.999" in error
    status, said, error = run("why", *model, "--program", tmp_path / "broken", "--json")
    assert status == 0, error
    causes = {cause["kind"]: cause["alone"]["slots"] for cause in json.loads(said)["causes"]}
    assert max(causes, key=lambda kind: causes[kind]) == "threshold"


def test_programs_that_do_not_fit_are_refused(run: Run, model: tuple[object, ...], tmp_path: Path) -> None:
    compiled(layer(LATTICE)).program.save(tmp_path / "other")
    status, _, error = run("verify", *model, "--program", tmp_path / "other")
    assert status == 2
    assert "the program was not made from this model:" in error
    status, _, error = run("why", *model, "--program", tmp_path / "other", "--weight-bits", 4)
    assert status == 2
    assert "--program holds integers that are made already; leave out --weight-bits" in error
    status, _, error = run("verify", *model, "--program", tmp_path / "other", "--target", "loihi1")
    assert status == 2
    assert "is a program for loihi2; give --target loihi2" in error


def test_a_program_belongs_to_one_model(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, layer(LATTICE))
    (tmp_path / "avnir.toml").write_text('[models."net.nir"]\ninputs = "x.npz"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    status, _, error = run("verify", "--program", tmp_path)
    assert status == 2
    assert "--program means one model; name it" in error


def test_a_model_without_enough_inputs_is_refused(run: Run, model: tuple[object, ...]) -> None:
    status, _, error = run("why", model[0])
    assert status == 2
    assert "holds no example inputs" in error
    np.savez(model[2], **inputs(samples=1))  # type: ignore[arg-type]
    status, said, error = run("why", *model)
    assert (status, said) == (2, "")
    assert "one sample cannot choose changes and judge them" in error
