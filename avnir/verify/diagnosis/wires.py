"""Hypotheses about what reaches a layer: through which connection, at which step, as which number."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from avnir.ir.operation import Array, Shape
from avnir.verify.diagnosis.case import Case, Hypothesis, wire_with
from avnir.verify.diagnosis.site import Prediction, Site, Wire, predicted

REACH = 3
"""Steps by which a connection may be late or early, further than its own delay."""


def delays(site: Site) -> Iterator[Case]:
    """Each way into the layer some steps late or early, if there are others; early, T - k steps count."""
    if len(site.wires) > 1:
        for index, wire in enumerate(site.wires):
            for steps in _moves(wire):
                yield Case(f"{wire.name} {_when(steps)}", _moved((index,), steps))


def input_shifts(site: Site) -> Iterator[Case]:
    """Everything that reaches the layer, some steps late or early."""
    everything = tuple(range(len(site.wires)))
    for steps in (1, -1, 2, -2, 3, -3):
        yield Case(f"all that reaches the layer {_when(steps)}", _moved(everything, steps))


def _moves(wire: Wire) -> Iterator[int]:
    own: int = sum(getattr(op, "delay", 0) for op in wire.ops)
    near = [k for step in range(1, REACH + 1) for k in (-step, step)]
    return iter(dict.fromkeys([*([-own] if own else []), *near]))


def _when(steps: int) -> str:
    unit = "step" if abs(steps) == 1 else "steps"
    return f"arrives {abs(steps)} {unit} {'late' if steps > 0 else 'early'}"


def _moved(chosen: tuple[int, ...], steps: int) -> Callable[[Site], Prediction]:
    def alter(site: Site) -> Prediction:
        wires = [w.moved(steps) if k in chosen else w for k, w in enumerate(site.wires)]
        end = len(site.theirs["sent"]) + min(0, *(w.lag for w in wires))
        return predicted(dataclasses.replace(site, wires=tuple(wires)).course, end=max(end, 0))

    return alter


def lost_steps(site: Site) -> Iterator[Case]:
    """The first or the last step of what reaches the layer is lost."""

    def without(step: int) -> Callable[[Site], Prediction]:
        def alter(site: Site) -> Prediction:
            made = site.arriving.copy()
            made[step] = 0
            return site.receiving(made).plain

        return alter

    yield Case("nothing reaches the layer in the first step", without(0))
    yield Case("nothing reaches the layer in the last step", without(-1))


def missing(site: Site) -> Iterator[Case]:
    """Each connection without a spike."""
    for index, wire in enumerate(site.wires):
        yield Case(f"{wire.name} brings nothing", wire_with(index, lambda wire: wire.carrying(np.zeros_like)))


def exchanged(site: Site) -> Iterator[Case]:
    """Two ways into the layer whose sources have one shape carry each other's spikes."""
    for (i, one), (k, other) in itertools.combinations(enumerate(site.wires), 2):
        if one.sent.shape == other.sent.shape:
            detail = f"{one.name} carries what {other.source} sends, {other.name} what {one.source} sends"
            yield Case(detail, _crossed(i, k))


def _crossed(i: int, k: int) -> Callable[[Site], Prediction]:
    def alter(site: Site) -> Prediction:
        one, other = site.wires[i], site.wires[k]
        made = list(site.wires)
        made[i] = dataclasses.replace(one, raw=other.raw)
        made[k] = dataclasses.replace(other, raw=one.raw)
        return dataclasses.replace(site, wires=tuple(made)).plain

    return alter


def layouts(site: Site) -> Iterator[Case]:
    """What a connection reads is flattened in another order of its axes."""
    for index, wire in enumerate(site.wires):
        for words, axes in axis_orders(wire.sent.shape[2:]):
            detail = f"{wire.name} reads its input as {words} in place of (C, H, W)"
            yield Case(detail, wire_with(index, _changed(_relaid(axes))))


def axis_orders(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every other order of three axes, in words and as a permutation, that changes what lies where."""
    if len(shape) == 3 and sum(size > 1 for size in shape) > 1:
        for axes in itertools.permutations(range(3)):
            if axes != (0, 1, 2) and not _same_order(shape, axes):
                yield "(" + ", ".join("CHW"[axis] for axis in axes) + ")", axes


def _same_order(shape: Shape, axes: tuple[int, ...]) -> bool:
    wide = [axis for axis in axes if shape[axis] > 1]
    return wide == sorted(wide)


def reordered(array: Array, axes: tuple[int, ...]) -> Array:
    """`[T, B, C, H, W]` with its last axes in another order, written into the old shape."""
    return array.transpose(0, 1, *(axis + 2 for axis in axes)).reshape(array.shape)


def _relaid(axes: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda raw: reordered(raw, axes)


MESSAGES: Mapping[str, Callable[[Array], Array]] = {
    "messages dropped to spikes: every one counts 1": lambda sent: (sent != 0).astype(sent.dtype),
    "messages dropped to their sign": np.sign,
    "messages clipped to 8 bits": lambda sent: np.clip(sent, -128, 127),
    "messages read as unsigned bytes": lambda sent: np.mod(sent, 256),
    "negative messages left out": lambda sent: np.maximum(sent, 0),
    "input doubled": lambda sent: sent * 2,
    "input halved, rounded down": lambda sent: sent // 2,
    "input negated": np.negative,
}


def messages(site: Site) -> Iterator[Case]:
    """Each connection with what it carries changed."""
    for index, wire in enumerate(site.wires):
        for words, change in MESSAGES.items():
            if np.any(change(wire.sent) != wire.sent):
                yield Case(f"{wire.name}: {words}", wire_with(index, _changed(change)))


def _changed(change: Callable[[Array], Array]) -> Callable[[Wire], Wire]:
    return lambda wire: wire.carrying(change)


TIMING = (
    Hypothesis(
        "input shifted",
        "the layer sees everything at another step",
        "Show the input from step 0 on, and count a connection as one step of the chip, not of the model.",
        input_shifts,
    ),
    Hypothesis(
        "delay of a connection",
        "one connection delivers at another step than the others",
        "Give the connection its synaptic delay: where paths of different depth meet, the shorter must wait.",
        delays,
    ),
    Hypothesis(
        "step lost",
        "what reaches the layer in one step is lost",
        "Let the window begin with the first spikes and end after the last ones have arrived.",
        lost_steps,
    ),
)
WIRING = (
    Hypothesis(
        "connection missing",
        "a whole connection is not there",
        "Build every connection of the layer, recurrent ones and residuals too.",
        missing,
    ),
    Hypothesis(
        "connections exchanged",
        "two connections are fed by each other's source",
        "Exchange what feeds them.",
        exchanged,
    ),
    Hypothesis(
        "layout of the input",
        "a connection reads its input in another order",
        "Flatten (C, H, W) row by row, the channel first.",
        layouts,
    ),
    Hypothesis(
        "messages changed",
        "what is sent arrives as another number",
        "Send graded messages in full, and the input in the units in which the program takes it.",
        messages,
    ),
)
