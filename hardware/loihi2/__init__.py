"""Loihi 2 itself, where Intel's extension of Lava is installed. avnir has not been run on silicon.

The same Lava processes as in the backend `lava` are compiled with `Loihi2HwCfg` in place of `Loihi2SimCfg`,
and Intel's adapters stand between the chip and what feeds and reads it (`avnir.hardware.lava`). The
extension is not public: all up to Lava's compiler is tested with a stand-in for it, and nothing beyond.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from avnir.errors import BackendError, Finding, UnsupportedError
from avnir.hardware.lava.backend import NAMES, LavaSession
from avnir.hardware.lava.environment import REMEDY, Environment, find, require
from avnir.hardware.lava.supervisor import Worker, scratch
from avnir.ir.graph import Graph
from avnir.program import Program

PROBE = "from lava.utils.loihi import is_installed; print(is_installed())"
PROBE_SECONDS = 60.0
UNTESTED = "loihi2: not tested on silicon; compare with the backend lava (`avnir verify --backend loihi2`)"


@dataclass(frozen=True)
class Loihi2Backend:
    """Runs on Loihi 2 through Intel's extension of Lava; `limit` seconds a run as for the backend lava."""

    name: str = NAMES["chip"]
    summary: str = "the chip, through Intel's extension of Lava; not tested on silicon"
    limit: float | None = None

    def missing(self) -> str | None:
        """Why the chip cannot be used here, or None."""
        environment = find()
        if environment is None:
            return f"Loihi 2 needs Lava and Intel's extension of it, and Lava is not set up; {REMEDY}"
        if not _extension_installed(environment):
            return (
                "Loihi 2 needs Intel's extension of Lava (members of the INRC have it), which is not in "
                f"{environment.folder}; use the backend lava for the same arithmetic"
            )
        return None

    @contextmanager
    def session(self, program: Program) -> Iterator[LavaSession]:
        """Open the program, and say that this was not tested; the worker starts with the first run."""
        if why := self.missing():
            raise BackendError(why)
        check(program.graph)
        print(UNTESTED, file=sys.stderr)
        with scratch() as folder:
            program.save(folder / "program")
            with Worker(require(), folder) as worker:
                yield LavaSession(worker, program, folder, "chip", self.limit)


def check(graph: Graph) -> None:
    """Raise UnsupportedError with all of an integer graph that avnir has no process of the chip for."""
    findings = [*_programmable(graph), *_waiting(graph)]
    if findings:
        raise UnsupportedError("the backend loihi2 has no form for all of this program", findings)


def _programmable(graph: Graph) -> Iterator[Finding]:
    """avnir's programmable neurons are models for Lava's simulation: their microcode is not written."""
    for node in graph.neurons:
        what: str = node.op.microcode  # type: ignore[attr-defined]
        if what:
            remedy = 'Train with reset_mechanism="zero", reset_delay=False, or use the backend lava.'
            yield Finding(
                node.name,
                f"{what} needs a programmable neuron, of which avnir has no microcode",
                remedy if node.op.kind == "Lif" else "Use the backend lava.",
            )


def _waiting(graph: Graph) -> Iterator[Finding]:
    """Connections that wait in a process of avnir's, which only Lava's simulation can run."""
    for node in graph.select(lambda op: bool(getattr(op, "connection", False))):
        op: Any = node.op
        if op.lag:
            what = "spikes that come back a step later pass a gate that closes a window"
            yield Finding(node.name, f"{what}, which the chip has no process for", "Use the backend lava.")
        if op.delay and op.kind == "Conv":
            what = f"a convolution that waits {op.delay} steps more, which Lava's Conv cannot"
            yield Finding(node.name, what, "Use paths of equal depth, or the backend lava.")


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
