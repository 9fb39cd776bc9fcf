"""Every layout of listed synapses against the step of the operation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.hardware.cpu.bundles import BundledStage
from avnir.hardware.cpu.dense import DenseStage
from avnir.hardware.cpu.kernels_bundles import LANES
from avnir.hardware.cpu.merged import MergedStage, groups_of, merged
from avnir.hardware.cpu.sent import Sent
from avnir.hardware.cpu.sparse import SparseStage
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array
from avnir.numerics import fixed

Stage = Callable[[Sent], Array]


def merged_stage(op: Sparse) -> Stage:
    group = groups_of(op)
    core = merged(op, group)
    core.check()
    return MergedStage.of(group, SparseStage.of(core))


WAYS: dict[str, Callable[[Sparse], Stage]] = {
    "listed": SparseStage.of,
    "bundled": BundledStage.of,
    "merged": merged_stage,
    "planned": lambda op: SparseStage.plan(op, op.size[1:]),
}


def moved(rng: np.random.Generator, out: int, inputs: int) -> Array:
    """Stretches of neighbours that feed stretches of neighbours."""
    matrix = np.zeros((out, inputs), np.int8)
    for _ in range(rng.integers(1, 5)):
        length = int(rng.integers(1, min(out, inputs) + 1))
        i, j = rng.integers(0, inputs - length + 1), rng.integers(0, out - length + 1)
        lanes = np.arange(length)
        matrix[j + lanes, i + lanes] = rng.choice(np.array([-128, -1, 1, 127], np.int8))
    return matrix


def shuffled(rng: np.random.Generator, out: int, inputs: int) -> Array:
    """Every output has one source, anywhere."""
    matrix = np.zeros((out, inputs), np.int8)
    matrix[np.arange(out), rng.integers(0, inputs, out)] = rng.integers(1, 128, out)
    return matrix


def alike(rng: np.random.Generator, out: int, inputs: int) -> Array:
    """Few kinds of inputs, some of which reach nothing."""
    kinds = scattered(rng, out, int(rng.integers(1, 4)))
    return kinds[:, rng.integers(0, kinds.shape[1], inputs)]


def scattered(rng: np.random.Generator, out: int, inputs: int) -> Array:
    """Any share of all synapses."""
    weight = rng.integers(-128, 128, (out, inputs)).astype(np.int8)
    return np.where(rng.random((out, inputs)) < rng.random(), weight, np.int8(0))


SHAPES = (moved, shuffled, alike, scattered)


@st.composite
def operations(draw: st.DrawFn) -> Sparse:
    """Synapses of every shape; at least one."""
    size = st.one_of(st.integers(1, 2 * LANES + 1), st.sampled_from([LANES, 5 * LANES, 6 * LANES - 1]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    matrix = draw(st.sampled_from(SHAPES))(rng, draw(size), draw(size))
    matrix[-1, 0] = matrix[-1, 0] or 1
    return Sparse.of(matrix, exponent=draw(st.sampled_from([0, 1, 7])))


def block(rng: np.random.Generator, dtype: type, size: int, samples: int, steps: int) -> Sent:
    """Some samples and steps of more, with messages up to the edges of 32 bits."""
    x: Array = (rng.random((steps + 2, samples + 2, size)) < rng.random()).astype(dtype)
    if dtype == np.int32:
        x *= rng.choice(np.array([1, -1, 5, 2**24, 2**31 - 1, -(2**31)], np.int32), x.shape)
    whole = Sent.of_input(x, slice(0, steps + 2), slice(0, samples + 2), dtype == np.uint8)
    begin, first = rng.integers(0, 3, 2)
    return Sent.within(whole.cube, slice(begin, begin + steps), slice(first, first + samples), size)


def assert_exact(op: Sparse, stage: Stage, x: Sent) -> None:
    got = stage(x)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, fixed.wrap32(op.step(x.array.astype(np.int64), {})))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=150, deadline=None)
@given(op=operations(), seed=st.integers(0, 2**32), samples=st.integers(1, 3), steps=st.integers(1, 4))
def test_layouts_are_exact(way: str, dtype: type, op: Sparse, seed: int, samples: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    assert_exact(op, WAYS[way](op), block(rng, dtype, op.size[1], samples, steps))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@settings(max_examples=50, deadline=None)
@given(op=operations(), seed=st.integers(0, 2**32))
def test_bundles_add_to_what_others_gave(dtype: type, op: Sparse, seed: int) -> None:
    stage, rng = BundledStage.of(op), np.random.default_rng(seed)
    x = block(rng, dtype, op.size[1], 2, 3)
    before = rng.integers(-(2**31), 2**31, (6, op.size[0])).astype(np.int32)
    total = before.copy()
    stage.add(x, total)
    np.testing.assert_array_equal(total, before + stage(x))


def identity(size: int) -> Array:
    return np.eye(size, dtype=np.int8)


POOLED = np.repeat(np.arange(40, dtype=np.int8).reshape(10, 4) + 1, 50, axis=1)
"""Four groups of 50 inputs."""


@pytest.mark.parametrize(
    ("matrix", "kind"),
    [
        (identity(10), BundledStage),
        (np.roll(identity(200), 30, axis=1), BundledStage),
        (POOLED, MergedStage),
        (np.repeat(identity(64), 49, axis=1), MergedStage),
        (scattered(np.random.default_rng(1), 64, 90), DenseStage),
        (identity(300)[np.random.default_rng(2).permutation(300)], SparseStage),
    ],
)
def test_the_layout_fits_the_synapses(matrix: Array, kind: type) -> None:
    op = Sparse.of(matrix, exponent=3)
    stage = SparseStage.plan(op, op.size[1:])
    assert type(stage) is kind
    for dtype in (np.uint8, np.int32):
        assert_exact(op, stage, block(np.random.default_rng(3), dtype, op.size[1], 2, 3))


def test_groups_have_the_same_synapses() -> None:
    op = Sparse.of(np.array([[1, 2, 0, 1, 1], [3, 0, 0, 3, 0]], np.int8))
    group = groups_of(op)
    assert group.tolist() == [0, 1, 2, 0, 3]
    core = merged(op, group)
    assert core.size == (2, 4)
    assert list(zip(core.source, core.target, core.weight, strict=True)) == [
        (0, 0, 1),
        (0, 1, 3),
        (1, 0, 2),
        (3, 0, 1),
    ]


def test_a_shift_by_one_needs_a_bundle_for_each_block() -> None:
    stage = BundledStage.of(Sparse.of(identity(3 * LANES)[1:], exponent=7))
    start, place, weight = stage.bundles
    assert start.tolist() == [0, 1, 2, 3]
    assert place.tolist() == [LANES + 1, 2 * LANES + 1, 3 * LANES + 1]
    assert stage.stride == 1
    assert weight[2].tolist() == [128] * (LANES - 1) + [0]
