"""What a pass did, and what it left alone and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from avnir.ir.graph import Graph


@dataclass(frozen=True)
class Note:
    """One line of a pass's account; `declined` marks what it left alone.

    `exact`: of a layer that sends numbers, whether they are the model's where those that reach it are.
    """

    pass_name: str
    node: str
    text: str
    declined: bool = False
    exact: bool | None = None

    def __str__(self) -> str:
        return f"{self.pass_name}: {self.node}: {'left alone, ' if self.declined else ''}{self.text}"


class Pass(Protocol):
    """Graph in, new graph out, with an account of it; options are fields of a frozen dataclass."""

    name: ClassVar[str]

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        """A verified graph; the one given is never changed."""
        ...
