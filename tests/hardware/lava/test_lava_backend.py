"""The two backends: sessions, refusals, and that nothing is left whatever happens."""

from __future__ import annotations

import _thread
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from avnir import backend
from avnir.errors import BackendError, DataError
from avnir.hardware import child
from avnir.hardware.lava import in_process, runtime, supervisor
from avnir.hardware.lava.backend import LavaBackend, LavaSession, time_limit
from avnir.hardware.lava.environment import Environment
from avnir.hardware.lava.supervisor import Worker
from avnir.ir import integer
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program
from tests.hardware.lava.lava_networks import chain, differences, inputs_for, neurons, weights

LONG = 200_000
"""Steps that take minutes on either backend."""


@pytest.fixture
def program() -> Program:
    rng = np.random.default_rng(2)
    layer = neurons(rng, (5,), threshold=200)
    return Program(chain(integer.Dense(weights(rng, 5, 4)), layer, 0, (4,)), "test")


@pytest.fixture
def leaves_nothing(monkeypatch):
    """No process, no shared memory and no temporary folder once the test is over."""
    monkeypatch.setattr(tempfile, "tempdir", tempfile.mkdtemp(dir="/tmp"))
    started: list[Worker] = []
    start = Worker._start
    monkeypatch.setattr(Worker, "_start", lambda worker: (started.append(worker), start(worker))[1])
    groups: list[int] = []
    end = Worker.end

    def ended(worker: Worker) -> None:
        groups.extend([worker.process.pid] if worker.process else [])
        end(worker)

    monkeypatch.setattr(Worker, "end", ended)
    yield
    assert started and groups
    assert [pid for group in groups for pid in child._members(group)] == []
    assert [path for w in started for path in supervisor.SHARED_MEMORY.glob(f"{w.token}*")] == []
    Path(tempfile.gettempdir()).rmdir()


def long_inputs() -> dict[str, np.ndarray]:
    return {"x": np.ones((LONG, 1, 4), np.uint8)}


def kill_once_running(session: LavaSession, whole_group: bool) -> threading.Thread:
    def kill() -> None:
        for _ in range(1000):
            if list(supervisor.SHARED_MEMORY.glob(f"{session.worker.token}*")):
                break
            time.sleep(0.01)
        time.sleep(0.5)
        pid = session.worker.process.pid
        (os.killpg if whole_group else os.kill)(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


@pytest.mark.lava
@pytest.mark.parametrize("chosen", [in_process, runtime], ids=lambda b: b.name)
def test_a_session_runs_as_often_as_wanted(environment, leaves_nothing, program, chosen):
    assert chosen.missing() is None
    rng = np.random.default_rng(0)
    with chosen.session(program) as session:
        for steps in (3, 8):
            inputs = inputs_for(program.graph, rng, steps, batch=2)
            expected = interpret_integer(program.graph, inputs)
            assert differences(expected, session.run(inputs), states=False) == []


@pytest.mark.lava
def test_wrong_inputs_and_wrong_wishes_are_refused(environment, program):
    with runtime.session(program) as session:
        with pytest.raises(DataError, match="input 'x' is missing"):
            session.run({})
        with pytest.raises(BackendError, match="use the backend lava"):
            session.run({"x": np.ones((2, 1, 4))}, states=True)


@pytest.mark.lava
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_killed_worker(environment, leaves_nothing, program, whole_group):
    with runtime.session(program) as session:
        thread = kill_once_running(session, whole_group)
        with pytest.raises(BackendError, match="Lava's worker process was ended by SIGKILL"):
            session.run(long_inputs())
        thread.join()


@pytest.mark.lava
@pytest.mark.parametrize("way", ["in-process", "runtime"])
def test_a_worker_that_does_not_answer(environment, leaves_nothing, program, way):
    slow = LavaBackend("lava", "", way, limit=2.0)
    with slow.session(program) as session, pytest.raises(BackendError, match="did not answer within 2 s"):
        session.run(long_inputs())


@pytest.mark.lava
def test_an_error_in_the_worker_and_the_next_run(environment, leaves_nothing, program):
    with in_process.session(program) as session:
        arrays = session.folder / "program" / "arrays.npz"
        whole = arrays.read_bytes()
        arrays.write_bytes(whole[:100])
        with pytest.raises(BackendError, match=r"Lava failed: .*BadZipFile"):
            session.run({"x": np.ones((2, 1, 4), np.uint8)})
        arrays.write_bytes(whole)
        assert session.run({"x": np.ones((2, 1, 4), np.uint8)}).spikes["layer"].shape == (2, 1, 5)


@pytest.mark.lava
def test_ctrl_c_in_the_parent(environment, leaves_nothing, program):
    def interrupt() -> None:
        time.sleep(2)
        _thread.interrupt_main()

    with runtime.session(program) as session:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            session.run(long_inputs())


@pytest.mark.lava
def test_a_worker_whose_parent_is_gone_ends_itself(environment, leaves_nothing, program, monkeypatch):
    monkeypatch.setattr(supervisor, "ALARM_MARGIN_SECONDS", -58)
    orphan = LavaBackend("lava-runtime", "", "runtime", limit=60.0)
    with orphan.session(program) as session, pytest.raises(BackendError, match="was ended by SIGTERM"):
        session.run(long_inputs())


def test_an_interpreter_that_fails_says_why(tmp_path, leaves_nothing):
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text("#!/bin/sh\necho no such module >&2\nexit 3\n")
    python.chmod(0o755)
    wanted = pytest.raises(BackendError, match=r"ended with status 3; it last said:\nno such module")
    with supervisor.scratch() as work, Worker(Environment(tmp_path), work) as worker, wanted:
        worker.seconds({}, limit=20.0)


@pytest.mark.lava
def test_a_temporary_folder_with_a_long_name(environment, monkeypatch, tmp_path, program):
    base = tmp_path / ("long" * 20)
    base.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    with runtime.session(program) as session:
        assert session.run({"x": np.ones((2, 1, 4), np.uint8)}).spikes["layer"].shape == (2, 1, 5)


def test_without_an_environment_the_remedy_is_named(monkeypatch, tmp_path, program):
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(tmp_path))
    assert "run `avnir lava setup`" in str(in_process.missing())
    with pytest.raises(BackendError, match="run `avnir lava setup`"), runtime.session(program):
        pass


def test_the_time_limit(monkeypatch, program):
    assert time_limit(program.graph, 1000) > time_limit(program.graph, 10) > 60
    monkeypatch.setenv("AVNIR_LAVA_TIMEOUT", "7.5")
    assert time_limit(program.graph, 1000) == 7.5
    for wrong in ("soon", "-1", "nan", "inf"):
        monkeypatch.setenv("AVNIR_LAVA_TIMEOUT", wrong)
        with pytest.raises(BackendError, match="must be a positive number of seconds"):
            time_limit(program.graph, 1)


def test_the_backends_are_found_by_name():
    assert backend.find("lava") is in_process
    assert backend.find("lava-runtime") is runtime
