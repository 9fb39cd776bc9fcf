"""The synapses of one connection that lead into one neuron."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from avnir.ir.integer import Conv, Dense
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array
from avnir.verify.diagnosis.site import Wire

Place = tuple[int, ...]


@dataclass(frozen=True)
class Synapses:
    """All synapses of a connection into one neuron.

    `weights` int64 `[S]`; `places[k]` is where weight k stands in the connection's array; `sent` `[T, B, S]`
    is what enters each; `sources[k]` and `target` are neurons counted flat, of a convolution channels.
    """

    weights: Array
    places: tuple[Place, ...]
    sent: Array
    sources: tuple[int, ...]
    target: int
    exponent: int
    word: str
    without_source: Callable[[Wire, int], Wire]
    without_target: Callable[[Wire, int], Wire]

    def named(self, synapse: int) -> str:
        """A synapse in words: source, target, and of a kernel the place in it."""
        place = self.places[synapse]
        inside = f", kernel place {place[2:]}" if len(place) == 4 else ""
        return f"from {self.word} {self.sources[synapse]} to {self.word} {self.target}{inside}"


def synapses(wire: Wire, neuron: int) -> Synapses:
    """Those of `wire` into the neuron of this flat number."""
    return _synapses(wire.op, wire.sent, neuron)


@singledispatch
def _synapses(op: Any, sent: Array, neuron: int) -> Synapses:
    raise NotImplementedError(f"{op.kind} is no connection")


@_synapses.register
def _(op: Dense, sent: Array, neuron: int) -> Synapses:
    count = op.weight.shape[1]
    return Synapses(
        op.weight[neuron].astype(np.int64),
        tuple((neuron, k) for k in range(count)),
        sent.reshape(*sent.shape[:2], -1),
        tuple(range(count)),
        neuron,
        op.exponent,
        "neuron",
        lambda wire, source: _zeroed(wire, (slice(None), source)),
        lambda wire, target: _zeroed(wire, (target,)),
    )


@_synapses.register
def _(op: Sparse, sent: Array, neuron: int) -> Synapses:
    into = np.flatnonzero(op.target == neuron)
    return Synapses(
        op.weight[into].astype(np.int64),
        tuple((int(k),) for k in into),
        sent.reshape(*sent.shape[:2], -1)[..., op.source[into]],
        tuple(int(k) for k in op.source[into]),
        neuron,
        op.exponent,
        "neuron",
        lambda wire, source: _zeroed(wire, wire.op.source == source),
        lambda wire, target: _zeroed(wire, wire.op.target == target),
    )


@_synapses.register
def _(op: Conv, sent: Array, neuron: int) -> Synapses:
    shape = op.output_shape(sent.shape[2:])
    channel, row, column = (int(k) for k in np.unravel_index(neuron, shape))
    per_group = op.weight.shape[1]
    first = channel // (len(op.weight) // op.groups) * per_group
    seen = _patch(op, sent[:, :, first : first + per_group], row, column)
    inside = [tuple(int(k) for k in place) for place in np.ndindex(*op.weight.shape[1:])]
    return Synapses(
        op.weight[channel].astype(np.int64).ravel(),
        tuple((channel, *place) for place in inside),
        seen,
        tuple(first + place[0] for place in inside),
        channel,
        op.exponent,
        "channel",
        lambda wire, source: _zeroed(wire, (_group(op, source // per_group), source % per_group)),
        lambda wire, target: _zeroed(wire, (target,)),
    )


def _group(op: Conv, number: int) -> slice:
    """The output channels of a group."""
    size = len(op.weight) // op.groups
    return slice(number * size, (number + 1) * size)


def _patch(op: Conv, sent: Array, row: int, column: int) -> Array:
    """What the kernel covers at one place of the output, `[T, B, C_in/groups * kH * kW]`."""
    (ph, pw), (sh, sw), (dh, dw) = op.padding, op.stride, op.dilation
    kh, kw = op.weight.shape[2:]
    padded = np.pad(sent, ((0, 0), (0, 0), (0, 0), (ph, ph), (pw, pw)))
    top, left = row * sh, column * sw
    window = padded[..., top : top + dh * kh : dh, left : left + dw * kw : dw]
    return window.reshape(*window.shape[:2], -1)


def _zeroed(wire: Wire, place: Any) -> Wire:
    weight = wire.op.weight.copy()
    weight[place] = 0
    return wire.altered(weight=weight)
