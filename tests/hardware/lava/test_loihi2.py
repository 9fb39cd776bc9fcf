"""Loihi 2 as far as Lava's compiler, with a stand-in for Intel's extension of Lava; refused without it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator

from avnir import backend
from avnir.errors import BackendError, UnsupportedError
from avnir.hardware import loihi2
from avnir.hardware.lava.script import script
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_graded import Relay
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program
from avnir.trace import Trace
from tests.hardware.lava.lava_networks import differences, inputs_for, looped_network, neurons, weights
from tests.hardware.lava.stand_in import chip_environment


def native_network(rng: Generator) -> Graph:
    """Neurons and connections that the chip has itself; one input of messages, one of spikes."""
    shape = (3, 3, 3)
    nodes = (
        Node("image", integer.Input((2, 5, 5), 4)),
        Node("sound", integer.Input((5,))),
        Node("see", integer.Conv(weights(rng, 3, 2, 3, 3), 2), ("image",)),
        Node("seen", neurons(rng, shape, "zero", threshold=100), ("see",)),
        Node("merge", integer.Dense(weights(rng, 4, 27), 2), ("seen",)),
        Node("late", integer.Dense(weights(rng, 4, 5), 3, delay=1), ("sound",)),
        Node("both", neurons(rng, (4,), "zero", threshold=100), ("merge", "late")),
        Node("decision", integer.Output((4,)), ("both",)),
    )
    return verified(Graph("integer", nodes))


@pytest.fixture
def program() -> Program:
    return Program(native_network(np.random.default_rng(0)), "test")


@pytest.fixture
def chip(environment, tmp_path, monkeypatch) -> Path:
    """Lava with the stand-in, where avnir looks for Lava's environment."""
    folder = chip_environment(environment, tmp_path / "lava")
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(folder))
    return folder


def test_without_lava(monkeypatch, tmp_path, program):
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(tmp_path))
    found = backend.find("loihi2")
    assert "Lava is not set up" in str(found.missing())
    with pytest.raises(BackendError, match="run `avnir lava setup`"), found.session(program):
        pass


@pytest.mark.lava
def test_without_intels_extension(environment, program):
    with pytest.raises(BackendError, match="needs Intel's extension"), loihi2.backend.session(program):
        pass


@pytest.mark.lava
def test_with_the_extension_the_chips_models_run_between_the_adapters(chip, program, capsys):
    inputs = inputs_for(program.graph, np.random.default_rng(1), steps=5, batch=2)
    assert loihi2.backend.missing() is None
    with loihi2.backend.session(program) as session:
        trace = session.run(inputs)
        with pytest.raises(BackendError, match="the backend loihi2 cannot read registers"):
            session.run(inputs, states=True)
    expected = interpret_integer(program.graph, inputs)
    assert expected.spikes["both"].any()
    assert differences(expected, trace, states=False) == []
    assert "not tested on silicon" in capsys.readouterr().err
    assert sorted((chip / "log").read_text().splitlines()) == [
        "NcConv",
        "NcDelayDense",
        "NcDense",
        "NcLIFReset",
        "NcLIFReset",
        "NxToPyAdapter 3 3 3 bits 0",
        "NxToPyAdapter 4 bits 0",
        "PyToNxAdapter 2 5 5 bits 4",
        "PyToNxAdapter 5 bits 0",
    ]


@pytest.mark.lava
def test_what_the_extension_has_no_model_of_is_named_before_anything_is_compiled(
    environment, tmp_path, monkeypatch, program
):
    folder = chip_environment(environment, tmp_path / "lava", lacking=("lif", "conv"))
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(folder))
    inputs = inputs_for(program.graph, np.random.default_rng(1), steps=5, batch=2)
    lacking = r"no form for Loihi 2: see \(Conv\), seen \(LIFReset\), both \(LIFReset\)"
    with loihi2.backend.session(program) as session, pytest.raises(BackendError, match=lacking):
        session.run(inputs)
    assert "Nc" not in (folder / "log").read_text()


@pytest.mark.lava
def test_the_exported_script_runs_on_the_chip(chip, program, tmp_path):
    inputs = inputs_for(program.graph, np.random.default_rng(1), steps=5, batch=2)
    run = _exported(program, inputs, tmp_path, chip / "bin" / "python")
    assert run.returncode == 0, run.stderr
    assert "not tested on silicon" in run.stderr
    expected = interpret_integer(program.graph, inputs)
    assert differences(expected, Trace.load(tmp_path / "trace.npz"), states=False) == []
    assert "NcLIFReset" in (chip / "log").read_text()


@pytest.mark.lava
def test_the_exported_script_says_that_the_extension_is_not_there(environment, program, tmp_path):
    inputs = inputs_for(program.graph, np.random.default_rng(1), steps=5, batch=2)
    run = _exported(program, inputs, tmp_path, environment.python)
    assert run.returncode == 2
    assert "--chip needs Intel's extension of Lava" in run.stderr


def _exported(program, inputs, folder, python) -> subprocess.CompletedProcess[str]:
    program.save(folder / "program")
    (folder / "lava.py").write_text(script(program))
    np.savez(folder / "inputs.npz", **inputs)
    command = [python, "lava.py", "--inputs", "inputs.npz", "--chip"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.lava
def test_a_program_with_programmable_neurons_is_refused_with_all_of_them(chip):
    graph, _ = looped_network(0)
    wanted = {node.name for node in graph.neurons if not node.op.native} | {"skip", "ring", "back", "own"}
    with pytest.raises(UnsupportedError) as error, loihi2.backend.session(Program(graph, "test")):
        pass
    assert {finding.place for finding in error.value.findings} == wanted | {"before"}


def test_graded_layers_are_programmable():
    nodes = (
        Node("x", integer.Input((2,), 4)),
        Node("synapses", integer.Dense(np.ones((2, 2), np.int8)), ("x",)),
        Node("relay", Relay((2,)), ("synapses",)),
        Node("y", integer.Output((2,)), ("relay",)),
    )
    with pytest.raises(UnsupportedError, match=r"relay: .* needs a programmable neuron"):
        loihi2.check(verified(Graph("integer", nodes)))
