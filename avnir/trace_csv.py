"""Recordings as lists of events, one a line, so that a chip or another simulator can write them.

    layer,step,sample,neuron,value
    lif1,0,0,17,1
    conv1,3,0,2:4:4,1

The header is required, its columns may stand in any order. Steps, samples and neurons count from 0 on the
model's time base; a neuron is one number, row-major, or one number an axis with colons between. `value` is 1
for a spike, or the message. What is not listed is 0. A layer without a line counts as not recorded: a line
with value 0 says that it was recorded and silent.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avnir.errors import DataError
from avnir.files import atomic_path
from avnir.ir.operation import Array, Shape
from avnir.trace import Trace

COLUMNS = ("layer", "step", "sample", "neuron", "value")
LISTED = 20
"""Findings that a message lists; of more it says how many there are."""
VALUE_LIMIT = 2**31
"""Messages are integers of 32 bits."""


@dataclass(frozen=True)
class Event:
    """One line: where in the file it stands, and what it says."""

    line: int
    layer: str
    step: int
    sample: int
    neuron: tuple[int, ...]
    value: int


def write_csv(trace: Trace, path: Path) -> None:
    """Write the spikes and messages of every layer, of the last presentation; whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for layer, sent in trace.spikes.items():
            writer.writerows(_lines(layer, sent))


def _lines(layer: str, sent: Array) -> Iterator[tuple[str, int, int, str, int]]:
    places = np.argwhere(sent)
    if not len(places):
        yield layer, 0, 0, ":".join(["0"] * (sent.ndim - 2)), 0
    for step, sample, *neuron in places.tolist():
        yield layer, step, sample, ":".join(map(str, neuron)), int(sent[(step, sample, *neuron)])


def read_events(path: Path) -> tuple[Event, ...]:
    """Every line of a file; DataError with all that is wrong in it, each with its line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a list of events ({error})") from error
    head = [name.strip() for name in rows[0][1]] if rows else []
    if sorted(head) != sorted(COLUMNS):
        raise DataError(
            f"{path}, line {rows[0][0] if rows else 1}: the header is {','.join(head)!r}, "
            f"but must name the columns {','.join(COLUMNS)}"
        )
    problems: list[str] = []
    events = tuple(event for line, row in rows[1:] if (event := _event(line, head, row, problems)))
    problems += _duplicates(events)
    if not events and not problems:
        problems.append("it holds no event; write a line of value 0 for a layer that was recorded and silent")
    refuse(path, problems)
    return events


def refuse(path: Path, problems: list[str]) -> None:
    """Raise DataError with the problems of a file, if there are any."""
    if problems:
        more = [f"and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
        listed = "\n".join(f"  - {problem}" for problem in [*problems[:LISTED], *more])
        raise DataError(f"{path} is no recording that can be compared:\n{listed}")


def _event(line: int, head: list[str], row: list[str], problems: list[str]) -> Event | None:
    """What a line says; None, and its problems noted, where it says nothing."""
    if len(row) != len(head):
        problems.append(f"line {line}: {len(row)} columns, but the header has {len(head)}")
        return None
    said = {name: value.strip() for name, value in zip(head, row, strict=True)}
    neuron = [_number(part) for part in said["neuron"].split(":")]
    step, sample, value = (_number(said[name]) for name in ("step", "sample", "value"))
    wrong = [name for name, number in (("step", step), ("sample", sample)) if number is None or number < 0]
    wrong += ["neuron"] * any(number is None or number < 0 for number in neuron)
    problems += [
        f"line {line}: {name} is {said[name]!r}, but must be a whole number from 0"
        + (" (or one an axis: 2:4:4)" if name == "neuron" else "")
        for name in wrong
    ]
    if value is None or abs(value) >= VALUE_LIMIT:
        problems.append(f"line {line}: value is {said['value']!r}, but must be a whole number of 32 bits")
    if not said["layer"]:
        problems.append(f"line {line}: the layer has no name")
    if wrong or value is None or not said["layer"] or step is None or sample is None:
        return None
    return Event(line, said["layer"], step, sample, tuple(k for k in neuron if k is not None), value)


def _number(text: str) -> int | None:
    """A whole number in decimal digits, None where it is something else."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 12 else None


def _duplicates(events: Iterable[Event]) -> Iterator[str]:
    seen: dict[tuple[str, int, int, tuple[int, ...]], int] = {}
    for event in events:
        place = event.layer, event.step, event.sample, event.neuron
        if place in seen:
            where = f"{event.layer}, step {event.step}, sample {event.sample}"
            yield f"line {event.line}: {where} says neuron {event.neuron} again, as line {seen[place]}"
        seen.setdefault(place, event.line)


def extent(events: Iterable[Event]) -> tuple[int, int]:
    """Steps and samples that just hold the events."""
    listed = list(events)
    return 1 + max(event.step for event in listed), 1 + max(event.sample for event in listed)


def layer_shapes(path: Path, events: Iterable[Event]) -> dict[str, Shape]:
    """Each layer's shape that just holds its events; DataError where their neurons have unlike axes."""
    shapes: dict[str, Shape] = {}
    problems: list[str] = []
    for event in events:
        known = shapes.get(event.layer, (0,) * len(event.neuron))
        if len(known) != len(event.neuron):
            problems.append(
                f"line {event.line}: neuron {event.neuron} of {event.layer} has {len(event.neuron)} axes, "
                f"but on an earlier line {len(known)}; write all the same way"
            )
        shapes[event.layer] = tuple(max(a, k + 1) for a, k in zip(known, event.neuron, strict=False))
    refuse(path, problems)
    return shapes


def trace_of(
    path: Path, events: Iterable[Event], steps: int, batch: int, shapes: Mapping[str, Shape]
) -> Trace:
    """The events of these layers as arrays `[T, B, *shape]`; DataError with every one that lies outside.

    Layers that `shapes` does not name must not be among them; a layer without an event is left out.
    """
    problems: list[str] = []
    spikes: dict[str, Array] = {}
    for event in events:
        shape = shapes[event.layer]
        sent = spikes.setdefault(event.layer, np.zeros((steps, batch, *shape), np.int32))
        outside = _outside(event, steps, batch, shape)
        problems += outside
        if not outside:
            neuron = event.neuron if len(event.neuron) > 1 else np.unravel_index(event.neuron[0], shape)
            sent[(event.step, event.sample, *neuron)] = event.value
    refuse(path, problems)
    return Trace(spikes, {})


def _outside(event: Event, steps: int, batch: int, shape: Shape) -> list[str]:
    found = []
    if event.step >= steps:
        found.append(f"step {event.step}, but the window has {steps} steps, 0 to {steps - 1}")
    if event.sample >= batch:
        found.append(f"sample {event.sample}, but there are {batch}, 0 to {batch - 1}")
    flat = len(event.neuron) == 1
    size = (int(np.prod(shape)),) if flat else shape
    if len(event.neuron) != len(size) or any(k >= s for k, s in zip(event.neuron, size, strict=False)):
        found.append(f"neuron {':'.join(map(str, event.neuron))}, but {event.layer} is {shape}")
    return [f"line {event.line}: {what}" for what in found]
