"""Lanes of integers against numpy's."""

from __future__ import annotations

import numba
import numpy as np

from avnir.hardware.cpu import vector
from avnir.hardware.cpu.compiled import OPTIONS
from avnir.ir.operation import Array
from avnir.numerics import fixed


@numba.njit(**OPTIONS)
def keep(x: Array, share: Array, out: Array) -> None:
    """`out`: the whole part of x times the float32 numbers whose bits `share` holds."""
    before = vector.round_toward_zero()
    for j in range(0, x.size, 16):
        vector.store(out, j, vector.portion(vector.load(x, j, 16, 32), vector.load(share, j, 16, 32)))
    vector.round_as(before)


@numba.njit(**OPTIONS)
def squeeze(x: Array, out: Array) -> int:
    """The positive ones of 16 int8 to the front of `out`; how many there are."""
    lanes = vector.load(x, 0, 16, 32)
    vector.store(out, 0, vector.squeezed(lanes, lanes > 0))
    return vector.number(lanes > 0)


@numba.njit(**OPTIONS)
def compute(x: Array, y: Array, out: Array) -> None:
    """Every operation once."""
    a, b = vector.load(x, 0, 16, 32), vector.load(y, 0, 16, 32)
    vector.store(out, 0, vector.where(a < b, (a + b) * 3 - (a ^ b), ((a & 255) << 4) - (b >> 3)))


def test_kept_potentials_are_exact() -> None:
    """Every kept share of 4096ths, of potentials at the edges of 24 bits and between, of both signs."""
    rng = np.random.default_rng(0)
    high = fixed.STATE_LIMIT - 1
    edges = np.array([0, 1, 4095, 4096, 4097, high - 1, high, -1, -4095, -4096, -high], np.int32)
    x = np.concatenate([edges, rng.integers(-high, high, 53, np.int32)])[:, None].repeat(4097, axis=1).ravel()
    kept = np.tile(np.arange(4097), 64)
    out = np.empty_like(x)
    keep(x, (kept / 4096).astype(np.float32).view(np.int32), out)
    np.testing.assert_array_equal(out, fixed.toward_zero(x.astype(np.int64) * kept, 12))


def test_chosen_lanes_come_first() -> None:
    for seed in range(20):
        x = np.random.default_rng(seed).integers(-3, 4, 16, np.int8)
        out = np.full(16, 99, np.int32)
        assert squeeze(x, out) == (x > 0).sum()
        np.testing.assert_array_equal(out[: (x > 0).sum()], x[x > 0])


def test_arithmetic_wraps() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(-(2**31), 2**31 - 1, (2, 16), np.int32)
    out = np.empty(16, np.int32)
    compute(x, y, out)
    np.testing.assert_array_equal(out, np.where(x < y, (x + y) * 3 - (x ^ y), ((x & 255) << 4) - (y >> 3)))
