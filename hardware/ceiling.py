"""What no engine can beat by much: the same weights added up or multiplied, and nothing else done.

One kernel adds int8 rows, whose numbers are known beforehand, to int32 sums, on as many threads as the
engine has. It looks for no spike, steps no neuron and keeps no trace. From cache: the rows of the program's
own weights; from memory: rows of a matrix that no cache holds. No engine that goes event by event does less.

The other multiplies all weights by all spikes, laid out beforehand, in products of tiles, and keeps no sum.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np

from avnir.errors import BackendError
from avnir.hardware.cpu.compiled import compiled
from avnir.hardware.cpu.dense import DenseStage
from avnir.hardware.cpu.kernels_dense_tiles import STEPS, Workshop, room_for, sum_up
from avnir.hardware.cpu.tiles import BYTES, aligned, available, configure, release
from avnir.ir import integer
from avnir.ir.operation import Array

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNKNOWN_CACHE = 32 << 20
BEYOND = 4
"""How many times the last cache the matrix in memory is, up to `LARGEST`."""
LARGEST = 1 << 30
LONGEST = 252
"""Most int8 rows, a multiple of four, whose sum 16 bits hold: 252 * 128 < 2^15."""
UNITS = {"K": 1 << 10, "M": 1 << 20}


@compiled
def add_rows(starts: Array, rows: Array, weight: Array, out: Array) -> None:
    """`out[r] = sum of weight[i] over the i in rows[starts[r]:starts[r + 1]]`.

    `starts` int64 `[R + 1]`, `rows` int32, `weight` int8 `[in, n]`, `out` int32 `[R, n]`. Four rows go into a
    sum of 16 bits in one pass, and up to LONGEST rows from there into the one of 32: row by row into 32 bits
    took four times as long where this was tried.
    """
    columns = weight.shape[1]
    part = np.empty(columns, np.int16)
    for r in range(len(out)):
        sums = out[r]
        sums[:] = 0
        for first in range(starts[r], starts[r + 1], LONGEST):
            last = min(first + LONGEST, starts[r + 1])
            fours = last - (last - first) % 4
            part[:] = 0
            for k in range(first, fours, 4):
                a, b = weight[rows[k]], weight[rows[k + 1]]
                c, d = weight[rows[k + 2]], weight[rows[k + 3]]
                for j in range(columns):
                    part[j] = np.int16(part[j] + np.int16(a[j] + b[j]) + np.int16(c[j] + d[j]))
            for k in range(fours, last):
                a = weight[rows[k]]
                for j in range(columns):
                    part[j] = np.int16(part[j] + a[j])
            for j in range(columns):
                sums[j] += part[j]


def adder(spikes: Array, weight: Array, in_memory: bool) -> Callable[[], float]:
    """A run of the row additions of `spikes` `[R, in]` with `weight` int8 `[out, in]`: its seconds.

    With `in_memory` each addition takes another row, in no order, of a matrix that no cache holds.
    """
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(spikes, axis=1))])
    rows, matrix = np.nonzero(spikes)[1].astype(np.int32), np.ascontiguousarray(weight.T)
    if in_memory:
        rng = np.random.default_rng(0)
        matrix = rng.integers(-128, 127, (beyond_caches() // len(weight), len(weight)), np.int8)
        rows = rng.integers(0, len(matrix), len(rows), np.int32)
    out = np.empty((len(spikes), len(weight)), np.int32)
    return _timed(lambda a, b: add_rows(starts[a : b + 1], rows, matrix, out[a:b]), len(out))


@compiled
def multiply_tiles(spikes: Array, weight: Array, room: Workshop) -> None:
    """All sums of spikes uint8 `[R / 32, in / 64, 32, 64]`; see `avnir.hardware.cpu.kernels_dense_tiles`."""
    _, sums, held = room
    configure(held)
    for block in spikes:
        for pair in range(len(weight)):
            sum_up(block, weight, pair, True, sums, 0)
    release()


def multiplier(spikes: Array, weight: Array) -> Callable[[], float]:
    """A run of the products of all `spikes` `[R, in]` and `weight` int8 `[out, in]`: its seconds.

    BackendError where the processor has no products of tiles.
    """
    if not available():
        raise BackendError("this processor has no products of tiles (AMX)")
    in_tiles = DenseStage.plan(integer.Dense(weight), spikes.shape[1:]).in_tiles
    laid_out, blocks = in_blocks(spikes), in_tiles.shape[1]
    return _timed(
        lambda a, b: multiply_tiles(laid_out[a:b], in_tiles, room_for(blocks)),
        len(laid_out),
    )


def in_blocks(spikes: Array) -> Array:
    """Spikes `[R, in]` as `multiply_tiles` takes them, aligned; zeros beyond the last row and input."""
    rows, blocks = -(-len(spikes) // STEPS), -(-spikes.shape[1] // BYTES)
    padded = np.zeros((rows * STEPS, blocks * BYTES), np.uint8)
    padded[: spikes.shape[0], : spikes.shape[1]] = spikes
    laid_out = aligned((rows, blocks, STEPS, BYTES), np.uint8)
    laid_out[:] = padded.reshape(rows, STEPS, blocks, BYTES).transpose(0, 2, 1, 3)
    return laid_out


def _timed(work: Callable[[int, int], object], count: int) -> Callable[[], float]:
    """A run of work from one number to another, up to `count` in all, shared by all threads: its seconds."""
    threads = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    edges = [count * k // threads for k in range(threads + 1)]

    def run() -> float:
        with ThreadPoolExecutor(threads) as pool:
            started = time.perf_counter()
            for part in [pool.submit(work, a, b) for a, b in itertools.pairwise(edges)]:
                part.result()
            return time.perf_counter() - started

    return run


def beyond_caches() -> int:
    """Bytes that no cache of this machine holds."""
    return min(LARGEST, BEYOND * last_cache(CACHES))


def last_cache(folder: Path) -> int:
    """Bytes of the largest cache that the system tells of, or a usual size where it tells of none."""
    sizes = [file.read_text().strip() for file in folder.glob("index*/size")]
    return max((int(size[:-1]) * UNITS[size[-1]] for size in sizes), default=UNKNOWN_CACHE)
