"""Hypotheses about a whole recording: what could make every layer differ at once.

Each rearranges our own trace, and explains the other one only if every layer that differs comes out equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from avnir.ir.graph import Graph
from avnir.ir.latency import latencies
from avnir.ir.operation import Array
from avnir.verify.distance import MAX_SHIFT, overlapping

Spikes = Mapping[str, Array]
"""What layers sent, `[T, B, *shape]`, by their names."""


@dataclass(frozen=True)
class Recording:
    """A cause that concerns the whole recording; `found` says it in words if it explains all, else None."""

    name: str
    sentence: str
    remedy: str
    found: Callable[[Graph, Spikes, Spikes], str | None]


def all_shifted(graph: Graph, ours: Spikes, theirs: Spikes) -> str | None:
    """Every layer the same number of steps later or earlier."""
    for steps in (k for size in range(1, MAX_SHIFT + 1) for k in (size, -size)):
        if _overlap(ours, theirs, dict.fromkeys(theirs, steps)):
            return f"every layer is equal after a shift by {steps:+d}"
    return None


def on_chip_time(graph: Graph, ours: Spikes, theirs: Spikes) -> str | None:
    """Every layer later by the chip steps that the input needs to reach it, counted from 0 or from 1."""
    if graph.level != "integer":
        return None
    late = latencies(graph)
    for base in (0, 1):
        if _overlap(ours, theirs, {name: max(late[name] - base, 0) for name in theirs}):
            return "every layer is equal after a shift by its own latency in chip steps"
    return None


def _overlap(ours: Spikes, theirs: Spikes, shifts: Mapping[str, int]) -> bool:
    """Whether all layers are equal where both sides have steps, and not all of them are silent."""
    if any(abs(steps) >= len(theirs[name]) for name, steps in shifts.items()):
        return False
    pairs = [overlapping(ours[name], theirs[name], shifts[name]) for name in theirs]
    return all(np.array_equal(a, b) for a, b in pairs) and any(np.any(a) for a, _ in pairs)


def samples_reordered(graph: Graph, ours: Spikes, theirs: Spikes) -> str | None:
    """The same samples at other places of the batch, found by what they made all layers send."""
    mine, others = _by_sample(ours, theirs), _by_sample(theirs, theirs)
    if sorted(mine) != sorted(others) or len(set(mine)) < 2:
        return None
    order = [mine.index(sample) for sample in others]
    listed = ", ".join(map(str, order[:8])) + (", ..." if len(order) > 8 else "")
    return f"its samples are ours in the order {listed}"


def _by_sample(spikes: Spikes, names: Spikes) -> list[bytes]:
    batch = next(iter(spikes.values())).shape[1]
    return [b"".join(spikes[n][:, b].astype(np.int32).tobytes() for n in names) for b in range(batch)]


def names_exchanged(graph: Graph, ours: Spikes, theirs: Spikes) -> str | None:
    """Every layer that differs is exactly another layer of ours."""
    unlike = [name for name, sent in theirs.items() if not np.array_equal(sent, ours[name])]
    found = {name: _twin(name, theirs[name], ours) for name in unlike}
    twins = [twin for twin in found.values() if twin]
    if len(set(twins)) < len(unlike):
        return None
    return "; ".join(f"what it calls {name} is our {twin}" for name, twin in found.items())


def _twin(name: str, sent: Array, ours: Spikes) -> str | None:
    others = (other for other in ours if other != name and np.any(sent))
    return next((other for other in others if np.array_equal(sent, ours[other])), None)


RECORDINGS: tuple[Recording, ...] = (
    Recording(
        "whole trace shifted",
        "the recording begins at another step",
        "Let entry 0 of a recording belong to the first step of the input.",
        all_shifted,
    ),
    Recording(
        "chip time",
        "layers were recorded in steps of the chip, where each connection takes one",
        "Move each layer back by its latency (avnir.ir.latency.latencies), to the model's time base.",
        on_chip_time,
    ),
    Recording(
        "samples reordered",
        "the samples of the batch are in another order",
        "Give both sides the samples in one order.",
        samples_reordered,
    ),
    Recording(
        "layers exchanged",
        "layers were recorded under each other's names",
        "Map the names: --layer theirs=ours.",
        names_exchanged,
    ),
)


def whole_trace(graph: Graph, ours: Spikes, theirs: Spikes) -> Iterator[tuple[Recording, str]]:
    """Every explanation of the whole recording, with what was found, the simplest first."""
    for recording in RECORDINGS:
        if detail := recording.found(graph, ours, theirs):
            yield recording, detail
