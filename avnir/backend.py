"""Backends: whatever can run a program. Found by entry point, so that the core knows none of them.

A package offers one by an entry point in the group `avnir.backends` that names a `Backend` object. A
framework that runs the network itself, in floating point, is offered in the group `avnir.references` by
a function of a real graph and its inputs, `[T, B, *shape]`, that gives a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from avnir.errors import BackendError
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.pieces import Piece
from avnir.program import Program
from avnir.trace import Trace

GROUP = "avnir.backends"
REFERENCES = "avnir.references"


class Session(Protocol):
    """A program, ready to run as often as wanted."""

    def run(self, inputs: Mapping[str, Array], states: bool = False) -> Trace:
        """Run one window per sample: `inputs` integers `[T, B, *shape]`.

        The trace holds the spikes of every layer on the model's time base and, with `states`,
        each layer's registers (int32) where the backend can read them (else BackendError).
        """
        ...


@runtime_checkable
class Piecewise(Session, Protocol):
    """A session that need not hold the whole trace of a run."""

    def run_in_pieces(
        self,
        inputs: Mapping[str, Array],
        take: Callable[[Piece], object],
        states: bool = False,
        room: int | None = None,
    ) -> None:
        """`run`, handing its trace to `take` in pieces, so that all takes at most `room` bytes at a time.

        None for all of it at once. Raises MemoryLimitError where the least takes more.
        """
        ...


class Backend(Protocol):
    """Something that runs programs; stateless itself."""

    name: str
    summary: str

    def missing(self) -> str | None:
        """Why it cannot run here and what to do about it, or None."""
        ...

    def session(self, program: Program) -> AbstractContextManager[Session]:
        """Open the program; leaving the context ends every process and file it used.

        Raises BackendError where the backend is not set up, UnsupportedError where the program uses
        what the backend lacks.
        """
        ...


def installed(group: str) -> Mapping[str, EntryPoint]:
    """What is offered in a group of entry points, by name, sorted; nothing is imported."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def available() -> dict[str, Backend]:
    """Every installed backend by name, sorted."""
    return {name: point.load() for name, point in installed(GROUP).items()}


def find(name: str) -> Backend:
    """The backend called `name`; BackendError naming those installed, frameworks included."""
    backends = installed(GROUP)
    if name not in backends:
        names = ", ".join(sorted([*backends, *installed(REFERENCES)])) or "none"
        raise BackendError(f"there is no backend {name!r}; installed are {names}")
    backend: Backend = backends[name].load()
    return backend


def reference(name: str) -> Callable[[Graph, Mapping[str, Array]], Trace]:
    """The framework called `name` (one of `installed(REFERENCES)`), as a function of graph and inputs."""
    run: Callable[[Graph, Mapping[str, Array]], Trace] = installed(REFERENCES)[name].load()
    return run
