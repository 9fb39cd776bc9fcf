"""Keeps Lava's worker process: starts it, waits for its answers, and ends it with all it started.

Lava hangs where one would expect an error (an exception in a process model, an interpreter that never
exits), and leaks shared memory when it is killed. So the worker leads a process group of its own, every
job has a time limit, the whole group is ended, and the shared memory, which bears a name of the worker's
own, is removed.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from avnir.errors import BackendError
from avnir.hardware.lava.environment import Environment

WORKER = Path(__file__).with_name("worker.py")
SHARED_MEMORY = Path("/dev/shm")
GRACE_SECONDS = 5.0
"""How long a group may take to end after SIGTERM before SIGKILL."""
ALARM_MARGIN_SECONDS = 30
"""How much longer than the parent the worker waits before it ends itself, should the parent be gone."""
LONGEST_ALARM_SECONDS = 2**31 - 1
TAIL_LINES = 15
LONGEST_BASE = 56
"""A UNIX socket's path has at most 107 bytes; multiprocessing appends 51 to the temporary folder's."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder for a worker, removed at the end; in /tmp if the usual place's name is too long."""
    base = tempfile.gettempdir()
    fits = len(os.fsencode(base)) <= LONGEST_BASE
    with tempfile.TemporaryDirectory(prefix="avnir-lava-", dir=base if fits else "/tmp") as folder:
        yield Path(folder)


class Worker:
    """A worker process, started by its first job and kept for the next; `folder` is for what it leaves."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        self.token = f"avnir_{secrets.token_hex(6)}"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def ask(self, job: Mapping[str, Any], limit: float) -> float:
        """Have a job done within `limit` seconds; returns the seconds that its steps took.

        Raises BackendError where the worker fails, dies or does not answer. The worker is ended then, and
        the next job starts another.
        """
        try:
            alarm = min(int(limit) + ALARM_MARGIN_SECONDS, LONGEST_ALARM_SECONDS)
            reply = self._exchange({**job, "limit": alarm}, limit)
        except BaseException:
            self.end()
            raise
        if "error" in reply:
            self.end()
            lines = reply["error"].strip().splitlines()
            raise BackendError("\n".join([f"Lava failed: {lines[-1]}", *lines[-TAIL_LINES:]]))
        return float(reply["done"])

    def _exchange(self, job: Mapping[str, Any], limit: float) -> dict[str, Any]:
        process = self.process = self.process or self._start()
        assert process.stdin is not None and process.stdout is not None
        deadline = time.monotonic() + limit
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
        except BrokenPipeError:
            raise self._failure(process) from None
        while time.monotonic() < deadline:
            # Children of the worker hold its output open, so its end must be looked for, too.
            if select.select([process.stdout], [], [], 0.05)[0]:
                line = process.stdout.readline()
                if line:
                    reply: dict[str, Any] = json.loads(line)
                    return reply
                process.wait()
            if process.poll() is not None:
                raise self._failure(process)
        raise BackendError(
            f"Lava did not answer within {limit:.0f} s and was stopped; AVNIR_LAVA_TIMEOUT sets the limit"
            + self._said()
        )

    def _start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "stderr").open("wb") as errors:
            return subprocess.Popen(
                [self.environment.python, "-E", "-s", WORKER, self.token],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self.folder,
                env={**os.environ, "TMPDIR": str(self.folder), "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )

    def _failure(self, process: subprocess.Popen[bytes]) -> BackendError:
        status = process.wait()
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return BackendError(f"Lava's worker process {how}" + self._said())

    def _said(self) -> str:
        lines = (self.folder / "stderr").read_text(errors="replace").strip().splitlines()
        return "\n".join(["; it last said:", *lines[-TAIL_LINES:]]) if lines else ""

    def end(self) -> None:
        """End the worker and every process that it started, and remove their shared memory."""
        process, self.process = self.process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if _members(process.pid):
                os.killpg(process.pid, number)
                _wait_until_gone(process.pid)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        for leaked in SHARED_MEMORY.glob(f"{self.token}_*"):
            leaked.unlink(missing_ok=True)


def _wait_until_gone(group: int) -> None:
    deadline = time.monotonic() + GRACE_SECONDS
    while _members(group) and time.monotonic() < deadline:
        time.sleep(0.01)


def _members(group: int) -> list[int]:
    """The living processes of a group; those that only wait to be reaped do not count."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, members_group = entry.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(members_group) == group and state != "Z":
            found.append(int(entry.parent.name))
    return found
