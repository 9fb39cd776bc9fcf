"""`avnir show`: each kind of file told by its content, as text and as JSON; anything else is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avnir import target
from avnir.cli import main
from avnir.cli.raster_text import SHORT, raster
from avnir.compile import Compiled, compile_graph
from avnir.export import write_nir
from avnir.export.nir_program import write_program_nir
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.text import to_text
from avnir.trace import Trace
from tests.networks import audio_visual, spikes

Shown = Callable[..., str]


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Shown:
    def show(*arguments: object) -> str:
        main(["show", *map(str, arguments)])
        return capsys.readouterr().out

    return show


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Shown:
    def show(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["show", *map(str, arguments)])
        told = capsys.readouterr()
        assert stop.value.code == 2
        assert not told.out
        return told.err

    return show


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_graph(audio_visual(0), target.load("loihi2"))


@pytest.fixture(scope="module")
def folder(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with its placement beside it, as in an exported folder."""
    made = tmp_path_factory.mktemp("exported")
    compiled.program.save(made / "program")
    (made / "placement.json").write_text(compiled.placement.json())
    (made / "manifest.json").write_text(json.dumps({"format": "avnir-export-1", "target": "loihi2"}))
    return made


@pytest.fixture(scope="module")
def trace(compiled: Compiled) -> Trace:
    graph = compiled.program.graph
    return interpret_integer(graph, spikes(graph, 0), states=True)


@pytest.fixture(scope="module")
def recorded(trace: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "run.npz"
    trace.save(path)
    return path


@pytest.mark.parametrize("part", [".", "program", "manifest.json", "program/program.json"])
def test_a_program_is_shown_from_each_of_its_places(
    folder: Path, compiled: Compiled, shown: Shown, part: str
) -> None:
    text = shown(folder / part)
    program = compiled.program
    for told in ("lif1", "fused", program.digest, f"{program.latency} chip steps", "1 of 120 cores"):
        assert told in text, told
    record = json.loads(shown(folder / part, "--json"))
    assert (record["kind"], record["digest"], record["cores"]) == ("program", program.digest, 1)
    connections = program.graph.select(lambda op: getattr(op, "connection", False))
    assert len(record["connections"]) == len(connections)
    wanted = [int(node.op.weight.max()) for node in connections]  # type: ignore[attr-defined]
    assert [int(entry["range"].split(" to ")[1]) for entry in record["connections"]] == wanted
    layers = [*program.graph.inputs, *program.graph.neurons]
    assert [entry["layer"] for entry in record["layers"]] == [node.name for node in layers]


def test_a_program_in_nir_is_the_same_program(compiled: Compiled, shown: Shown, tmp_path: Path) -> None:
    write_program_nir(compiled.program, tmp_path / "any.name")
    assert json.loads(shown(tmp_path / "any.name", "--json"))["digest"] == compiled.program.digest


def test_a_graph_is_shown_as_a_table_and_as_text(compiled: Compiled, shown: Shown, tmp_path: Path) -> None:
    write_nir(compiled.nir_graph, tmp_path / "net.nir")
    table = shown(tmp_path / "net.nir")
    assert f"real graph of {len(compiled.nir_graph)} nodes" in table
    assert "weight 4 x 2 x 3 x 3 in" in table
    assert shown(tmp_path / "net.nir", "--text") == to_text(compiled.nir_graph)
    nodes = json.loads(shown(tmp_path / "net.nir", "--json"))["nodes"]
    assert [node["node"] for node in nodes] == [node.name for node in compiled.nir_graph]
    assert [tuple(node["shape"]) for node in nodes] == list(compiled.nir_graph.shapes.values())


def test_a_model_is_shown_by_its_graph(shown: Shown) -> None:
    pytest.importorskip("torch")
    model = Path(__file__).parents[2] / "examples" / "av_digits.pt"
    nodes = json.loads(shown(model, "--json"))["nodes"]
    assert {"image", "audio", "lif_hidden", "output"} <= {node["node"] for node in nodes}


def test_a_placement_is_shown_by_core(folder: Path, compiled: Compiled, shown: Shown) -> None:
    text = shown(folder / "placement.json")
    assert "1 of 120 cores of Intel Loihi 2" in text
    assert compiled.placement.program in text
    record = json.loads(shown(folder / "placement.json", "--json"))
    assert (record["kind"], record["neurons"]) == ("placement", compiled.placement.neurons)


def test_a_run_is_counted_and_drawn(recorded: Path, trace: Trace, shown: Shown) -> None:
    counted = json.loads(shown(recorded, "--json"))["layers"]
    assert {entry["layer"]: entry["number"] for entry in counted} == {
        name: int(np.count_nonzero(array)) for name, array in trace.spikes.items()
    }
    assert {entry["layer"] for entry in counted if entry["states"] == ["u", "v"]} == set(trace.states)
    assert f"avnir show {recorded} --layer lif_out draws" in shown(recorded).replace("\n", "")
    part = ("--layer", "fused", "--sample", 1, "--steps", "3:9", "--neurons", "4:10")
    found = json.loads(shown(recorded, *part, "--json"))["events"]
    assert found == [[3 + t, 4 + n] for t, n in np.argwhere(trace.spikes["fused"][3:9, 1, 4:10])]
    drawing = shown(recorded, *part)
    assert "fused, sample 1, neurons 4 to 9 of 16" in drawing
    assert f"{len(found)} spikes in 36 slots" in drawing


def pixels(lines: list[str], steps: int, neurons: int) -> Any:
    """The picture read back, bool `[T, neurons]`."""
    halves, found = " \u2580\u2584\u2588", np.zeros((steps + 2, neurons + 4), bool)
    for row, line in enumerate(lines):
        for column, letter in enumerate(line.split("\u2502", 1)[1]):
            if letter in halves:
                found[column, 2 * row : 2 * row + 2] = [halves.index(letter) & 1, halves.index(letter) & 2]
                continue
            for dot, (down, right) in enumerate(
                [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1)]
            ):
                found[2 * column + right, 4 * row + down] = (ord(letter) - 0x2800) >> dot & 1
    assert not found[steps:].any()
    assert not found[:, neurons:].any()
    return found[:steps, :neurons]


