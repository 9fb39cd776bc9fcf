"""Backends: whatever can run a program. Found by entry point, so that the core knows none of them.

A package offers one by an entry point in the group `avnir.backends` that names a `Backend` object.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from typing import Protocol

from avnir.errors import BackendError
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.trace import Trace

GROUP = "avnir.backends"


class Session(Protocol):
    """A program, ready to run as often as wanted."""

    def run(self, inputs: Mapping[str, Array], states: bool = False) -> Trace:
        """Run one window per sample: `inputs` integers `[T, B, *shape]`.

        The trace holds the spikes of every layer on the model's time base and, with `states`,
        registers u and v (int32) where the backend can read them (else BackendError).
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


def available() -> dict[str, Backend]:
    """Every installed backend by name, sorted."""
    found = {point.name: point.load() for point in entry_points(group=GROUP)}
    return dict(sorted(found.items()))


def find(name: str) -> Backend:
    """The backend called `name`; BackendError naming those installed."""
    names = sorted(point.name for point in entry_points(group=GROUP))
    for point in entry_points(group=GROUP):
        if point.name == name:
            backend: Backend = point.load()
            return backend
    raise BackendError(f"there is no backend {name!r}; installed are {', '.join(names) or 'none'}")
