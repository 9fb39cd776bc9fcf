"""A recording made elsewhere, made to fit a network, or refused with all that does not fit.

What another simulator or a chip recorded may name layers otherwise, lack some, and lay neurons flat. What
could hide a difference is refused: layers nobody knows, other windows, other batches, numbers that are not
whole.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from avnir.errors import UserError
from avnir.ir.operation import Array, Shape
from avnir.trace import Trace
from avnir.trace_csv import Event, extent, layer_shapes, read_events, refuse, trace_of

LAYER_OPTION = "map it with --layer {name}=OURS, or leave it out with --layer {name}="
WHOLE_LIMIT = 2**31


@dataclass(frozen=True)
class Frame:
    """What a recording must fit: steps T, samples B, and each layer's shape, None where any is taken."""

    steps: int | None = None
    batch: int | None = None
    shapes: Mapping[str, Shape] | None = None

    @classmethod
    def of(cls, trace: Trace) -> Frame:
        """That of another recording."""
        steps, batch = next(iter(trace.spikes.values())).shape[:2]
        return cls(steps, batch, {name: sent.shape[2:] for name, sent in trace.spikes.items()})

    def within(self, steps: int | None, samples: int | None) -> Frame:
        """The first steps and samples of it; all for None."""
        return Frame(_least(self.steps, steps), _least(self.batch, samples), self.shapes)


def _least(known: int | None, asked: int | None) -> int | None:
    return known if asked is None or known is None else min(known, asked)


def frame_of_events(paths: Iterable[Path]) -> Frame:
    """What just holds the events of several lists; DataError as `avnir.trace_csv.read_events`."""
    listed = [(path, read_events(path)) for path in paths]
    steps, batch = (max(sizes) for sizes in zip(*(extent(events) for _, events in listed), strict=True))
    shapes: dict[str, Shape] = {}
    for path, events in listed:
        for name, shape in layer_shapes(path, events).items():
            known = shapes.get(name, (0,))
            larger = tuple(map(max, shape, known)) if len(shape) == len(known) else max(shape, known, key=len)
            shapes[name] = larger
    return Frame(steps, batch, shapes)


def layer_names(pairs: Iterable[str]) -> dict[str, str]:
    """`theirs=ours` by theirs, empty for a layer to leave out; UserError where that is not the form."""
    found: dict[str, str] = {}
    for pair in pairs:
        theirs, equals, ours = pair.partition("=")
        if not equals or not theirs or theirs in found:
            raise UserError(f"--layer {pair!r} must be THEIRS=OURS, each of theirs once")
        found[theirs.strip()] = ours.strip()
    return found


def read_recording(
    path: Path, names: Mapping[str, str], frame: Frame, steps: int | None = None, samples: int | None = None
) -> Trace:
    """A trace from `.npz` or `.csv`, its layers renamed, its first steps and samples fitted to the frame.

    DataError with everything that is wrong at once: unknown layers, shapes, windows, batches, values.
    """
    if path.suffix.lower() != ".csv":
        return fitted(path, cropped(Trace.load(path), steps, samples), names, frame)
    events = read_events(path)
    within = [e for e in events if e.step < (steps or e.step + 1) and e.sample < (samples or e.sample + 1)]
    return _from_events(path, within, names, frame)


def _from_events(path: Path, events: Iterable[Event], names: Mapping[str, str], frame: Frame) -> Trace:
    events = tuple(events)
    problems = _name_problems({event.layer for event in events}, names, frame)
    refuse(path, problems)
    kept = [renamed for event in events if (renamed := _renamed(event, names)) is not None]
    if not kept:
        refuse(path, ["nothing of it is left to compare"])
    steps, batch = extent(kept)
    shapes = layer_shapes(path, kept) if frame.shapes is None else frame.shapes
    return trace_of(path, kept, frame.steps or steps, frame.batch or batch, shapes)


def _renamed(event: Event, names: Mapping[str, str]) -> Event | None:
    """The event under our name of its layer; None where that is left out."""
    name = names.get(event.layer, event.layer)
    return replace(event, layer=name) if name else None


