"""Backends that run a program in a thread of their own, while this one does something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avnir.backend import Session
    from avnir.ir.operation import Array
    from avnir.program import Program
    from avnir.trace import Trace


@dataclass(frozen=True)
class Backends:
    """Sessions of a program by the names of their backends, and the thread in which they run."""

    program: Program
    sessions: Mapping[str, Session]
    thread: ThreadPoolExecutor

    def begin(self, inputs: Mapping[str, Array], room: int | None = None) -> dict[str, Future[Trace]]:
        """Let one after the other run over `inputs`, those that can in `room` bytes beside their trace."""
        from avnir.many.samples import run_within

        run = partial(run_within, graph=self.program.graph, inputs=inputs, states=False, room=room)
        return {name: self.thread.submit(run, session) for name, session in self.sessions.items()}

    def least_room(self, inputs: Mapping[str, Array]) -> int:
        """The least `room` in which they can."""
        from avnir.many.samples import least_room

        return max((least_room(session, inputs, False) for session in self.sessions.values()), default=0)


@contextmanager
def opened_backends(program: Program, names: Iterable[str]) -> Iterator[Backends]:
    """Backends, open; leaving the context ends them and their processes, at work or not."""
    from avnir.backend import find

    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        sessions = {name: stack.enter_context(find(name).session(program)) for name in names}
        stack.callback(thread.shutdown, wait=False, cancel_futures=True)
        yield Backends(program, sessions, thread)
