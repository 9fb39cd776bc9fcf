"""One line of a ledger: events that were counted, and what one of them costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from avnir.errors import TargetError
from avnir.target import Cost

NEVER_PUBLISHED = Cost(unit="pJ", grade="unknown", source="never published")
PICO = 1e-12
"""Joules of a pJ, and of a mW during a ns."""


@dataclass(frozen=True)
class Entry:
    """`count` events a sample, the mean, at `cost` pJ each; `figure` is the price's name in the target."""

    term: str
    figure: str
    count: float
    cost: Cost

    @property
    def joules(self) -> float | None:
        """None where no price was published."""
        return None if self.cost.value is None else self.count * self.cost.value * PICO

    def record(self) -> dict[str, Any]:
        """JSON values."""
        cost = self.cost.model_dump()
        return {"term": self.term, "figure": self.figure, "count": self.count, **cost, "joules": self.joules}


def total(entries: Iterable[Entry], what: str) -> float:
    """Joules of all entries; TargetError naming those that have no published price, as no total of `what`."""
    listed = tuple(entries)
    if missing := unpriced(listed):
        named = ", ".join(f"{entry.term} ({entry.figure})" for entry in missing)
        raise TargetError(
            f"no energy total for {what}: no price was ever published for {named}; the counts stand"
        )
    return sum(entry.joules or 0.0 for entry in listed)


def unpriced(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries without a published price."""
    return tuple(entry for entry in entries if entry.joules is None)