def fitted(path: Path, trace: Trace, names: Mapping[str, str], frame: Frame) -> Trace:
    """A trace with its layers renamed and laid out as the frame says; `path` is for the message."""
    problems = _name_problems(set(trace.spikes), names, frame)
    named = {names.get(name, name): sent for name, sent in trace.spikes.items() if names.get(name, name)}
    states = {names.get(name, name): each for name, each in trace.states.items() if names.get(name, name)}
    shapes = frame.shapes or {}
    for name, sent in named.items():
        problems += _array_problems(name, sent, frame, shapes.get(name))
    refuse(path, problems)
    if not named:
        refuse(path, ["it holds no layer's spikes (arrays spikes/LAYER, [T, B, *shape])"])
    spikes = {name: _laid(sent, shapes.get(name, sent.shape[2:])) for name, sent in named.items()}
    for name, registers in states.items():
        if name not in spikes or any(a.size != spikes[name].size for a in registers.values()):
            refuse(path, [f"the registers of {name} are not of the shape of its spikes"])
    kept = {n: {r: a.reshape(spikes[n].shape) for r, a in each.items()} for n, each in states.items()}
    return Trace(spikes, trace.outputs, kept)


def _name_problems(found: set[str], names: Mapping[str, str], frame: Frame) -> list[str]:
    problems = [f"--layer {theirs}=: it has no such layer" for theirs in names if theirs not in found]
    targets = [names.get(name, name) for name in sorted(found)]
    twice = {target for target in targets if target and targets.count(target) > 1}
    problems += [f"two of its layers are mapped to {target}" for target in sorted(twice)]
    if frame.shapes is None:
        return problems
    for name in sorted(found):
        ours = names.get(name, name)
        if ours and ours not in frame.shapes:
            near = difflib.get_close_matches(ours, frame.shapes, 1)
            like = f" (like {near[0]})" if near else ""
            problems.append(f"layer {ours} is not known{like}; {LAYER_OPTION.format(name=name)}")
    return problems


def _array_problems(name: str, sent: Array, frame: Frame, shape: Shape | None) -> list[str]:
    if sent.dtype.kind not in "fiub":
        return [f"layer {name} has dtype {sent.dtype}, but must be whole numbers"]
    if sent.ndim < 2 or 0 in sent.shape:
        return [f"layer {name} is {sent.shape}, but must be [T, B, *shape]"]
    problems = []
    if sent.dtype.kind == "f" and not np.array_equal(sent, np.round(sent)):
        problems.append(f"layer {name} has values that are no whole numbers, first {_first_broken(sent)}")
    elif np.any(np.abs(sent.astype(np.float64)) >= WHOLE_LIMIT):
        problems.append(f"layer {name} has values beyond 32 bits")
    if frame.steps is not None and sent.shape[0] != frame.steps:
        problems.append(
            f"layer {name} has {sent.shape[0]} steps, not {frame.steps}; record the same window, or compare "
            f"the first steps of both with --steps {min(sent.shape[0], frame.steps)}"
        )
    if frame.batch is not None and sent.shape[1] != frame.batch:
        problems.append(
            f"layer {name} has {sent.shape[1]} samples, not {frame.batch}; record the same ones, or compare "
            f"the first ones of both with --samples {min(sent.shape[1], frame.batch)}"
        )
    if shape is not None and prod(sent.shape[2:]) != prod(shape):
        problems.append(f"layer {name} has neurons {sent.shape[2:]}, but is {shape}")
    return problems


def _first_broken(sent: Array) -> str:
    place = tuple(int(k) for k in np.unravel_index(int(np.argmax(sent != np.round(sent))), sent.shape))
    return f"{sent[place]} in step {place[0]}, sample {place[1]}, neuron {place[2:]}"


def _laid(sent: Array, shape: Shape) -> Array:
    """As spikes of this shape; uint8 where all are 0 or 1."""
    binary = sent.min() >= 0 and sent.max() <= 1
    return sent.astype(np.uint8 if binary else np.int32).reshape(*sent.shape[:2], *shape)


def cropped(trace: Trace, steps: int | None, samples: int | None) -> Trace:
    """The first steps and samples of the last presentation; all for None."""

    def first(array: Array) -> Array:
        return array[(slice(steps), slice(samples))[: array.ndim]]

    return Trace(
        {name: first(sent) for name, sent in trace.spikes.items()},
        {name: first(sent) for name, sent in trace.outputs.items()},
        {name: {r: first(a) for r, a in each.items()} for name, each in trace.states.items()},
    )
