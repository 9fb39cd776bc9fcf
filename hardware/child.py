"""Keeps a worker process: starts it, waits for its answers, and ends it with all that it started.

It leads a process group of its own, every job has a time limit, and the whole group is ended.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from avnir.errors import BackendError

GRACE_SECONDS = 5.0
"""How long a group may take to end after SIGTERM before SIGKILL."""
TAIL_LINES = 15


class Child:
    """A worker that answers JSON lines, started by its first job and kept for the next.

    `folder` is its working folder, `name` what errors call it, `remedy` what they say of the time limit.
    """

    def __init__(
        self,
        command: Sequence[Path | str],
        folder: Path,
        name: str,
        remedy: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """`variables` is its whole environment; by default this process's."""
        self.command = command
        self.folder = folder
        self.name = name
        self.remedy = remedy
        self.variables = variables
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def ask(self, job: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """The answer to a job, within `limit` seconds.

        Raises BackendError where the worker fails, dies or does not answer. The worker is ended then, and
        the next job starts another.
        """
        try:
            reply = self._exchange(job, limit)
        except BaseException:
            self.end()
            raise
        if "error" in reply:
            self.end()
            lines = reply["error"].strip().splitlines()
            raise BackendError("\n".join([f"{self.name} failed: {lines[-1]}", *lines[-TAIL_LINES:]]))
        return reply

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
            f"{self.name} did not answer within {limit:.0f} s and was stopped{self.remedy}" + self._said()
        )

    def _start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "stderr").open("wb") as errors:
            return subprocess.Popen(
                self.command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self.folder,
                env=self.variables,
                start_new_session=True,
            )

    def _failure(self, process: subprocess.Popen[bytes]) -> BackendError:
        status = process.wait()
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return BackendError(f"{self.name}'s worker process {how}" + self._said())

    def _said(self) -> str:
        lines = (self.folder / "stderr").read_text(errors="replace").strip().splitlines()
        return "\n".join(["; it last said:", *lines[-TAIL_LINES:]]) if lines else ""

    def end(self) -> None:
        """End the worker and every process that it started."""
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
