"""Hypotheses about one parameter of the neurons that is off by a number: the number is solved for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from avnir.ir.operation import Array
from avnir.numerics import fixed
from avnir.verify.diagnosis.case import Case, Hypothesis, neurons_with
from avnir.verify.diagnosis.neuron import Cell, integrate
from avnir.verify.diagnosis.parameters import INTEGER, INTEGRATING, LIF, LIMITS
from avnir.verify.diagnosis.search import Place, column, surviving
from avnir.verify.diagnosis.site import Site

TRIED = 3
"""Of the numbers that explain the neurons looked at, so many are tried on the layer, the smallest first."""
WITNESSES = 8
"""Neurons that a number for the whole layer must explain before the layer is tried."""


def parameter(name: str, field: str, reach: int, shift: int) -> Callable[[Site], Iterator[Case]]:
    """One parameter is off by a number: in all neurons, in one channel or in one neuron alone.

    `field` is its name in a Cell, where it stands shifted by `shift`, or by the bias's exponent below 0; up
    to `reach` off.
    """

    def cases(site: Site) -> Iterator[Case]:
        for words, chosen in _regions(site):
            known = chosen.all()  # one more or less everywhere is a hypothesis of its own
            found = _offsets(site, name, field, reach, shift, chosen)
            fitting = [change for change in found if not known or abs(change) > 1]
            for change in fitting[:TRIED]:
                made = np.broadcast_to(getattr(site.node.op, name), site.shape).astype(np.int64)
                made = np.clip(made + change * chosen, *LIMITS[name]).astype(np.int32)
                detail = f"{name} {words} is off by {change:+,}{_range(fitting)}"
                yield Case(detail, neurons_with(**{name: made}))

    return cases


def _range(fitting: list[int]) -> str:
    """Which other numbers the first neurons that differ leave open."""
    if len(fitting) == 1:
        return ""
    return f" (from {min(fitting):+,} to {max(fitting):+,}, {len(fitting)} numbers fit the neurons looked at)"


def _regions(site: Site) -> Iterator[tuple[str, Array]]:
    """Where a parameter may be off: everywhere; in a channel or a neuron, if no other ever differs."""
    yield "of all neurons", np.ones(site.shape, bool)
    channel, within = site.place[2], np.any(site.neurons, axis=tuple(range(1, len(site.shape))))
    if len(site.shape) > 1 and within.sum() == 1:
        yield f"of channel {channel}", _at(site.shape, (channel,))
    if site.neurons.sum() == 1:
        yield f"of neuron {site.place[2:]}", _at(site.shape, site.place[2:])


def _at(shape: Place, place: Place) -> Array:
    chosen = np.zeros(shape, bool)
    chosen[place] = True
    return chosen


def _offsets(site: Site, name: str, field: str, reach: int, shift: int, chosen: Array) -> list[int]:
    """The numbers that explain several neurons that differ in the region, the smallest first."""
    left = np.array(sorted((k for k in range(-reach, reach + 1) if k), key=abs))
    exponent = shift if shift >= 0 else site.node.op.bias_exponent  # type: ignore[attr-defined]
    for flat in np.flatnonzero(site.neurons & chosen)[:WITNESSES]:
        neuron = tuple(int(k) for k in np.unravel_index(flat, site.shape))
        own = int(np.broadcast_to(getattr(site.node.op, name), site.shape)[neuron])
        left = left[(own + left >= LIMITS[name][0]) & (own + left <= LIMITS[name][1])]
        cell = Cell.of(site.node.op).of_neuron(site.shape, neuron)  # type: ignore[arg-type]
        left = surviving(site, neuron, left, _changed(site, neuron, cell, field, exponent))
    return [int(k) for k in left]


def _changed(
    site: Site, neuron: Place, cell: Cell, field: str, exponent: int
) -> Callable[[int, Array], Array]:
    arriving = column(site.arriving, neuron)

    def sent(sample: int, chosen: Array) -> Array:
        made = dataclasses.replace(cell, **{field: getattr(cell, field) + (chosen << exponent)})
        return integrate(made, np.repeat(arriving[:, sample, None], len(chosen), axis=1)).sent

    return sent


OFFSETS = (
    Hypothesis(
        "threshold",
        "a threshold is another",
        "Compare the thresholds with the program's.",
        parameter("threshold", "threshold", 4096, fixed.ALIGN),
        LIF,
        INTEGER,
    ),
    Hypothesis(
        "bias",
        "a bias is another",
        "Compare the biases with the program's.",
        parameter("bias_mantissa", "bias", 4096, -1),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "decay_v",
        "the potential leaks by another share",
        "Compare decay_v with the program's.",
        parameter("decay_v", "decay_v", 4096, 0),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "decay_u",
        "the current decays by another share",
        "Compare decay_u with the program's.",
        parameter("decay_u", "decay_u", 4095, 0),
        INTEGRATING,
        INTEGER,
    ),
)
