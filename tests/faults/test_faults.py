"""Every planted fault is found where it shows, and nearly every one is called by its name."""

from __future__ import annotations

import re

import pytest

from tests.faults.faults import FAULTS, NONE, Case
from tests.faults.programs import SHIPPED
from tests.faults.table import TABLE, found, table

FEWEST = 27
"""Of the faults that the table of causes has an entry for, so many at least must be named."""


@pytest.mark.parametrize("case", FAULTS, ids=[case.fault for case in FAULTS])
def test_a_planted_fault(case: Case) -> None:
    if case.program in SHIPPED:
        pytest.importorskip("torch")
    result = found(case)
    assert result.where == result.searched
    assert result.entered
    row = table([result]).rpartition("|---|\n")[2]
    assert row in TABLE.read_text(), "run python -m tests.faults --write"


def test_the_published_table_names_the_right_causes() -> None:
    written = TABLE.read_text()
    known = sum(case.cause != NONE for case in FAULTS)
    assert known >= 30
    told = re.search(
        r"Of (\d+) that have an entry in the table of causes the right one is named in (\d+)", written
    )
    assert told is not None
    assert int(told[1]) == known
    assert FEWEST <= int(told[2]) == written.count("| yes |\n") - sum(case.cause == NONE for case in FAULTS)
    assert written.count("\n| ") == 1 + len(FAULTS)
