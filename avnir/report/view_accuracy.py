"""Which decisions changed on the way from floating point to the chip's integers, and in which classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avnir.decision import output_units
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.report.deployment import Run
from avnir.report.figures import Table, called, counted, rounded, signed, table, whole

LISTED = 50
"""Changed decisions that are listed one by one."""


@dataclass(frozen=True)
class AccuracyView:
    """`summary` in sentences; the tables are None where there is nothing to show in them."""

    summary: tuple[str, ...]
    stages: Table | None
    classes: Table | None
    changed: Table | None


def accuracy_view(run: Run, program: Program) -> AccuracyView:
    """Decisions of the reference against those of the integers, by the program's own rule."""
    compared = run.verification.quantisation
    units = output_units(program.graph)
    before = program.decision.classes(run.reference)
    after = program.decision.classes(run.trace(compared.second), units)
    names = compared.first, compared.second
    labelled = run.labels is not None
    return AccuracyView(
        tuple(_summary(before, after, run.labels, names)),
        _stages(run, len(before)) if labelled else None,
        None if run.labels is None else _classes(before, after, run.labels, names),
        _changed(before, after, run.labels, names),
    )


def _summary(before: Array, after: Array, labels: Array | None, names: tuple[str, str]) -> Iterator[str]:
    number, changed = len(before), int((before != after).sum())
    if labels is None:
        yield "The inputs have no labels, so there is no accuracy; decisions can still be compared."
    else:
        right = [int((classes == labels).sum()) for classes in (before, after)]
        yield (
            f"{called(names[0])} decides {right[0]} of {counted(number, 'sample')} as labelled, "
            f"{called(names[1])} {right[1]}: {_gain(right[1] - right[0])}."
        )
    if changed == 0:
        yield f"Not one decision of {whole(number)} changed."
        return
    yield f"{changed} of {counted(number, 'decision')} changed."


def _gain(change: int) -> str:
    if change == 0:
        return "nothing was lost"
    return f"{counted(abs(change), 'sample')} {'more' if change > 0 else 'fewer'}"


def _stages(run: Run, number: int) -> Table:
    accuracy = run.verification.accuracy
    rows = ((name, rounded(v, 2), f"{round(v * number)} of {number}") for name, v in accuracy.items())
    return table("Accuracy of every stage on the examples", ("stage", "accuracy", "right"), rows)


def _classes(before: Array, after: Array, labels: Array, names: tuple[str, str]) -> Table:
    head = (
        "class",
        "samples",
        f"right, {names[0]}",
        f"right, {names[1]}",
        "change",
        "moved to other classes",
    )
    rows = (_class_row(int(kind), before, after, labels) for kind in np.unique(labels))
    return table("Right decisions by class", head, rows)


def _class_row(kind: int, before: Array, after: Array, labels: Array) -> tuple[str, ...]:
    of = labels == kind
    right = [int((classes[of] == kind).sum()) for classes in (before, after)]
    moves = Counter((int(a), int(b)) for a, b in zip(before[of], after[of], strict=True) if a != b)
    told = ", ".join(f"{a} → {b}{f' ({n} times)' if n > 1 else ''}" for (a, b), n in sorted(moves.items()))
    change = signed(right[1] - right[0])
    return str(kind), str(int(of.sum())), str(right[0]), str(right[1]), change, told or "none"


def _changed(before: Array, after: Array, labels: Array | None, names: tuple[str, str]) -> Table | None:
    places = np.nonzero(before != after)[0]
    if not len(places):
        return None
    head = ("sample", *(() if labels is None else ("label",)), *names)
    rows = (
        (str(i), *(() if labels is None else (str(labels[i]),)), str(before[i]), str(after[i]))
        for i in places[:LISTED]
    )
    more = f", the first {LISTED} of {len(places)}" if len(places) > LISTED else ""
    return table(f"Decisions that changed{more}", head, rows)
