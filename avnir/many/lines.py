"""A file of JSON lines that only grows: each is on the disk before the next is begun.

A process can be killed while it writes, which leaves a last line without an end. That line is dropped when
the file is opened again. One process at a time has the file open.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from avnir.errors import DataError, UserError

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Lines:
    """An open file: what it held, and how many bytes of a torn last line were dropped."""

    held: tuple[Record, ...]
    torn: int
    file: BinaryIO

    def added(self) -> int:
        """How many whole lines the file has gained since it was opened."""
        return Path(self.file.name).read_bytes().count(b"\n") - len(self.held)

    def append(self, record: Record) -> None:
        """Write one more line; when this returns, it is on the disk (else UserError)."""
        try:
            self.file.write(json.dumps(record, sort_keys=True, allow_nan=False).encode() + b"\n")
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise UserError(f"{self.file.name} cannot be written any further ({error.strerror})") from error


@contextmanager
def opened(path: Path, problem: Callable[[Record], str | None]) -> Iterator[Lines]:
    """The file at `path`, made if it is not there, for this process alone.

    `problem` says of a line why the file cannot be gone on with, or None. Raises DataError with the line that
    has one or is no JSON object, and leaves the file as it is; UserError where it cannot be written, or
    another process has it open.
    """
    try:
        file = path.open("a+b")
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); choose a file in a folder you may write to"
        ) from error
    with file:
        _hold(path, file)
        file.seek(0)
        content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        held = tuple(_records(path, whole, problem))
        file.truncate(len(whole))
        yield Lines(held, len(content) - len(whole), file)


def _hold(path: Path, file: BinaryIO) -> None:
    """Lock the file until it is closed, where its file system can."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(f"another process is writing {path}; wait for it, or choose another") from error
    except OSError:  # some network file systems have no locks
        return


def _records(path: Path, content: bytes, problem: Callable[[Record], str | None]) -> Iterator[Record]:
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}, is no JSON ({error}); choose another file") from error
        wrong = problem(record) if isinstance(record, dict) else "is no JSON object"
        if wrong:
            raise DataError(f"{path}, line {number}, {wrong}; choose another file")
        yield record
