"""Cases of the conformance suite whose layers send changes only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avnir.ir.integer import Dense, Input, Output
from avnir.ir.integer_delta import Delta, SigmaDelta
from avnir.testing.building import STEPS, Case, program_of, readout, rng, weights


def _walk(size: int, step: int, batch: int = 2) -> Any:
    """Messages that change by up to `step` from one step to the next, int32 `[STEPS, batch, size]`."""
    return (
        rng().integers(-step, step, (STEPS, batch, size), np.int32, endpoint=True).cumsum(0).astype(np.int32)
    )


def _delta(layer: Delta, step: int = 6, bits: int = 10, exponent: int = 0) -> Case:
    """Messages that are encoded as they are."""
    program = program_of(
        ("input", Input((6,), bits), ""),
        ("synapses", Dense(np.eye(6, dtype=np.int8), exponent), "input"),
        ("layer", layer, "synapses"),
        ("output", Output((6,)), "layer"),
    )
    return Case(program, {"input": _walk(6, step)})


def _network(**encoding: Any) -> Case:
    """A sigma-delta network: encoder, hidden layer, and a read-out that adds the changes up again."""
    bias = np.array([0, 100, -100, 300, 7], np.int32)
    program = program_of(
        ("input", Input((6,), 10), ""),
        ("synapses1", Dense(np.eye(6, dtype=np.int8)), "input"),
        ("encoder", Delta((6,), threshold=4), "synapses1"),
        ("synapses2", Dense(weights(5, 6, low=-60), exponent=1), "encoder"),
        ("hidden", SigmaDelta((5,), bias=bias, message_bits=32, **encoding), "synapses2"),
        ("synapses3", Dense(weights(4, 5, low=-3, high=3), exponent=1), "hidden"),
        ("layer", readout((4,), decay_v=0), "synapses3"),
        ("output", Output((4,)), "layer"),
        ("changes", Output((5,)), "hidden"),
    )
    return Case(program, {"input": _walk(6, 9, batch=3)})


CASES: Mapping[str, Callable[[], Case]] = {
    "delta": lambda: _delta(Delta((6,), threshold=5)),
    "delta_cumulative": lambda: _delta(Delta((6,), threshold=9, cumulative=True)),
    "delta_exponents": lambda: _delta(Delta((6,), threshold=3, spike_exponent=2, state_exponent=4)),
    "delta_wrap": lambda: _delta(
        Delta((6,), 9, False, 7, 7, message_bits=32), step=2000, bits=16, exponent=7
    ),
    "sigma_delta": lambda: _network(threshold=300),
    "sigma_delta_cumulative": lambda: _network(threshold=500, cumulative=True),
    "sigma_delta_unit": lambda: _network(threshold=20, rectify=False, spike_exponent=1, state_exponent=5),
}
"""Each check's name and what builds its case."""
