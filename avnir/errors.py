"""Every error avnir raises on purpose, on one page.

The type says whose error it is: a `UserError` is the caller's input (exit status 2), a failed
`GateError` is a result below what was asked (exit status 1), anything else is our bug (exit
status 3). A message names the place, the value, the limit and the remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class AvnirError(Exception):
    """Root of the tree."""


class UserError(AvnirError):
    """The input is wrong; the message says what to change."""


class DataError(UserError):
    """A data set or an input array is missing, damaged or of the wrong shape, type or range."""


class CheckpointError(UserError):
    """A `model.pt` is missing, damaged, foreign, or disagrees with itself."""


class InterchangeError(UserError):
    """A NIR file is damaged, unsafe, or outside the dialect that avnir reads."""


class ProgramError(UserError):
    """A saved program is missing, damaged, or of another format version."""


class GraphError(UserError):
    """A graph breaks a rule of its level."""


class TargetError(UserError):
    """A target is unknown or its description is invalid."""


class BackendError(UserError):
    """A backend is unknown, not set up, or its run failed outside avnir."""


class MemoryLimitError(UserError):
    """A run needs more memory than it may take: `needed` bytes at least, `room` there are."""

    def __init__(self, needed: int, room: int) -> None:
        self.needed, self.room = needed, room
        super().__init__(
            f"the run takes at least {needed} bytes beside program and inputs, but may take {max(room, 0)}"
        )

    def __reduce__(self) -> tuple[type, tuple[int, int]]:
        return type(self), (self.needed, self.room)


class ReplayError(UserError):
    """The traced graph and the model disagree; nothing is exported."""


class GateError(AvnirError):
    """A verification gate failed: the inputs were fine, the result was not."""


@dataclass(frozen=True)
class Finding:
    """One reason for refusing: where, what is there, and what to use instead."""

    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}. {self.remedy}"


class UnsupportedError(UserError):
    """What the network uses and avnir cannot take exactly: all findings, not the first."""

    def __init__(self, title: str, findings: Sequence[Finding]) -> None:
        self.title = title
        self.findings = tuple(findings)
        super().__init__("\n".join([title, *(f"  - {finding}" for finding in self.findings)]))

    def __reduce__(self) -> tuple[type, tuple[str, tuple[Finding, ...]]]:
        return type(self), (self.title, self.findings)


class LimitError(UnsupportedError):
    """A program that the target cannot hold."""
