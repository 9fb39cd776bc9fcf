"""A run in pieces: equal to the whole in every bit, whatever it may take."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.backend import Piecewise
from avnir.cost.synops import count, operations
from avnir.errors import MemoryLimitError, UserError
from avnir.hardware.cpu import CpuBackend, backend
from avnir.hardware.cpu.memory import Footprint
from avnir.ir.presentations import presentations
from avnir.pieces import Piece, Totals, pieces_of, row_bytes
from avnir.program import Program
from avnir.testing.cases import CASES
from avnir.testing.strategies import Window, windows
from avnir.trace import Trace
from avnir.trace_file import trace_file

SLOW: dict[str, Any] = {"deadline": None}


def gathered(program: Program, inputs: Any, states: bool, room: int | None) -> tuple[Trace, list[Piece]]:
    """All pieces, and what they make together."""
    steps, samples = next(iter(inputs.values())).shape[:2]
    whole, pieces = Trace.empty(program.graph, steps, samples, states), []

    def take(piece: Piece) -> None:
        pieces.append(piece)
        arrays = whole.presented[piece.number].named()
        for name, array in piece.trace.named().items():
            arrays[name][piece.steps, piece.samples] = array

    with backend.session(program) as session:
        assert isinstance(session, Piecewise)
        session.run_in_pieces(inputs, take, states, room)
    return whole, pieces


def smallest(program: Program, inputs: Any, states: bool) -> int:
    """The least room in which it runs."""
    with pytest.raises(MemoryLimitError) as refused:
        gathered(program, inputs, states, 0)
    return refused.value.needed


def assert_same(first: Trace, second: Trace) -> None:
    one, other = first.named(), second.named()
    assert one.keys() == other.keys()
    for name, array in other.items():
        assert array.dtype == one[name].dtype
        np.testing.assert_array_equal(one[name], array)


@settings(**SLOW, max_examples=40)
@given(windows(), st.booleans(), st.floats(1, 4))
def test_any_room_gives_the_same_trace(window: Window, states: bool, times: float) -> None:
    program, inputs = window.program, window.inputs
    with backend.session(program) as session:
        wanted = session.run(inputs, states=states)
    room = int(times**4 * smallest(program, inputs, states))
    found, _ = gathered(program, inputs, states, room)
    assert_same(found, wanted)


@settings(**SLOW, max_examples=20)
@given(windows())
def test_totals_are_those_of_the_whole_trace(window: Window) -> None:
    program, inputs = window.program, window.inputs
    with backend.session(program) as session:
        whole = session.run(inputs)
    steps, samples = next(iter(inputs.values())).shape[:2]
    totals = Totals(program.graph, steps, samples)
    for piece in gathered(program, inputs, False, smallest(program, inputs, False))[1]:
        totals.add(piece)
    assert operations(program, totals.sent(inputs), samples) == count(program, inputs, whole)
    assert totals.spikes == {name: int(np.count_nonzero(sent)) for name, sent in whole.spikes.items()}
    np.testing.assert_array_equal(totals.trace.decisions(), whole.decisions())


@settings(**SLOW, max_examples=20)
@given(windows(), st.booleans(), st.randoms())
def test_a_file_of_pieces_is_that_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, window: Window, states: bool, dice: Any
) -> None:
    folder, program = tmp_path_factory.mktemp("trace"), window.program
    _, pieces = gathered(program, window.inputs, states, smallest(program, window.inputs, states))
    with backend.session(program) as session:
        session.run(window.inputs, states=states).save(folder / "whole.npz")
    dice.shuffle(pieces)
    extent = next(iter(window.inputs.values())).shape[:2]
    with trace_file(folder / "pieces.npz", program.graph, *extent, states) as write:
        for piece in pieces:
            write(piece)
    assert (folder / "pieces.npz").read_bytes() == (folder / "whole.npz").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["pieces.npz", "whole.npz"]


def test_with_little_room_a_sample_goes_alone_a_step_at_a_time() -> None:
    case = CASES["deep"]()
    steps, samples = case.inputs["input"].shape[:2]
    _, pieces = gathered(case.program, case.inputs, False, smallest(case.program, case.inputs, False))
    assert [(p.samples, p.steps) for p in pieces] == [
        (slice(b, b + 1), slice(t, t + 1)) for b in range(samples) for t in range(steps)
    ]


def test_without_a_limit_it_is_the_whole_trace() -> None:
    case = CASES["deep"]()
    steps, samples = case.inputs["input"].shape[:2]
    _, (piece,) = gathered(case.program, case.inputs, False, None)
    assert (piece.number, piece.steps, piece.samples) == (0, slice(0, steps), slice(0, samples))


@pytest.mark.parametrize("name", ["deep", "window_sum"])
def test_each_presentation_is_a_piece(name: str) -> None:
    case = CASES[name]()
    _, pieces = gathered(case.program, case.inputs, True, None)
    shown = presentations(case.program.graph)
    assert [piece.number for piece in pieces] == list(range(shown))
    assert all(not piece.trace.rehearsals for piece in pieces)
    assert [bool(piece.trace.outputs) for piece in pieces] == [False] * (shown - 1) + [True]


@given(
    st.builds(
        Footprint,
        traced=st.integers(1, 1000),
        computed=st.integers(1, 1000),
        kept=st.integers(0, 1000),
        presentations=st.integers(1, 3),
        block=st.integers(1, 10_000),
        threads=st.integers(1, 8),
    ),
    st.integers(0, 10**7),
    st.integers(1, 50),
    st.integers(1, 50),
)
def test_a_share_fits_and_one_more_does_not(made: Footprint, room: int, steps: int, batch: int) -> None:
    try:
        share = made.share(room, steps, batch)
    except MemoryLimitError as error:
        assert made.alone(1) == error.needed > room
        return
    if share.steps == steps and made.window(share.samples, steps) <= room:
        assert share.samples == batch or made.window(share.samples + 1, steps) > room
    else:
        assert share.samples == 1 and made.window(1, steps) > room >= made.alone(share.steps)
        assert share.steps == steps or made.alone(share.steps + 1) > room


def test_the_footprint_counts_every_byte_of_a_trace() -> None:
    case = CASES["window_sum"]()
    with CpuBackend(1).session(case.program) as session:
        trace = session.run(case.inputs, states=True)
    steps, samples = next(iter(case.inputs.values())).shape[:2]
    last = next(piece for piece in pieces_of(trace) if piece.trace.outputs)
    size = sum(array.nbytes for array in last.trace.named().values())
    assert size == steps * samples * row_bytes(case.program.graph, states=True)


def test_a_limit_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(MemoryLimitError(5, 3)))
    assert (error.needed, error.room, str(error)) == (5, 3, str(MemoryLimitError(5, 3)))


@pytest.mark.parametrize(("fit", "remedy"), [(3, "use --samples 3"), (0, "leave --out away")], ids=str)
def test_a_trace_too_large_to_be_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: int, remedy: str
) -> None:
    graph = CASES["deep"]().program.graph
    monkeypatch.setattr("avnir.trace_file.MAX_ARRAY_BYTES", fit * 10 * row_bytes(graph, False) + 1)
    with pytest.raises(UserError, match=remedy), trace_file(tmp_path / "x", graph, 10, 7, False):
        pass
    assert not list(tmp_path.iterdir())


def test_a_trace_larger_than_the_disk_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = CASES["deep"]().program.graph
    usage = type("usage", (), {"free": 10})
    monkeypatch.setattr("avnir.trace_file.shutil.disk_usage", lambda folder: usage)
    with (
        pytest.raises(UserError, match="has 10 bytes free; use fewer --samples, or another folder"),
        trace_file(tmp_path / "new" / "x.npz", graph, 10, 2, False),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_pieces_of_a_failed_run_leave_no_file(tmp_path: Path) -> None:
    graph = CASES["deep"]().program.graph
    with pytest.raises(KeyError), trace_file(tmp_path / "x.npz", graph, 10, 2, False):
        raise KeyError
    assert not list(tmp_path.iterdir())
