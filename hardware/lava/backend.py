"""Two backends on Lava: its process models in one process, and its own runtime.

Both run the same Lava processes and leave the same spikes. `lava` calls Lava's compiled, unmodified
process models one after the other; `lava-runtime` starts one system process for each and passes messages,
which is how Lava itself runs and slower. Registers can be read only from the first.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avnir.errors import BackendError
from avnir.hardware.lava.environment import require, why_missing
from avnir.hardware.lava.limits import check
from avnir.hardware.lava.supervisor import Worker, scratch
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.ir.presentations import presentations
from avnir.program import Program
from avnir.trace import Trace, checked_inputs

NAMES = {"in-process": "lava", "runtime": "lava-runtime", "chip": "loihi2"}
"""The backends by the way in which the worker runs a program."""
TIMEOUT = "AVNIR_LAVA_TIMEOUT"
START_SECONDS = 120.0
STEP_SECONDS = 0.05
SYNAPSE_SECONDS = 5e-7
"""Far above what was measured: 0.1 to 0.7 ms a step, and 2e-9 s (Dense) to 4e-8 s (Conv) a synapse."""


@dataclass(frozen=True)
class LavaSession:
    """A saved program and the worker that runs it; several sessions may share a worker."""

    worker: Worker
    program: Program
    folder: Path
    way: str
    limit: float | None = None

    def run(self, inputs: Mapping[str, Array], states: bool = False) -> Trace:
        """Run every sample's window, one after the other; see `avnir.backend.Session.run`."""
        return self.timed(inputs, states)[0]

    def timed(self, inputs: Mapping[str, Array], states: bool = False) -> tuple[Trace, float]:
        """The same with the seconds that Lava took, for starting its runtime as well, not for building."""
        if states and self.way != "in-process":
            name = NAMES[self.way]
            raise BackendError(f"the backend {name} cannot read registers; use the backend lava")
        arrays = checked_inputs(self.program.graph, inputs)
        steps, batch = next(iter(arrays.values())).shape[:2]
        given, made = self.folder / "inputs.npz", self.folder / "trace.npz"
        integers: dict[str, Any] = {f"inputs/{n}": array.astype(np.int32) for n, array in arrays.items()}
        np.savez(given, **integers)
        files = {"program": str(self.folder / "program"), "inputs": str(given), "trace": str(made)}
        work = steps * batch * presentations(self.program.graph) + self.program.latency
        limit = self.limit or time_limit(self.program.graph, work)
        seconds = self.worker.seconds({"way": self.way, "states": states, **files}, limit)
        trace = Trace.load(made)
        given.unlink()
        made.unlink()
        return trace, seconds


@dataclass(frozen=True)
class LavaBackend:
    """Real Lava processes; `limit` seconds a run, by default `AVNIR_LAVA_TIMEOUT` or scaled by the work."""

    name: str
    summary: str
    way: str
    limit: float | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    """What of the conformance suite it lacks, with the reason."""

    def missing(self) -> str | None:
        return why_missing()

    @contextmanager
    def session(self, program: Program) -> Iterator[LavaSession]:
        """Open the program; the worker starts with the first run and ends with the context."""
        environment = require()
        check(program.graph, self.name)
        with scratch() as folder:
            program.save(folder / "program")
            with Worker(environment, folder) as worker:
                yield LavaSession(worker, program, folder, self.way, self.limit)


def time_limit(graph: Graph, steps: int) -> float:
    """Seconds that a run of so many chip steps may take."""
    wanted = os.environ.get(TIMEOUT)
    if not wanted:
        return START_SECONDS + steps * (STEP_SECONDS + SYNAPSE_SECONDS * _synapses(graph))
    try:
        seconds = float(wanted)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise BackendError(f"{TIMEOUT} is {wanted!r}, but must be a positive number of seconds")
    return seconds


def _synapses(graph: Graph) -> int:
    """Multiplications of a step: outputs times weights of each, and again for each step of a dense delay."""
    total = 0
    for node in graph.select(lambda op: getattr(op, "connection", False)):
        weight, delay = node.op.weight, node.op.delay  # type: ignore[attr-defined]
        listed = weight.ndim == 1
        stored = weight.size if listed else math.prod(graph.shapes[node.name]) * weight[0].size
        total += stored * (1 + delay)
    return total


in_process = LavaBackend(
    NAMES["in-process"], "Lava's own process models, called in one process", "in-process"
)
runtime = LavaBackend(
    NAMES["runtime"],
    "Lava's runtime: one system process for each Lava process",
    "runtime",
    expected_failures={"states": "registers cannot be read after each step without slowing every run"},
)
