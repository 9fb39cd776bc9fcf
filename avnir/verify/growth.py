"""Numbers of two deployments side by side, and limits on how they may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from avnir.cost.synops import CONVENTIONS
from avnir.errors import DataError

ACCURACY, CORES, LATENCY, ENERGY = "accuracy", "cores", "latency of a window", "energy a sample"
SYNOPS = {convention: f"SynOps a sample, {convention}" for convention in CONVENTIONS}
"""The names of figures; of SynOps by convention."""
GROWING = (CORES, SYNOPS["stored"], LATENCY, ENERGY)
"""The figures of which growth is limited."""


@dataclass(frozen=True)
class Figure:
    """A number of both, None where it was not to be had, for the reason `refused`; `scale`: units shown."""

    name: str
    before: float | None
    after: float | None
    unit: str = ""
    scale: float = 1.0
    refused: str | None = None

    @property
    def growth(self) -> float | None:
        """How much larger the second is, as a share of the first; None where that cannot be said."""
        if self.before is None or self.after is None:
            return None
        if self.before == 0:
            return 0.0 if self.after == 0 else None
        return self.after / self.before - 1

    def exceeds(self, share: float) -> bool:
        """Whether it grew by more than that share."""
        if self.before is None or self.after is None:
            return False
        return self.after > self.before * (1 + share)

    def record(self) -> dict[str, Any]:
        """JSON values, times in seconds, energies in joules."""
        found = {"before": self.before, "after": self.after, "growth": self.growth}
        return found if self.refused is None else {**found, "refused": self.refused}

    def row(self) -> tuple[str, str, str, str]:
        """Name, before, after, growth."""
        return self.name, self._text(self.before), self._text(self.after), self._grown()

    def _text(self, value: float | None) -> str:
        return "-" if value is None else f"{value * self.scale:,.6g}{self.unit}"

    def _grown(self) -> str:
        if self.before == self.after or self.growth is None:
            return "-"
        return f"{100 * self.growth:+.2f} %"


def too_much(
    found: Iterable[Figure], max_growth: float | None = None, max_accuracy_drop: float | None = None
) -> list[str]:
    """What grew by a larger share than `max_growth`, and accuracy lost beyond `max_accuracy_drop`.

    Figures that one of the two refuses are passed over. Raises DataError where a limit was asked of figures
    that need a run, or labels, and there are none.
    """
    figures = {figure.name: figure for figure in found}
    lines = []
    if max_growth is not None:
        _need(figures, SYNOPS["stored"], "--max-growth", "inputs: give --inputs or --model")
        lines += [
            _grew(f, max_growth) for f in figures.values() if f.name in GROWING and f.exceeds(max_growth)
        ]
    if max_accuracy_drop is not None:
        _need(figures, ACCURACY, "--max-accuracy-drop", "labels of the inputs")
        drop = (figures[ACCURACY].before or 0.0) - (figures[ACCURACY].after or 0.0)
        if drop > max_accuracy_drop:
            lines.append(f"accuracy fell by {drop:.9g}, above {max_accuracy_drop:g} (--max-accuracy-drop)")
    return lines


def _need(figures: Mapping[str, Figure], name: str, option: str, what: str) -> None:
    if name not in figures:
        raise DataError(f"{option} limits {name}, which needs {what}")


def _grew(figure: Figure, limit: float) -> str:
    name, before, after, growth = figure.row()
    return f"{name} grew from {before} to {after} ({growth}), above {100 * limit:g} % (--max-growth)"