@pytest.mark.parametrize("steps", [1, SHORT, SHORT + 1, 200])
@pytest.mark.parametrize("neurons", [1, 4, 7])
def test_every_spike_is_in_the_picture(steps: int, neurons: int) -> None:
    fired = np.random.default_rng(steps * 10 + neurons).random((steps, neurons)) < 0.3
    *lines, _, labels = raster(fired, 100, 40)
    assert np.array_equal(pixels(lines, steps, neurons), fired)
    assert lines[0].lstrip().startswith("100 ")
    assert labels.split()[0] == "40"


def test_what_is_nothing_of_these_is_refused_with_one_clear_error(
    recorded: Path, folder: Path, refusal: Shown, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "other.json").write_text('{"a": 1}')
    np.savez(tmp_path / "inputs.npz", image=np.zeros(3))
    for name, told in {
        "missing": "cannot be read (No such file or directory)",
        "notes.txt": "is nothing that avnir shows",
        "other.json": "is no JSON that avnir shows",
        "inputs.npz": "is no recorded run, it holds image",
        ".": "holds no program",
    }.items():
        message = refusal(tmp_path / name)
        assert told in message
        assert "give a model.pt, a .nir file, an exported folder" in message
    assert "has no layer 'x'; it has lif1" in refusal(recorded, "--layer", "x")
    assert "has 3 samples, so no sample 9" in refusal(recorded, "--layer", "fused", "--sample", 9)
    assert "nothing in that range" in refusal(recorded, "--layer", "fused", "--steps", "99:")
    assert "is no range; give A:B" in refusal(recorded, "--layer", "fused", "--steps", "5")
    assert "--layer is not for a program" in refusal(folder, "--layer", "fused")
    assert "--text is not for a recorded run" in refusal(recorded, "--text")
