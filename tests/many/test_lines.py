"""The file of JSON lines: whole lines only, one writer, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from avnir.errors import DataError, UserError
from avnir.many.lines import Record, opened


def fits(line: Record) -> str | None:
    return "is foreign" if "foreign" in line else None


def test_lines_are_on_the_disk_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    with opened(path, fits) as lines:
        assert (lines.held, lines.torn) == ((), 0)
        lines.append({"b": 1, "a": 2})
        assert path.read_bytes() == b'{"a": 2, "b": 1}\n'
        lines.append({"c": "three\nlines\n"})
    with opened(path, fits) as lines:
        assert lines.held == ({"a": 2, "b": 1}, {"c": "three\nlines\n"})


@pytest.mark.parametrize("torn", [b"{", b'{"c": 3}', b'{"c": "\xc3'])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a": 1}\n' + torn)
    with opened(path, fits) as lines:
        assert (lines.held, lines.torn) == (({"a": 1},), len(torn))
        lines.append({"b": 2})
    assert path.read_bytes() == b'{"a": 1}\n{"b": 2}\n'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"not JSON", "line 2, is no JSON"),
        (b"\xff", "line 2, is no JSON"),
        (b"", "line 2, is no JSON"),
        (b"[1]", "line 2, is no JSON object"),
        (b'{"foreign": 1}', "line 2, is foreign"),
    ],
)
def test_what_is_no_such_file_is_left_as_it_is(tmp_path: Path, line: bytes, problem: str) -> None:
    path = tmp_path / "lines.jsonl"
    content = b'{"a": 1}\n' + line + b'\n{"a": 2}\n{"torn'
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem), opened(path, fits):
        pass
    assert path.read_bytes() == content


def test_two_cannot_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    with opened(path, fits), pytest.raises(UserError, match="another process is writing"), opened(path, fits):
        pass


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose a file in a folder you may write to"), opened(tmp_path, fits):
        pass
