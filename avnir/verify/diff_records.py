"""What changed between two verifications, from what `avnir verify --json` printed of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avnir.errors import DataError
from avnir.verify.growth import ACCURACY, CORES, LATENCY, SYNOPS, Figure

AGREEMENT = "agreement with the float model"
MEASURES = (
    (AGREEMENT, "agreement", " %", 100.0),
    (ACCURACY, "accuracy", " %", 100.0),
    (CORES, "cores", "", 1.0),
    (LATENCY, "latency", " us", 1e6),
)
"""Figures that are measures of a record (`avnir.verify.gate.Measures`): name, measure, unit, scale."""


@dataclass(frozen=True)
class Verified:
    """One model that both files have; `programs`: the digests before and after."""

    model: str
    programs: tuple[str, str]
    figures: tuple[Figure, ...]

    def record(self) -> dict[str, Any]:
        """JSON values."""
        programs = dict(zip(("before", "after"), self.programs, strict=True))
        return {"programs": programs, "figures": {figure.name: figure.record() for figure in self.figures}}


@dataclass(frozen=True)
class Reading:
    """What a file says of one model: the program's digest, and figures by name, as far as measured."""

    program: str
    figures: Mapping[str, float]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Reading:
        """That of a record; LookupError or TypeError where it is none."""
        measures = record["measures"]
        values = {name: measures[measure] for name, measure, _, _ in MEASURES}
        values |= {name: record["synops_per_sample"][convention] for convention, name in SYNOPS.items()}
        return cls(str(record["program"]), {n: float(v) for n, v in values.items() if v is not None})


def read_records(path: Path) -> dict[str, Reading]:
    """The models of a file, by name; DataError where it is not what `avnir verify --json` prints."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        records = found["models"] if "models" in found else {found["model"]: found}
        return {str(name): Reading.of(record) for name, record in records.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"
        raise DataError(f"{path} is not what avnir verify --json prints ({what})") from error


def verified_twice(
    before: Mapping[str, Reading], after: Mapping[str, Reading]
) -> tuple[tuple[Verified, ...], tuple[str, ...]]:
    """The models that both files have, with their figures, and the names of those that only one has.

    Where each has one model, these are compared whatever they are called.
    """
    if len(before) == len(after) == 1:
        before = dict(zip(after, before.values(), strict=True))
    both = tuple(_verified(name, before[name], after[name]) for name in after if name in before)
    return both, tuple(sorted(before.keys() ^ after.keys()))


def _verified(name: str, before: Reading, after: Reading) -> Verified:
    old, new = before.figures, after.figures
    shown = [*((n, unit, scale) for n, _, unit, scale in MEASURES), *((n, "", 1.0) for n in SYNOPS.values())]
    figures = [Figure(n, old[n], new[n], unit, scale) for n, unit, scale in shown if n in old and n in new]
    return Verified(name, (before.program, after.program), tuple(figures))
