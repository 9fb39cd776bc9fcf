"""Hypotheses about what a layer answers, or what was recorded of it: moved, reordered, cut."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from avnir.ir.operation import Array
from avnir.verify.diagnosis.case import Alter, Case, Hypothesis
from avnir.verify.diagnosis.site import Prediction, Site, later
from avnir.verify.diagnosis.wires import axis_orders, reordered

INTEGER = frozenset({"integer"})
REACH = 4
"""Steps by which a whole layer may have been recorded late or early."""
LISTED = 6
"""Neurons that are named one by one; of more the number is told."""


def shifts(site: Site) -> Iterator[Case]:
    """The layer moved in time; the steps that both have are judged."""
    for steps in (k for size in range(1, REACH + 1) for k in (size, -size)):
        unit = "step" if abs(steps) == 1 else "steps"
        words = f"its answers stand {abs(steps)} {unit} {'later' if steps > 0 else 'earlier'} than ours"
        yield Case(f"{words}: shift by {steps:+d}", _shifted(steps))


def _shifted(steps: int) -> Alter:
    def alter(site: Site) -> Prediction:
        arrays = {name: later(array, steps) for name, array in site.plain.arrays.items()}
        count = len(site.theirs["sent"])
        return Prediction(arrays, min(max(steps, 0), count), max(count + min(steps, 0), 0))

    return alter


def _mapped(change: Callable[[Array], Array]) -> Alter:
    """All arrays of the plain answer changed."""

    def alter(site: Site) -> Prediction:
        return Prediction({name: change(array) for name, array in site.plain.arrays.items()})

    return alter


def _sending(change: Callable[[Array], Array]) -> Alter:
    """What is sent changed, registers as they are."""

    def alter(site: Site) -> Prediction:
        return Prediction({**site.plain.arrays, "sent": change(site.plain.sent)})

    return alter


def first_step_lost(site: Site) -> Iterator[Case]:
    """What is sent in the first or the last step, lost."""

    def without(step: int) -> Callable[[Array], Array]:
        def change(sent: Array) -> Array:
            made = sent.copy()
            made[step] = 0
            return made

        return change

    yield Case("what it sends in the first step is lost", _sending(without(0)))
    yield Case("what it sends in the last step is lost", _sending(without(-1)))


def orders(site: Site) -> Iterator[Case]:
    """The layer's axes in another order; all neurons reversed; numbered from another one on."""
    for words, axes in axis_orders(site.shape):
        yield Case(f"neurons lie as {words} in place of (C, H, W)", _mapped(_relaid(axes)))
    yield Case("neurons are numbered backwards", _flat(lambda flat: flat[..., ::-1]))
    for steps in (1, -1):
        direction = "up" if steps > 0 else "down"
        yield Case(f"neurons are numbered one {direction}", _flat(_rolled(steps)))


