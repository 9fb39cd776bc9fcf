"""What machine the figures are from, and whether it had nothing else to do."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

BUSY = 0.5
"""Processes at work on average over the last minute, before the first run, from which a warning is given."""
PACKAGES = ("avnir", "numpy", "numba", "torch", "snntorch")
CPUS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """The processor, how many of its cores may be used, bytes of memory, versions, the load at the start."""

    processor: str
    cores: int
    memory: int
    system: str
    python: str
    packages: dict[str, str]
    load: float

    @property
    def warning(self) -> str | None:
        """What to say where other processes were at work, or None."""
        if self.load < BUSY:
            return None
        return (
            f"other processes are busy: {self.load:.1f} were at work over the last minute; "
            "these figures are no measurement of this machine"
        )

    def record(self) -> dict[str, Any]:
        return asdict(self)


def this_machine() -> Machine:
    """The machine that this process runs on, now."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        processor=processor(CPUS),
        cores=len(os.sched_getaffinity(0)),
        memory=pages,
        system=platform.platform(terse=True),
        python=platform.python_version(),
        packages=versions(PACKAGES),
        load=os.getloadavg()[0],
    )


def processor(file: Path) -> str:
    """The name that the system gives the processor, or its architecture where it gives none."""
    lines = file.read_text().splitlines() if file.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def versions(names: Sequence[str]) -> dict[str, str]:
    """The versions of the packages of these names that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
