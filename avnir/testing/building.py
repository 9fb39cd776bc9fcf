"""What the cases of the conformance suite are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Lif
from avnir.ir.integer_graded import Readout
from avnir.ir.operation import Array, Operation, Shape
from avnir.program import Program

STEPS = 12


@dataclass(frozen=True)
class Case:
    """A program and inputs for it, each `[T, B, *shape]`."""

    program: Program
    inputs: Mapping[str, Array]


def program_of(*nodes: tuple[str, Operation, str]) -> Program:
    """A program of (name, operation, names of what feeds it, separated by spaces)."""
    listed = tuple(Node(name, op, tuple(fed_by.split())) for name, op, fed_by in nodes)
    return Program(verified(Graph("integer", listed)), target="conformance")


def lif(
    shape: Shape,
    decay_u: Any = 4095,
    decay_v: Any = 1024,
    threshold: Any = 100,
    bias: Any = 0,
    bias_exponent: int = 0,
    reset: str = "zero",
) -> Lif:
    """A neuron layer; each parameter one number or an array of `shape`."""

    def values(number: Any) -> Array:
        return np.array(number, np.int32)

    return Lif(shape, values(decay_u), values(decay_v), values(threshold), values(bias), bias_exponent, reset)


def readout(
    shape: Shape, decay_u: Any = 4095, decay_v: Any = 1024, bias: Any = 0, bias_exponent: int = 0
) -> Readout:
    """A layer that sends its potentials; each parameter one number or an array of `shape`."""

    def values(number: Any) -> Array:
        return np.array(number, np.int32)

    return Readout(shape, values(decay_u), values(decay_v), values(bias), bias_exponent)


def rng() -> np.random.Generator:
    """Numbers that are the same in every case."""
    return np.random.default_rng(2**23)


def weights(*shape: int, low: int = -60, high: int = 100) -> Array:
    """Random weights, int8 of this shape."""
    return rng().integers(low, high, shape, dtype=np.int8, endpoint=True)


def spikes(*shape: int, batch: int = 1, density: float = 0.3) -> Array:
    """Random spikes, uint8 `[STEPS, batch, *shape]`."""
    return (rng().random((STEPS, batch, *shape)) < density).astype(np.uint8)
