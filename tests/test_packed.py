"""Spikes as bits give the arrays that were packed."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avnir.ir.operation import Array
from avnir.packed import WORD, Packed, same, unpacked, words_of


def packed(spikes: Array) -> Array:
    """The words of `[T, B, *shape]`, bit by bit."""
    flat = spikes.reshape(*spikes.shape[:2], -1)
    words = np.zeros((*flat.shape[:2], words_of(flat.shape[2])), np.uint64)
    for k in range(flat.shape[2]):
        words[..., k // WORD] |= flat[..., k].astype(np.uint64) << np.uint64(k % WORD)
    return words.view(np.int64)


SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 40))


@given(SHAPES.flatmap(lambda shape: hnp.arrays(np.uint8, shape, elements=st.integers(0, 1))))
def test_unpacking_undoes_packing(spikes: Array) -> None:
    found = unpacked(packed(spikes), spikes.shape[2:])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, spikes)


def test_a_mapping_of_arrays_in_which_messages_are_as_they_are() -> None:
    spikes = np.ones((2, 1, 3, 30), np.uint8)
    messages = np.arange(-6, 6, dtype=np.int32).reshape(2, 1, 6)
    both = Packed({"spikes": packed(spikes), "messages": messages}, {"spikes": (3, 30), "messages": (2, 3)})
    assert list(both) == ["spikes", "messages"]
    assert len(both) == 2
    np.testing.assert_array_equal(both["messages"], messages.reshape(2, 1, 2, 3))
    assert both["spikes"] is both["spikes"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(both))["spikes"], spikes)


def test_sameness_of_packed_and_plain_arrays() -> None:
    spikes = np.ones((2, 1, 3), np.uint8)
    one, two = (Packed({"layer": packed(given)}, {"layer": (3,)}) for given in (spikes, spikes))
    changed = Packed({"layer": packed(1 - spikes)}, {"layer": (3,)})
    renamed = Packed({"other": packed(spikes)}, {"other": (3,)})
    assert same(one, two)
    assert same(one, {"layer": spikes})
    assert same({"layer": spikes}, one)
    assert not any(same(one, other) for other in (changed, renamed, {"layer": 1 - spikes}, {}))
