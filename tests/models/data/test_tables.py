"""Tables: what is read, and that all faults are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from avnir.errors import DataError
from avnir.models.data.tables import read_table
from tests.models.data.files import LFS


def no_problem(row: dict[str, str]) -> None:
    return None


def test_rows_by_the_names_of_the_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeff b, a\n1, 2\n\n3,4\n", encoding="utf-8")
    rows = read_table(tmp_path / "a.csv", ("a",), no_problem)
    assert rows == [{"a": "2", "b": "1"}, {"a": "4", "b": "3"}]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "missing"),
        (LFS, "Git-LFS pointer"),
        (b"", "no column a, b"),
        (b"a,c\n1,2\n", "no column b"),
        (b"a,b\n1\n2\n", r"2 unusable: \['1'\]; \['2'\]"),
        (b"a,b\n\xff,2\n", "not a table in UTF-8"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        read_table(tmp_path / "a.csv", ("a", "b"), no_problem)


def test_every_bad_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n2\n3\n")
    with pytest.raises(DataError, match="2 unusable: 1 is odd; 3 is odd"):
        read_table(
            tmp_path / "a.csv", ("a",), lambda row: f"{row['a']} is odd" if int(row["a"]) % 2 else None
        )
