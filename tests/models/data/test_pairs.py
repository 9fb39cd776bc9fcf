"""Pairing by label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.errors import DataError
from avnir.models.data.pairs import Samples, Split, pair_by_label


def numbered(count: int) -> np.ndarray:
    """[count, 1, 1, 1]: every picture holds its own number."""
    return np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1)


def pair(image_labels: list[int], audio_labels: list[int], seed: int = 0) -> Split:
    images, sounds = np.array(image_labels, dtype=np.int64), np.array(audio_labels, dtype=np.int64)
    first, second = Samples(numbered(len(images)), images), Samples(numbered(len(sounds)), sounds)
    return pair_by_label(first, second, seed)


@given(image_labels=st.lists(st.integers(0, 3), min_size=1, max_size=60), seed=st.integers(0, 99))
def test_labels_agree_and_sounds_are_used_evenly(image_labels: list[int], seed: int) -> None:
    audio_labels = [0, 1, 1, 2, 2, 2, 3] * 2
    split = pair(image_labels, audio_labels, seed)
    images, sounds = split.inputs["image"].ravel().astype(int), split.inputs["audio"].ravel().astype(int)
    assert sorted(images) == list(range(len(image_labels)))
    assert np.array_equal(split.labels, np.array(image_labels)[images])
    assert np.array_equal(split.labels, np.array(audio_labels)[sounds])
    for label in set(image_labels):
        uses = np.bincount(sounds, minlength=len(audio_labels))[np.array(audio_labels) == label]
        assert uses.max() - uses.min() <= 1


def test_the_seed_decides() -> None:
    labels = list(range(10)) * 5
    first, same, other = pair(labels, labels, 1), pair(labels, labels, 1), pair(labels, labels, 2)
    assert np.array_equal(first.inputs["audio"], same.inputs["audio"])
    assert not np.array_equal(first.inputs["audio"], other.inputs["audio"])


def test_a_label_without_sound_is_refused() -> None:
    with pytest.raises(DataError, match="image data of class 7 and no audio of it"):
        pair([1, 7], [1, 1])


@pytest.mark.parametrize("count", [0, 4])
def test_taking_more_than_there_is_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=f"{count} pairs were asked for, 1 to 3 are available"):
        pair([1, 1, 1], [1]).take(count)


def test_pairs_can_be_left_out() -> None:
    split = pair([1, 2, 3, 1], [1, 2, 3])
    rest = split.without((0, 2))
    assert np.array_equal(rest.labels, split.labels[[1, 3]])
    assert np.array_equal(rest.inputs["image"], split.inputs["image"][[1, 3]])
    assert len(split.without(())) == 4
