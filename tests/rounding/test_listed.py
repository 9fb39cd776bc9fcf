"""Synapses that are listed one by one become the integers that a matrix of them becomes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.errors import GraphError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_sparse import Sparse as Listed
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.ir.real import Input, Lif, Linear, Output
from avnir.ir.real_sparse import Sparse
from avnir.passes.merge_synapses import MergeSynapses
from avnir.passes.quantise import Quantise
from avnir.rounding.calibrate import MAX_PLACES
from avnir.rounding.costs import rounding_costs


def network(synapses: Sparse | Linear, alpha: float | None = None) -> Graph:
    outputs, inputs = synapses.size if isinstance(synapses, Sparse) else synapses.weight.shape
    current = {} if alpha is None else {"alpha": np.array(alpha)}
    nodes = (
        Node("x", Input((inputs,))),
        Node("fc", synapses, ("x",)),
        Node("lif", Lif(np.array(0.75), np.array(1.0), np.array(1.0), **current), ("fc",)),
        Node("out", Output((outputs,)), ("lif",)),
    )
    return MergeSynapses()(verified(Graph("real", nodes)))[0]


def listed(matrix: Array) -> Sparse:
    target, source = (places.astype(np.int32) for places in np.nonzero(matrix))
    return Sparse(matrix.shape, source, target, matrix[target, source])


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 3), (6, 4), (5, 600)]),
    st.sampled_from([0.05, 0.5, 1.0]),
    st.sampled_from([2, 4, 8]),
    st.sampled_from(["channel", "layer"]),
    st.sampled_from([None, 0.5]),
)
def test_as_a_matrix(
    seed: int, size: tuple[int, int], density: float, bits: int, granularity: str, alpha: float | None
) -> None:
    dice = np.random.default_rng(seed)
    matrix = dice.normal(size=size) * (dice.random(size) < density)
    matrix[0, 0] = 1.0
    apart, whole = (
        Quantise(bits, granularity)(network(synapses, alpha))[0]
        for synapses in (listed(matrix), Linear(matrix))
    )
    name = next(node.name for node in apart if node.op.kind == "Sparse")
    made: Listed = apart[name].op  # type: ignore[assignment]
    dense: integer.Dense = next(node.op for node in whole if node.op.kind == "Dense")  # type: ignore[assignment]
    assert made == Listed.of(dense.weight, dense.exponent)
    assert apart["lif"].op == whole["lif"].op


def test_what_rounding_them_costs_is_what_their_integers_change() -> None:
    dice = np.random.default_rng(0)
    merged = network(listed(dice.normal(size=(6, 12)) * (dice.random((6, 12)) < 0.5)))
    spikes = (dice.random((40, 20, 12)) < 0.4).astype(np.uint8)
    modelled = interpret_real(merged, {"x": spikes}).spikes["lif"]
    costs = []
    for calibration in (None, {"x": spikes}):
        integers, _ = Quantise(3, calibration=calibration)(merged)
        (row,) = rounding_costs(merged, integers, {"x": spikes})
        made = interpret_integer(integers, {"x": spikes}).spikes["lif"]
        assert row.together == np.count_nonzero(modelled != made)
        costs.append(row.together)
    assert 0 < costs[1] < costs[0]


def test_too_many_places_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avnir.rounding.calibrate.MAX_PLACES", 11)
    merged = network(listed(np.eye(3, 4) * [0.3, 0.7, 0.9, 1]))
    spikes = (np.random.default_rng(1).random((10, 4, 4)) < 0.4).astype(np.uint8)
    integers, notes = Quantise(3, "layer", calibration={"x": spikes})(merged)
    assert integers == Quantise(3, "layer")(merged)[0]
    assert any("its listed synapses have 12 places, more than 11" in note.text for note in notes)


def test_large_maps_are_never_filled() -> None:
    """A quarter of a million outputs of as many inputs: as a matrix half a terabyte."""
    size = 1 << 18
    assert size * size > MAX_PLACES
    moved = Sparse.moved(size, np.arange(size)[::-1].copy())
    integers, _ = Quantise()(network(moved))
    made: Listed = next(node.op for node in integers if node.op.kind == "Sparse")  # type: ignore[assignment]
    assert made.weight.size == size


def test_nothing_listed_is_refused() -> None:
    with pytest.raises(GraphError, match="at least one"):
        Quantise()(network(listed(np.zeros((2, 2)))))
