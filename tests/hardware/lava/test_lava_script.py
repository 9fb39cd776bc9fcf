"""`lava.py` runs the program beside it, and everything that runs in Lava's environment is fit for it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avnir.decision import output_units
from avnir.hardware.lava import script as module
from avnir.hardware.lava.script import script
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Dense, Input, Output
from avnir.ir.integer_graded import Readout
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.trace import Trace
from tests.hardware.lava.lava_networks import differences, looped_network, summed_network

HERE = Path(module.__file__).parent
THERE = [HERE / "worker.py", HERE / "compatible.py", HERE / "processes" / "network.py"]


def export(tmp_path, graph, inputs) -> tuple[Path, Program]:
    program = Program(graph, "test")
    program.save(tmp_path / "program")
    (tmp_path / "lava.py").write_text(script(program))
    np.savez(tmp_path / "inputs.npz", **inputs)
    return tmp_path, program


@pytest.fixture
def exported(tmp_path) -> tuple[Path, Program]:
    return export(tmp_path, *looped_network(1))


@pytest.mark.lava
def test_it_shows_windows_again_and_refuses_those_of_another_length(environment, tmp_path):
    folder, program = export(tmp_path, *summed_network(0))
    inputs = dict(np.load(folder / "inputs.npz"))
    command = [environment.python, "lava.py", "--inputs", "inputs.npz"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    expected = interpret_integer(program.graph, inputs)
    assert expected.rehearsals
    assert differences(expected, Trace.load(folder / "trace.npz"), states=False) == []
    np.savez(folder / "inputs.npz", **{name: np.repeat(array, 2, axis=0) for name, array in inputs.items()})
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert f"T must be {len(inputs['sound'])}, the window over which counts adds up" in run.stderr


@pytest.mark.lava
@pytest.mark.parametrize("inside", [True, False], ids=["in its folder", "from elsewhere"])
def test_it_runs_with_lava_alone(environment, exported, tmp_path_factory, inside):
    folder, program = exported
    where = folder if inside else tmp_path_factory.mktemp("elsewhere")
    name = "lava.py" if inside else folder / "lava.py"
    command = [environment.python, name, "--inputs", folder / "inputs.npz", "--trace", folder / "trace.npz"]
    run = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    inputs = dict(np.load(folder / "inputs.npz"))
    expected = interpret_integer(program.graph, inputs)
    assert differences(expected, Trace.load(folder / "trace.npz"), states=False) == []
    assert f"decision: most spikes at {expected.decisions('decision').tolist()}" in run.stdout


def scored_network(weights: Array) -> Graph:
    """Six inputs, three classes and a score by these `weights`: potentials that keep half of themselves."""
    half, ends = np.array(2048, np.int32), np.array(4095, np.int32)
    none = np.array(0, np.int32)
    classes = np.array(
        [[60, -50, 0, 40, -30, 0], [0, 60, -50, 0, 40, -30], [-50, 0, 60, -30, 0, 40]], np.int8
    )
    nodes = (
        Node("x", Input((6,))),
        Node("to_classes", Dense(classes), ("x",)),
        Node("to_score", Dense(weights), ("x",)),
        Node("potentials", Readout((3,), ends, half, none, scale=np.array(50.0)), ("to_classes",)),
        Node("attention", Readout((1,), ends, half, none, scale=np.array(20.0)), ("to_score",)),
        Node("score", Output((1,)), ("attention",)),
        Node("classes", Output((3,)), ("potentials",)),
    )
    return verified(Graph("integer", nodes))


@pytest.mark.lava
def test_it_weighs_the_steps_where_the_decision_does(environment, tmp_path):
    graph = scored_network(np.array([[90, -80, 70, 60, -50, 40]], np.int8))
    program = Program(graph, "test", {"decision": {"output": "classes", "scores": "score"}})
    program.save(tmp_path / "program")
    (tmp_path / "lava.py").write_text(script(program))
    inputs = {"x": (np.random.default_rng(1).random((5, 12, 6)) < 0.5).astype(np.uint8)}
    np.savez(tmp_path / "inputs.npz", **inputs)
    command = [environment.python, "lava.py", "--inputs", "inputs.npz"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    trace = interpret_integer(graph, inputs)
    expected = program.decision.classes(trace, output_units(graph)).tolist()
    assert expected != trace.decisions("classes").tolist()
    assert expected != program.decision.classes(trace).tolist()
    assert f"decided on the host: {expected}" in run.stdout


@pytest.mark.lava
def test_it_refuses_inputs_that_do_not_fit(environment, exported):
    folder, program = exported
    shape = program.graph.shapes["image"]
    np.savez(folder / "inputs.npz", image=np.full((1, 1, *shape), 0.5))
    command = [environment.python, "lava.py", "--inputs", "inputs.npz"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "image must hold integers in [" in run.stderr
    assert "sound must be an array [T, B, 5]" in run.stderr
    assert not (folder / "trace.npz").exists()


def test_it_is_the_same_for_the_same_program_and_lists_the_layers(exported):
    folder, program = exported
    text = (folder / "lava.py").read_text()
    assert text == script(Program.load(folder / "program"))
    described = ast.get_docstring(ast.parse(text)) or ""
    assert all(node.name in described for node in program.graph)
    assert "import avnir" not in text and "from avnir" not in text


@pytest.mark.parametrize("path", THERE, ids=lambda path: path.name)
def test_what_runs_there_is_python_3_10_and_needs_only_lava(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 10))
    typing_only = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    skipped = {id(inner) for node in typing_only for inner in ast.walk(node)}
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in skipped:
            names |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            names.add(str(node.module).partition(".")[0])
    assert names - set(sys.stdlib_module_names) <= {"numpy", "scipy", "lava"}  # Lava needs both


def test_only_the_network_stands_in_the_folder_that_lava_executes():
    assert {path.name for path in (HERE / "processes").glob("*.py")} == {"__init__.py", "network.py"}
