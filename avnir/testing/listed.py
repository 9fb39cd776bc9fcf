"""Cases of the conformance suite with synapses that are stored one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from avnir.ir.integer import Input, Output
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array
from avnir.testing.building import STEPS, Case, lif, program_of, rng, spikes, weights


def thinned(matrix: Array, density: float = 0.3) -> Array:
    """The matrix with most of its weights 0, and one row and one column without any other."""
    kept: Array = np.where(rng().random(matrix.shape) < density, matrix, np.int8(0))
    kept[-1], kept[:, 0] = 0, 0
    return kept


def _sparse() -> Case:
    """A place (C, H, W) into listed synapses of the full range, one of which weighs 0; several samples."""
    matrix = thinned(weights(6, 40, low=-128, high=127))
    synapses = Sparse.of(matrix, exponent=2)
    weight = synapses.weight.copy()
    weight[3] = 0
    program = program_of(
        ("input", Input((2, 4, 5)), ""),
        ("synapses", synapses.replace(weight=weight), "input"),
        ("layer", lif((6,), decay_u=2000, bias=20), "synapses"),
        ("output", Output((6,)), "layer"),
    )
    return Case(program, {"input": spikes(2, 4, 5, batch=3)})


def _sparse_delay() -> Case:
    """A skip path that is delayed, and spikes that come back a step later."""
    program = program_of(
        ("input", Input((8,)), ""),
        ("synapses", Sparse.of(thinned(weights(9, 8), 0.6)), "input"),
        ("hidden", lif((9,), threshold=60), "synapses"),
        ("main", Sparse.of(thinned(weights(6, 9), 0.6)), "hidden"),
        ("skip", Sparse.of(thinned(weights(6, 8)[::-1], 0.6), delay=1), "input"),
        ("back", Sparse.of(thinned(weights(6, 6, low=-100), 0.6), exponent=1, delay=1, lag=2), "layer"),
        ("layer", lif((6,), threshold=90), "main skip back"),
        ("output", Output((6,)), "layer"),
    )
    return Case(program, {"input": spikes(8, batch=2)})


def _sparse_graded() -> Case:
    """Signed 8-bit messages into listed synapses."""
    program = program_of(
        ("input", Input((10,), 8), ""),
        ("synapses", Sparse.of(thinned(weights(6, 10), 0.6), exponent=1), "input"),
        ("layer", lif((6,), threshold=9000), "synapses"),
        ("output", Output((6,)), "layer"),
    )
    return Case(program, {"input": rng().integers(-128, 127, (STEPS, 2, 10), np.int32, endpoint=True)})


CASES: Mapping[str, Callable[[], Case]] = {
    "sparse": _sparse,
    "sparse_delay": _sparse_delay,
    "sparse_graded": _sparse_graded,
}
