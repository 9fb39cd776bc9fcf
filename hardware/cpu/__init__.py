"""The CPU engine: integer programs over a whole window, bit for bit equal to the definition, and fast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from avnir.backend import Session
from avnir.program import Program


class CpuBackend:
    """Runs any program on the processor."""

    name = "cpu"
    summary = "exact integers on the processor, compiled, event-driven where spikes are sparse"

    def __init__(self, threads: int | None = None, tiles: bool = True) -> None:
        """`threads` None takes as many as Numba would (`NUMBA_NUM_THREADS`, or the processors there are).

        Without `tiles` all synapses go event by event, as on processors that have no products of tiles (AMX).
        """
        self.threads, self.tiles = threads, tiles

    def missing(self) -> str | None:
        """Nothing: Numba is among avnir's own dependencies."""
        return None

    @contextmanager
    def session(self, program: Program) -> Iterator[Session]:
        """Open the program; Numba is imported, and kernels are compiled, only when one is run."""
        from avnir.hardware.cpu.engine import CpuSession

        session = CpuSession(program, self.threads, self.tiles)
        try:
            yield session
        finally:
            session.close()


backend = CpuBackend()
