"""Backends work beside the stages of this process, and end with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event

import pytest

from avnir import target
from avnir.cli.at_work import opened_backends
from avnir.compile import compile_graph
from avnir.errors import BackendError, DataError
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.trace import Trace
from tests.networks import audio_visual, spikes

SECONDS = 10.0


class Backend:
    """Its run waits until `let` is set, and then fails if it is called broken; a session's end sets it."""

    def __init__(self, name: str, happened: list[str], let: Event) -> None:
        self.name, self.happened, self.let = name, happened, let
        self.program: Program | None = None

    @contextmanager
    def session(self, program: Program) -> Iterator[Backend]:
        self.program = program
        self.happened.append(f"open {self.name}")
        try:
            yield self
        finally:
            self.happened.append(f"close {self.name}")
            self.let.set()

    def run(self, inputs: Mapping[str, Array], states: bool = False) -> Trace:
        self.happened.append(f"run {self.name}")
        assert self.let.wait(SECONDS)
        if self.name == "broken":
            raise BackendError("it broke")
        assert self.program is not None
        return interpret_integer(self.program.graph, inputs)


@pytest.fixture
def happened() -> list[str]:
    """What was done, in order."""
    return []


@pytest.fixture
def let(monkeypatch: pytest.MonkeyPatch, happened: list[str]) -> Event:
    """What the backends wait for; every name finds one."""
    event = Event()
    monkeypatch.setattr("avnir.backend.find", lambda name: Backend(name, happened, event))
    return event


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_graph(audio_visual(0, reset="zero"), target.load("loihi2")).program


def test_they_run_one_after_the_other_beside_this_thread(
    let: Event, happened: list[str], program: Program
) -> None:
    inputs = spikes(program.graph, 0, steps=2)
    with opened_backends(program, ["one", "two"]) as backends:
        running = backends.begin(inputs)
        happened.append("beside")
        let.set()
        traces = [running[name].result(SECONDS) for name in ("one", "two")]
    assert [event for event in happened if event != "beside"] == [
        *("open one", "open two", "run one", "run two", "close two", "close one")
    ]
    assert happened.index("beside") < happened.index("run two")
    wanted = interpret_integer(program.graph, inputs)
    assert all((trace.spikes["lif_out"] == wanted.spikes["lif_out"]).all() for trace in traces)


def test_an_error_here_ends_what_runs_and_starts_nothing_more(
    let: Event, happened: list[str], program: Program
) -> None:
    inputs = spikes(program.graph, 0, steps=2)
    with pytest.raises(DataError), opened_backends(program, ["one", "two"]) as backends:
        backends.begin(inputs)
        raise DataError("something else went wrong")
    assert let.is_set(), "a session that ended lets its run go"
    assert "run two" not in happened
    assert happened[-2:] == ["close two", "close one"]


def test_an_error_there_is_raised_here(let: Event, happened: list[str], program: Program) -> None:
    let.set()
    inputs = spikes(program.graph, 0, steps=2)
    with pytest.raises(BackendError, match="it broke"), opened_backends(program, ["broken"]) as backends:
        backends.begin(inputs)["broken"].result(SECONDS)
    assert happened == ["open broken", "run broken", "close broken"]
