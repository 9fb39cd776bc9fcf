"""Programs: read back equal, same bytes, and nothing damaged gets in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import avnir
from avnir import target
from avnir.compile import compile_graph
from avnir.errors import ProgramError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node
from avnir.program import ARRAYS, STRUCTURE, Program
from tests.networks import audio_visual

LOIHI2 = target.load("loihi2")


@pytest.fixture
def program() -> Program:
    return compile_graph(audio_visual(0), LOIHI2).program


def test_a_program_reads_back_equal(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "p")
    again = Program.load(tmp_path / "p")
    assert again == program
    assert again.digest == program.digest
    assert again.latency == program.latency


def test_same_program_same_bytes_under_any_hash_seed(program: Program, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from avnir import target; from avnir.compile import compile_graph\n"
        "from tests.networks import audio_visual\n"
        "compile_graph(audio_visual(0), target.load('loihi2')).program.save(Path(sys.argv[1]))"
    )
    for seed in ("0", "1", "77"):
        environment = {"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": str(Path(__file__).parent.parent)}
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / seed)], check=True, env=environment, timeout=120
        )
    program.save(tmp_path / "here")
    for name in (STRUCTURE, ARRAYS):
        files = {(tmp_path / place / name).read_bytes() for place in ("0", "1", "77", "here")}
        assert len(files) == 1


def test_an_unbalanced_graph_is_no_program(program: Program) -> None:
    early = next(n for n in program.graph if getattr(n.op, "delay", 0))
    nodes = [n if n is not early else type(n)(n.name, n.op.replace(delay=0), n.inputs) for n in program.graph]
    with pytest.raises(ProgramError, match=f"{early.name} to .* by {early.op.delay}"):
        Program(program.graph.with_nodes(nodes), "loihi2")
    with pytest.raises(ProgramError, match="not one of the real level"):
        Program(Graph("real", audio_visual(0).nodes), "loihi2")


def test_wiring_that_the_chip_lacks_is_no_program() -> None:
    weight, one = np.ones((2, 2), np.int8), np.array(1, np.int32)
    nodes = (
        Node("x", integer.Input((2,))),
        Node("a", integer.Dense(weight), ("x",)),
        Node("b", integer.Dense(weight), ("a",)),
        Node("lif", integer.Lif((2,), one, one, one, one), ("x",)),
        Node("out", integer.Output((2,)), ("b",)),
    )
    with pytest.raises(ProgramError) as caught:
        Program(Graph("integer", nodes), "loihi2")
    for line in ("b: a connection feeds", "lif: neurons are fed", "out: an output shows"):
        assert line in str(caught.value)


def _edit(folder: Path, change: object) -> None:
    record = json.loads((folder / STRUCTURE).read_text())
    change(record)  # type: ignore[operator]
    (folder / STRUCTURE).write_text(json.dumps(record))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(format="avnir-program-9"),
        lambda r: r.pop("nodes"),
        lambda r: r["nodes"].pop(),
        lambda r: r["nodes"][0].update(op="System"),
        lambda r: r["nodes"][0].update(name="a b"),
        lambda r: r["nodes"].reverse(),
        lambda r: r["nodes"][2]["values"].update(surplus=1),
        lambda r: r["nodes"][2]["values"]["weight"].update(array="0" * 64),
        lambda r: r["nodes"][2]["values"].update(exponent=99),
        lambda r: r["nodes"][2]["values"].update(weight=3),
        lambda r: r["nodes"][2].update(inputs=["nobody"]),
        lambda r: r.update(dt="soon"),
        lambda r: r.update(nodes=7),
    ],
)
def test_a_damaged_structure_is_refused(program: Program, tmp_path: Path, change: object) -> None:
    program.save(tmp_path / "p")
    _edit(tmp_path / "p", change)
    with pytest.raises(ProgramError, match="export it again"):
        Program.load(tmp_path / "p")


def test_changed_arrays_are_refused(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "p")
    path = tmp_path / "p" / ARRAYS
    with np.load(path) as file:
        arrays = {name: file[name].copy() for name in file.files}
    next(iter(arrays.values())).reshape(-1)[0] += 1
    np.savez_compressed(path, **arrays)
    with pytest.raises(ProgramError, match="was changed after it was written"):
        Program.load(tmp_path / "p")


def test_mutated_files_never_load_as_something_else(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "p")
    rng = np.random.default_rng(0)
    for name in (STRUCTURE, ARRAYS):
        path = tmp_path / "p" / name
        whole = path.read_bytes()
        for _ in range(60):
            changed = bytearray(whole)
            changed[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
            path.write_bytes(
                bytes(changed[: int(rng.integers(1, len(whole) + 1))] if rng.random() < 0.3 else changed)
            )
            try:
                loaded = Program.load(tmp_path / "p")
            except ProgramError:
                continue
            assert loaded == program
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [("op", "Foo", "node {} cannot be read (KeyError: 'Foo')"), ("values", {}, "node {} cannot be read (")],
)
def test_a_damaged_node_is_named(
    program: Program, tmp_path: Path, key: str, value: object, problem: str
) -> None:
    program.save(tmp_path / "p")
    record = json.loads((tmp_path / "p" / STRUCTURE).read_text())
    damaged = record["nodes"][3]
    damaged[key] = value
    (tmp_path / "p" / STRUCTURE).write_text(json.dumps(record))
    with pytest.raises(ProgramError, match=re.escape(problem.format(damaged["name"]))):
        Program.load(tmp_path / "p")
    record["nodes"][3] = []
    (tmp_path / "p" / STRUCTURE).write_text(json.dumps(record))
    with pytest.raises(ProgramError, match="node 3 cannot be read"):
        Program.load(tmp_path / "p")


def test_missing_and_foreign_folders(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="cannot be read as a program"):
        Program.load(tmp_path / "nowhere")
    (tmp_path / STRUCTURE).write_text("[]")
    with pytest.raises(ProgramError, match="not a program of format"):
        Program.load(tmp_path)


def test_the_published_schema_describes_what_is_written(program: Program, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(avnir.__file__).parent / "program.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    program.save(tmp_path / "p")
    record = json.loads((tmp_path / "p" / STRUCTURE).read_text())
    jsonschema.validate(record, schema)
    assert set(schema["$defs"]) >= {node.op.kind for node in program.graph}
    record["nodes"][2]["values"]["surplus"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, schema)
