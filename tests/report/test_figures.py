"""Figures as text."""

from __future__ import annotations

import pytest

from avnir.report import figures
from avnir.report.figures import BOUND, DASH, MINUS, TIMES


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100.00"), (0.999999, "99.99"), (0.57, "57.00"), (0.0, "0.00"), (0.29, "29.00")],
)
def test_a_percentage_is_100_only_for_all(share: float, text: str) -> None:
    assert figures.percent(share) == f"{text}{BOUND}%"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0.0, "0 ns"),
        (999.4, "999 ns"),
        (1000, "1.0 µs"),
        (270210, "270.2 µs"),
        (3e6, "3.0 ms"),
        (2e9, "2.00 s"),
    ],
)
def test_a_time_has_the_unit_that_fits(nanoseconds: float, text: str) -> None:
    assert figures.duration(nanoseconds) == text.replace(" ", BOUND)


def test_changes_have_their_sign() -> None:
    assert [figures.signed(change) for change in (3, 0, -1200)] == ["+3", "0", f"{MINUS}1,200"]
    assert figures.whole(-80) == f"{MINUS}80"


def test_sizes_and_lists_are_words() -> None:
    assert figures.size((8, 16, 16)) == TIMES.join(["8", "16", "16"])
    assert figures.size(()) == "1"
    assert [figures.listed(names) for names in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
    assert figures.counted(1, "step") == "1 step"
    assert figures.counted(2000, "step") == "2,000 steps"


def test_columns_of_numbers_are_told_by_their_cells() -> None:
    made = figures.table("t", ("a", "b", "c"), [("x", "1", "y" * 40), ("y", DASH, "z")])
    assert [column.kind for column in made.columns] == ["", "number", "long"]
    assert figures.table("t", ("a",), []).columns[0].kind == "number"
