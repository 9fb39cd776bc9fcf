"""The definition as a backend: `avnir.ir.interpret_integer`, slow and obviously right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from avnir.backend import Session
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.trace import Trace


@dataclass(frozen=True)
class InterpreterSession:
    """A program; nothing is prepared."""

    program: Program

    def run(self, inputs: Mapping[str, Array], states: bool = False) -> Trace:
        """Interpret the program's graph over `inputs`, integers `[T, B, *shape]`."""
        return interpret_integer(self.program.graph, inputs, states)


class InterpreterBackend:
    """Runs any program, one chip step at a time."""

    name = "interpreter"
    summary = "the definition of the integers, one chip step at a time; slow"

    def missing(self) -> str | None:
        """Nothing: it is part of the core."""
        return None

    @contextmanager
    def session(self, program: Program) -> Iterator[Session]:
        """Open the program."""
        yield InterpreterSession(program)


backend = InterpreterBackend()
