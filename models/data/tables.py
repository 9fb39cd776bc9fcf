"""Tables in text files: comma- or otherwise separated, read whole, with every fault named at once."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from avnir.errors import DataError
from avnir.models.data.archives import refuse_lfs_pointer
from avnir.models.data.media import refuse

Row = dict[str, str]


def read_table(
    path: Path, columns: Sequence[str], problem: Callable[[Row], str | None], delimiter: str = ","
) -> list[Row]:
    """The rows of a file whose first line names its columns.

    Spaces about names and values go. Raises `DataError` where the file or one of `columns` is missing, a
    row has another number of values, or `problem` says why a row can't be used: all rows at once.
    """
    lines = read_lines(path, delimiter)
    names = lines[0] if lines else []
    if lacking := [name for name in columns if name not in names]:
        raise DataError(f"{path}: no column {', '.join(lacking)} in its first line; get the file again")
    refuse(path, (f"{line}" for line in lines[1:] if len(line) != len(names)))
    rows = [dict(zip(names, line, strict=True)) for line in lines[1:]]
    refuse(path, (found for row in rows if (found := problem(row))))
    return rows


def read_lines(path: Path, delimiter: str) -> list[list[str]]:
    """The values of every line that is not empty, without spaces about them."""
    if not path.is_file():
        raise DataError(f"{path}: missing")
    refuse_lfs_pointer(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [[value.strip() for value in line] for line in csv.reader(file, delimiter=delimiter)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a table in UTF-8 ({error}); get the file again") from error
    return [line for line in lines if any(line)]
