"""Events to frames: which bin and cell each falls in, and that none is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.errors import DataError
from avnir.models.data.events import CameraEvents, bin_events, camera_frames, read_frames

Event = tuple[int, int, int, int]


def events(listed: list[Event]) -> CameraEvents:
    """From (time, x, y, on)."""
    return CameraEvents(*np.array(listed, dtype=np.int64).reshape(-1, 4).T)


def test_bins_are_equally_wide_from_first_to_last_event() -> None:
    time = np.array([10, 14, 15, 19], dtype=np.int64)
    frames = bin_events(time, np.zeros(4, np.int64), steps=2, cells=1)
    assert frames.tolist() == [[2], [2]]
    assert bin_events(time, np.arange(4), steps=2, cells=4).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_a_single_event_is_in_the_first_bin() -> None:
    assert bin_events(np.array([7]), np.array([1]), steps=3, cells=2).tolist() == [[0, 1], [0, 0], [0, 0]]


def test_no_events_are_silence() -> None:
    nothing = np.zeros(0, np.int64)
    assert not bin_events(nothing, nothing, steps=3, cells=2).any()


def test_counts_end_at_255() -> None:
    zeros = np.zeros(300, np.int64)
    assert bin_events(zeros, zeros, steps=1, cells=1).tolist() == [[255]]


def test_fewer_than_one_step_is_refused() -> None:
    with pytest.raises(ValueError, match="steps is 0, must be at least 1"):
        bin_events(np.array([0]), np.array([0]), steps=0, cells=1)


def test_off_comes_before_on_and_rows_before_columns() -> None:
    frames = camera_frames(events([(0, 3, 1, 0), (1, 2, 0, 1)]), sensor=4, steps=1, size=4)
    assert np.argwhere(frames).tolist() == [[0, 0, 1, 3], [0, 1, 0, 2]]


def test_a_smaller_picture_adds_neighbours() -> None:
    frames = camera_frames(events([(0, 0, 0, 1), (0, 1, 1, 1), (0, 2, 3, 1)]), sensor=4, steps=1, size=2)
    assert frames[0, 1].tolist() == [[2, 0], [0, 1]]


def test_a_larger_picture_has_a_silent_margin() -> None:
    frames = camera_frames(events([(0, 0, 1, 1)]), sensor=2, steps=1, size=6)
    assert np.argwhere(frames).tolist() == [[0, 1, 3, 2]]


@given(
    listed=st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(0, 33), st.integers(0, 33), st.integers(0, 1)),
        min_size=1,
        max_size=60,
    ),
    steps=st.integers(1, 16),
    size=st.integers(1, 40),
)
def test_frames_are_those_of_a_loop(listed: list[Event], steps: int, size: int) -> None:
    first, last = min(t for t, *_ in listed), max(t for t, *_ in listed)
    expected = np.zeros((steps, 2, size, size), np.uint8)
    for time, x, y, on in listed:
        row, column = (v * size // 34 if size <= 34 else v + (size - 34) // 2 for v in (y, x))
        expected[(time - first) * steps // (last - first + 1), on, row, column] += 1
    frames = camera_frames(events(listed), 34, steps, size)
    assert np.array_equal(frames, expected)
    assert frames.sum() == len(listed)


def test_all_refused_files_are_named(tmp_path: Path) -> None:
    def read(path: Path) -> np.ndarray:
        if path.name.startswith("bad"):
            raise DataError(f"{path.name} is bad")
        return np.full((2, 1), 7, np.uint8)

    good = [tmp_path / "a", tmp_path / "b"]
    assert read_frames(tmp_path, good, (2, 1), read).tolist() == [[[7], [7]], [[7], [7]]]
    bad = [tmp_path / f"bad{number}" for number in range(23)]
    with pytest.raises(DataError, match=r"23 unusable files: bad0 is bad; .*; and 3 more"):
        read_frames(tmp_path, [*good, *bad], (2, 1), read)
