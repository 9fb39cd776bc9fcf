"""The kernel that is the engine's ceiling adds the rows that it is told to add."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.hardware import ceiling
from avnir.hardware.cpu import tiles
from avnir.hardware.cpu.dense import DenseStage
from avnir.hardware.cpu.kernels_dense_tiles import room_for
from avnir.ir.integer import Dense


@pytest.mark.parametrize(("inputs", "density"), [(30, 0.3), (700, 1.0)])
def test_rows_are_added(inputs: int, density: float) -> None:
    rng = np.random.default_rng(0)
    spikes, weight = rng.random((9, inputs)) < density, rng.integers(-128, -100, (17, inputs)).astype(np.int8)
    starts = np.concatenate([[0], np.cumsum(spikes.sum(axis=1))])
    out = np.full((9, 17), 7, np.int32)
    ceiling.add_rows(starts, np.nonzero(spikes)[1].astype(np.int32), np.ascontiguousarray(weight.T), out)
    np.testing.assert_array_equal(out, spikes @ weight.T.astype(np.int64))


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_run_gives_its_seconds(in_memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceiling, "LARGEST", 1 << 16)
    rng = np.random.default_rng(0)
    run = ceiling.adder((rng.random((9, 30)) < 0.3).astype(np.uint8), np.ones((17, 30), np.int8), in_memory)
    assert run() > 0


@pytest.mark.skipif(not tiles.available(), reason="this processor has no products of tiles (AMX)")
def test_products_of_tiles_are_all_made() -> None:
    """70 rows are three blocks of tiles, the last not full; the sums that were made last are left."""
    rng = np.random.default_rng(0)
    spikes, weight = (
        (rng.random((70, 130)) < 0.3).astype(np.uint8),
        rng.integers(-128, 127, (40, 130), np.int8),
    )
    laid_out, in_tiles = ceiling.in_blocks(spikes), DenseStage.plan(Dense(weight), (130,)).in_tiles
    room = room_for(in_tiles.shape[1])
    ceiling.multiply_tiles(laid_out, in_tiles, room)
    wanted = spikes[64:].astype(np.int64) @ weight[32:].T.astype(np.int64)
    np.testing.assert_array_equal(room[1][:6, :8], wanted)
    assert ceiling.multiplier(spikes, weight)() > 0


def test_the_largest_cache_counts(tmp_path: Path) -> None:
    for number, size in enumerate(("32K", "2048K", "8M")):
        (tmp_path / f"index{number}").mkdir()
        (tmp_path / f"index{number}" / "size").write_text(size + "\n")
    assert ceiling.last_cache(tmp_path) == 8 << 20
    assert ceiling.last_cache(tmp_path / "nothing") == ceiling.UNKNOWN_CACHE
