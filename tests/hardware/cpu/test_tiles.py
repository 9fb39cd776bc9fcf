"""Products of tiles: where there are any, and what they multiply."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from llvmlite import binding

from avnir.hardware.cpu import tiles
from avnir.hardware.cpu.compiled import compiled
from avnir.hardware.cpu.tiles import (
    BYTES,
    ROWS,
    aligned,
    configure,
    dot_spikes,
    dot_weights,
    load_tile,
    release,
    store_tile,
    zero_tile,
)
from avnir.ir.operation import Array


@pytest.fixture
def fresh() -> Iterator[None]:
    """What was found out about this processor does not count."""
    tiles.available.cache_clear()
    yield
    tiles.available.cache_clear()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(("place", "machine"), [("linux", "aarch64"), ("darwin", "x86_64")])
def test_elsewhere_there_are_none(place: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", place)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert not tiles.available()


@pytest.mark.usefixtures("fresh")
def test_without_the_instructions_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: {"amx-tile": True, "amx-int8": False})
    assert not tiles.available()


@compiled
def products(first: Array, second: Array, spikes_first: bool, held: Array, out: Array) -> None:
    """The product of one tile by another."""
    configure(held)
    zero_tile(0)
    load_tile(1, first, 0, BYTES)
    load_tile(2, second, 0, BYTES)
    if spikes_first:
        dot_spikes(0, 1, 2)
    else:
        dot_weights(0, 1, 2)
    store_tile(0, out, 0, BYTES)
    release()


@pytest.mark.skipif(not tiles.available(), reason="this processor has no products of tiles (AMX)")
@pytest.mark.parametrize("spikes_first", [True, False])
def test_a_tile_by_another(spikes_first: bool) -> None:
    """Signed and unsigned bytes at their edges."""
    rng = np.random.default_rng(0)
    unsigned = rng.choice(np.array([0, 1, 128, 255], np.uint8), (ROWS, BYTES))
    signed = rng.choice(np.array([-128, -1, 0, 127], np.int8), (ROWS, BYTES))
    first, second = (unsigned, signed) if spikes_first else (signed, unsigned)
    held_first, held_second = (
        aligned((ROWS, BYTES), first.dtype.type),
        aligned((ROWS, BYTES), second.dtype.type),
    )
    held_first[:], held_second[:] = first, second
    out = aligned((ROWS, ROWS), np.int32)
    products(held_first, held_second, spikes_first, tiles.shapes(), out)
    columns = second.astype(np.int64).reshape(ROWS, ROWS, 4).transpose(0, 2, 1).reshape(BYTES, ROWS)
    np.testing.assert_array_equal(out, first.astype(np.int64) @ columns)


@pytest.mark.parametrize("size", [1, 63, 64, 65])
def test_rooms_begin_at_whole_lines(size: int) -> None:
    room = aligned((3, size), np.int32)
    assert room.ctypes.data % BYTES == 0
    assert room.shape == (3, size)
    assert not room.any()