def _relaid(axes: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda array: reordered(array, axes)


def _rolled(steps: int) -> Callable[[Array], Array]:
    return lambda flat: np.roll(flat, steps, axis=-1)


def _flat(change: Callable[[Array], Array]) -> Alter:
    """All arrays changed as `[T, B, neurons]`."""
    return _mapped(lambda array: change(array.reshape(*array.shape[:2], -1)).reshape(array.shape))


def permutation(site: Site) -> Iterator[Case]:
    """Neurons whose trains are found again at other neurons: found by the trains themselves."""
    order = _matched(_trains(site.plain.sent), _trains(site.theirs["sent"]))
    if order is None:
        return
    moved = np.flatnonzero(order != np.arange(len(order)))
    if len(moved) == 2:
        yield Case(f"{_places(site, moved)} are exchanged", _flat(lambda flat: flat[..., order]))
    elif len(moved):
        detail = f"{len(moved)} of {len(order)} neurons have another's place, as their trains show"
        yield Case(detail, _flat(lambda flat: flat[..., order]))


def _trains(sent: Array) -> list[bytes]:
    """Each neuron's train over all steps and samples."""
    return [row.tobytes() for row in sent.astype(np.int32).reshape(-1, int(np.prod(sent.shape[2:]))).T.copy()]


def _matched(ours: list[bytes], theirs: list[bytes]) -> Array | None:
    """For each of their neurons one of ours with the same train, its own if that fits; None if none."""
    kept = [mine == other for mine, other in zip(ours, theirs, strict=True)]
    free: dict[bytes, list[int]] = {}
    for k, train in enumerate(ours):
        if not kept[k]:
            free.setdefault(train, []).append(k)
    order = np.arange(len(ours))
    for k, train in enumerate(theirs):
        if not kept[k]:
            if not free.get(train):
                return None
            order[k] = free[train].pop(0)
    return order


def silenced(site: Site) -> Iterator[Case]:
    """Some neurons never send."""
    theirs = site.theirs["sent"]
    silent = site.neurons & ~np.any(theirs, axis=(0, 1))
    if silent.any() and np.array_equal(silent, site.neurons):
        detail = f"{_counted(site, silent)} never send anything"
        yield Case(detail, _sending(lambda sent: np.where(silent, 0, sent)))


def always(site: Site) -> Iterator[Case]:
    """Some neurons send a spike in every step."""
    theirs = site.theirs["sent"]
    stuck = site.neurons & np.all(theirs == 1, axis=(0, 1))
    if stuck.any() and np.array_equal(stuck, site.neurons):
        detail = f"{_counted(site, stuck)} spike in every step"
        yield Case(detail, _sending(lambda sent: np.where(stuck, 1, sent)))


def _counted(site: Site, chosen: Array) -> str:
    flat = np.flatnonzero(chosen)
    return _places(site, flat) or f"{len(flat)} of {chosen.size} neurons"


def _places(site: Site, flat: Array) -> str:
    """The places of a few neurons; empty for many."""
    if len(flat) > LISTED:
        return ""
    named = [", ".join(str(int(axis)) for axis in np.unravel_index(k, site.shape)) for k in flat]
    return ("neuron " if len(named) == 1 else "neurons ") + " and ".join(f"({n})" for n in named)


def graded(site: Site) -> Iterator[Case]:
    """A layer of messages that sends something cut."""
    if getattr(site.node.op, "message_bits", 0):
        yield Case(
            "a message counts 1, whatever it says", _sending(lambda sent: (sent != 0).astype(sent.dtype))
        )
        yield Case("messages are clipped to 8 bits", _sending(lambda sent: np.clip(sent, -128, 127)))
        yield Case("messages are cut to 16 bits", _sending(lambda sent: (sent + 2**15) % 2**16 - 2**15))
        yield Case("negative messages are left out", _sending(lambda sent: np.maximum(sent, 0)))


def pooled(site: Site) -> Iterator[Case]:
    """A layer of ORs that sends how many of its inputs spiked, or needs all of them, or most."""
    heights = {int(height) for wire in site.wires for height in np.unique(wire.op.weight)}
    if len(heights) != 1 or min(heights) <= 0:
        return
    height = heights.pop() << site.wires[0].op.exponent
    yield Case("it sends the sum of the spikes in its window, ours whether there was one", _summed(height))
    for words, share in (("all", 1.0), ("more than half", 0.5)):
        yield Case(f"it needs {words} of the spikes in its window, ours one", _voting(height, share))


def _summed(height: int) -> Alter:
    return lambda site: Prediction({**site.plain.arrays, "sent": site.arriving // height})


def _voting(height: int, share: float) -> Alter:
    def alter(site: Site) -> Prediction:
        full = int(site.wires[0].op.worst_sum().max()) // height
        counts = site.arriving // height
        made = counts >= full if share == 1.0 else counts > share * full
        return Prediction({"sent": made.astype(np.int64)})

    return alter


def neighbour_samples(site: Site) -> Iterator[Case]:
    """A sample that got the answer to another one of the batch."""
    batch = site.theirs["sent"].shape[1]
    if batch > 1:
        for words, places in (("next one", -1), ("one before", 1)):
            yield Case(
                f"each sample has the answer to the {words}", _mapped(_batch_rolled(places)), whole=True
            )


def _batch_rolled(places: int) -> Callable[[Array], Array]:
    return lambda array: np.roll(array, places, axis=1)


def refreshed(site: Site) -> Iterator[Case]:
    """States that are cleared in every step: what a run of one step after the other without state does."""

    def alter(site: Site) -> Prediction:
        steps = len(site.theirs["sent"])
        alone = [_one_step(site, t).plain for t in range(steps)]
        return Prediction({n: np.concatenate([p.arrays[n] for p in alone]) for n in alone[0].arrays})

    if site.node.op.stateful and not site.node.op.rehearsed:
        yield Case("states are cleared in every step", alter)


def _one_step(site: Site, t: int) -> Site:
    theirs = {name: array[t : t + 1] for name, array in site.theirs.items()}
    return dataclasses.replace(site, theirs=theirs).receiving(site.arriving[t : t + 1])


MOVED = (
    Hypothesis(
        "time shift",
        "the layer answers the same at another step",
        "Put both on one time base: entry t of a layer belongs to the input of step t.",
        shifts,
    ),
)
ORDER = (
    Hypothesis(
        "layout of the neurons",
        "the same neurons in another order",
        "Record neurons as (C, H, W), row by row, the channel first.",
        orders,
    ),
    Hypothesis(
        "neurons permuted",
        "the same trains at other neurons",
        "Undo the permutation where neurons are placed on cores, or where they are read.",
        permutation,
    ),
    Hypothesis(
        "samples exchanged",
        "samples have each other's answers",
        "Give both sides the samples in one order.",
        neighbour_samples,
    ),
    Hypothesis(
        "first or last step lost",
        "what the layer sends in one step is lost",
        "Record from the step in which the layer's window begins until it ends.",
        first_step_lost,
    ),
    Hypothesis(
        "form of the pooling",
        "a layer of ORs pools otherwise",
        "Max-pooling of spikes is an OR: sum them and compare with half a spike.",
        pooled,
        frozenset({"Lif"}),
        INTEGER,
    ),
    Hypothesis(
        "messages cut",
        "graded messages are sent as something smaller",
        "Send messages as signed integers of their full width.",
        graded,
        levels=INTEGER,
    ),
    Hypothesis(
        "state cleared in every step",
        "neurons remember nothing from step to step",
        "Keep currents and potentials from one step of a sample to the next.",
        refreshed,
    ),
)
DEAD = (
    Hypothesis(
        "silent neurons",
        "some neurons never send",
        "Look for neurons without axons, on a core that did not run, or left out of the recording.",
        silenced,
    ),
    Hypothesis(
        "neurons always on",
        "some neurons spike in every step",
        "Look for a threshold or a bias of these neurons that was never written.",
        always,
    ),
)
