"""`avnir bench engine`, end to end on tiny sizes, and `avnir bench MODEL` beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from avnir import backend
from avnir.cli import bench_engine, main
from avnir.errors import BackendError
from avnir.hardware.contestants import NAMES, SIMULATORS
from avnir.hardware.cpu.tiles import available
from avnir.hardware.peers import install
from avnir.hardware.peers.registry import Peer
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.speed.table import BEGIN, END
from avnir.trace import Trace

QUICK = ("--quick", "--repeats", "1")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `avnir bench ARGUMENTS`: exit status, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = 0
        try:
            main(["bench", *arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


@pytest.fixture
def no_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Lava's nor another simulator's."""
    monkeypatch.delenv("AVNIR_LAVA_ENV", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class Liar:
    """A backend that turns one spike round."""

    name, summary = "cpu", "wrong"

    def missing(self) -> None:
        """Nothing."""

    @contextmanager
    def session(self, program: Program) -> Iterator[Liar]:
        self.program = program
        yield self

    def run(self, inputs: Mapping[str, Array], states: bool = False) -> Trace:
        trace = interpret_integer(self.program.graph, inputs)
        trace.spikes["layer1"][3, 0, 7] ^= 1
        return trace


def test_who_is_not_here_is_named_with_the_reason(run: Run, no_environments: None) -> None:
    status, out, _ = run("engine", *QUICK, "--program", "dense", "--json")
    record: dict[str, Any] = json.loads(out)
    (program,) = record["programs"]
    ran = [timing["name"] for timing in program["timings"]]
    assert status == 0
    assert ran == ["avnir"] + ["avnir-events"] * available() + ["snntorch"] * bool(find_spec("snntorch"))
    assert "run `avnir lava setup`" in program["left_out"]["lava-runtime"]
    assert "--setup sana-fe" in program["left_out"]["sana-fe"]
    assert set(ran) | set(program["left_out"]) == {"avnir", "avnir-events", *SIMULATORS}
    assert program["goals"] == {}
    assert (program["samples"], program["steps"]) == bench_engine.QUICK
    assert record["machine"]["cores"] >= 1


def test_text_and_the_table_of_a_file(run: Run, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# words\n{BEGIN}{END}")
    status, out, _ = run(
        "engine",
        *QUICK,
        "--program",
        "layer",
        "--program",
        "single",
        "--beside",
        "ceiling-cache",
        "--readme",
        str(readme),
    )
    assert status == 0
    assert "row additions, from cache" in out
    assert "single: 784-512-256-10, 1 sample x 8 steps" in out
    assert "every spike of every timed run of the engine was compared" in out
    text = readme.read_text()
    assert text.count("| avnir, CPU engine |") == 2
    assert "row additions, from cache" in text


def test_a_file_without_marks_is_refused_before_anything_runs(run: Run, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# words\n")
    status, out, err = run("engine", "--readme", str(readme))
    assert (status, out) == (2, "")
    assert "has no place for the table" in err


def test_a_sweep(run: Run) -> None:
    """Event by event too, where the engine need not go so."""
    status, out, _ = run(
        "engine", *QUICK, "--program", "single", "--beside", "none", "--sweep", "batch", "--json"
    )
    sweeps = json.loads(out)["sweeps"]
    assert status == 0
    assert [sweep["sweep"] for sweep in sweeps] == ["batch", "batch, event by event"][: 1 + available()]
    for sweep in sweeps:
        assert [point["size"] for point in sweep["points"]] == [1, 2, 4]
        assert sweep["r_squared"] <= 1


def test_an_engine_that_differs_gives_no_table(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "find", lambda name: Liar())
    status, out, err = run("engine", *QUICK, "--program", "dense", "--beside", "none")
    assert (status, out) == (1, "")
    assert (
        "dense: the engine's spikes are not the integer interpreter's, first at layer1, neuron (7,), step 3"
        in err
    )


def test_an_unknown_name(run: Run) -> None:
    status, _, err = run("engine", "--beside", "nest")
    assert status == 2
    assert "nobody is called 'nest'; there are avnir-events, lava-runtime, lava, snntorch" in err
    status, _, err = run("engine", "--setup", "nest")
    assert status == 2
    assert "there is no simulator 'nest'" in err


def test_set_up_goes_on_where_one_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def setup(peer: Peer) -> Path:
        if peer.name == "norse":
            raise BackendError("no network")
        return Path("/somewhere") / peer.name

    monkeypatch.setattr(install, "setup", setup)
    status, out, err = run("engine", "--setup", "norse", "--setup", "sana-fe")
    assert status == 2
    assert "sana-fe is ready in /somewhere/sana-fe" in out
    assert "norse: no network" in err


def test_a_file_called_engine_is_a_model(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "engine").write_text("no model")
    status, _, err = run("./engine", "--target", "loihi2")
    assert status == 2
    assert "engine" in err
    assert "avnir bench engine" not in err


def test_help_shows_both(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert "Say what MODEL costs on a chip" in out
    assert "avnir bench engine" in out
    status, out, _ = run("engine", "--help")
    assert status == 0
    assert "Usage: avnir bench engine" in out
    assert all(name in out for name in NAMES)


def test_a_system_beside_snntorch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("snntorch")
    from avnir.cli import bench_system

    shapes = {"image": (2, 8, 8), "audio": (1, 8, 8)}
    sizes = {f"{name}_shape": list(shape) for name, shape in shapes.items()}
    monkeypatch.setattr(bench_system, "SHAPES", shapes)
    monkeypatch.setattr(bench_system, "STEPS", 3)
    monkeypatch.setattr(bench_system, "CONFIG", {"channels": 16, "steps": 3, **sizes})
    status, out, _ = run("engine", *QUICK, "--program", "s-cmrl", "--json")
    (program,) = json.loads(out)["programs"]
    assert status == 0
    assert [timing["name"] for timing in program["timings"]] == ["avnir", "snntorch"]
    assert (program["samples"], program["steps"]) == (2, 3)
    assert max(program["activity"].values()) > 0.05
