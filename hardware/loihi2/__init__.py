"""Loihi 2 itself: refused, with the reason. avnir has not been run on silicon.

What an export writes (`program/` and `lava.py`) is made for the chip's arithmetic and checked against
Lava's simulation of it; starting it on the chip needs Intel's extension of Lava, which is not public.
"""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass

from avnir.backend import Session
from avnir.errors import BackendError
from avnir.hardware.lava.environment import REMEDY, Environment, find
from avnir.program import Program

PROBE = "from lava.utils.loihi import is_installed; print(is_installed())"
PROBE_SECONDS = 60.0


@dataclass(frozen=True)
class Loihi2Backend:
    """A backend that never starts, because nothing could be said about what it would compute."""

    name: str = "loihi2"
    summary: str = "the chip; refused until Intel's extension of Lava is there and was tested"

    def missing(self) -> str:
        """Why the chip cannot be used here."""
        environment = find()
        if environment is None:
            return f"Loihi 2 needs Lava and Intel's extension of it, and Lava is not set up; {REMEDY}"
        if not _extension_installed(environment):
            return (
                "Loihi 2 needs Intel's extension of Lava (members of the INRC have it), which is not in "
                f"{environment.folder}; use the backend lava for the same arithmetic"
            )
        return (
            "Intel's extension of Lava is installed, but avnir was never tested on silicon and does not "
            "start there; take lava.py from an exported folder, and the backend lava to compare with"
        )

    def session(self, program: Program) -> AbstractContextManager[Session]:
        """Refuse, before anything is started."""
        raise BackendError(self.missing())


def _extension_installed(environment: Environment) -> bool:
    answer = subprocess.run(
        [environment.python, "-E", "-s", "-c", PROBE],
        capture_output=True,
        text=True,
        timeout=PROBE_SECONDS,
        check=False,
    )
    return answer.stdout.strip() == "True"


backend = Loihi2Backend()
