"""Keeps Lava's worker process.

Lava hangs where one would expect an error (an exception in a process model, an interpreter that never
exits), and leaks shared memory when it is killed. So its worker is a `Child`, and the shared memory, which
bears a name of the worker's own, is removed.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avnir.hardware.child import Child
from avnir.hardware.lava.environment import Environment

WORKER = Path(__file__).with_name("worker.py")
SHARED_MEMORY = Path("/dev/shm")
ALARM_MARGIN_SECONDS = 30
"""How much longer than the parent the worker waits before it ends itself, should the parent be gone."""
LONGEST_ALARM_SECONDS = 2**31 - 1
LONGEST_BASE = 56
"""A UNIX socket's path has at most 107 bytes; multiprocessing appends 51 to the temporary folder's."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder for a worker, removed at the end; in /tmp if the usual place's name is too long."""
    base = tempfile.gettempdir()
    fits = len(os.fsencode(base)) <= LONGEST_BASE
    with tempfile.TemporaryDirectory(prefix="avnir-lava-", dir=base if fits else "/tmp") as folder:
        yield Path(folder)


class Worker(Child):
    """Lava's worker process; `folder` is for what it leaves."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.token = f"avnir_{secrets.token_hex(6)}"
        super().__init__(
            [environment.python, "-E", "-s", WORKER, self.token],
            folder,
            "Lava",
            "; AVNIR_LAVA_TIMEOUT sets the limit",
            {**os.environ, "TMPDIR": str(folder), "OPENBLAS_NUM_THREADS": "1"},
        )

    def seconds(self, job: Mapping[str, Any], limit: float) -> float:
        """Have a job done within `limit` seconds, or BackendError; the seconds that its steps took."""
        alarm = min(int(limit) + ALARM_MARGIN_SECONDS, LONGEST_ALARM_SECONDS)
        return float(self.ask({**job, "limit": alarm}, limit)["done"])

    def end(self) -> None:
        """End the worker and every process that it started, and remove their shared memory."""
        if self.process is None:
            return
        super().end()
        for leaked in SHARED_MEMORY.glob(f"{self.token}_*"):
            leaked.unlink(missing_ok=True)
