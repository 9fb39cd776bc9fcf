"""What machine the figures are from, and whether it had nothing else to do."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

BUSY = 0.2
"""Processors that others keep at work, from which a warning is given."""
WATCHED = 1.0
"""Seconds before the first run over which that is measured: an average over a minute still holds what this
machine was asked to do before."""
PACKAGES = ("avnir", "numpy", "numba", "torch", "snntorch")
CPUS, STAT = Path("/proc/cpuinfo"), Path("/proc/stat")


@dataclass(frozen=True)
class Machine:
    """The processor, cores that may be used, bytes of memory, versions, processors that others kept busy."""

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
            f"others keep {self.load:.1f} processors busy: these figures are no measurement of this machine"
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
        load=others_at_work(STAT),
    )


def others_at_work(file: Path) -> float:
    """Processors at work while this process waits; 0 where the system does not say."""
    before = _at_work(file)
    time.sleep(WATCHED)
    return (_at_work(file) - before) / (WATCHED * os.sysconf("SC_CLK_TCK"))


def _at_work(file: Path) -> int:
    """Ticks of all processors since the system began, neither idle nor waiting for a disk (proc(5))."""
    if not file.is_file():
        return 0
    user, nice, system, _, _, *interrupts = (
        int(word) for word in file.read_text().splitlines()[0].split()[1:8]
    )
    return user + nice + system + sum(interrupts)


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
