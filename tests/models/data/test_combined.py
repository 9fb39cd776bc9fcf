"""Sets that are put together: pairs by label, each part's own split kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.combined import combine
from avnir.models.data.inspection import inspect
from avnir.models.data.pairs import Samples
from avnir.models.data.registry import Options, load


def numbered(first: int, labels: list[int]) -> Samples:
    """Events whose only count is the sample's number."""
    numbers = np.arange(first, first + len(labels), dtype=np.uint8)
    return Samples(numbers.reshape(-1, 1, 1, 1, 1), np.array(labels, dtype=np.int64))


def test_pairs_have_equal_labels_and_stay_in_their_split() -> None:
    images = numbered(0, [0, 1, 1, 0]), numbered(4, [1, 0])
    sounds = numbered(100, [1, 0]), numbered(102, [0, 1])
    data = combine("both", images, sounds, ("a", "b"), {"images": "made"}, seed=3)
    for split, partner in ((data.train, {0: 101, 1: 100}), (data.test, {0: 102, 1: 103})):
        assert split.inputs["audio"].ravel().tolist() == [partner[label] for label in split.labels.tolist()]
    assert sorted(data.train.inputs["image"].ravel().tolist()) == [0, 1, 2, 3]
    assert sorted(data.test.inputs["image"].ravel().tolist()) == [4, 5]
    assert data.provenance == {
        "images": "made",
        "pairing": "by equal label within each split",
        "seed": 3,
    }


def test_a_class_without_sound_is_refused() -> None:
    images, sounds = numbered(0, [0, 1]), numbered(0, [0])
    with pytest.raises(DataError, match="image data of class 1 and no audio"):
        combine("both", (images, images), (sounds, sounds), ("a", "b"), {}, seed=0)


@pytest.mark.data
def test_real_event_digits_with_real_speech(data_dir: Path) -> None:
    told = inspect("nmnist-fsdd", data_dir, Options(steps=2, image_size=14, audio_size=16))
    train, test = told["splits"]["train"], told["splits"]["test"]
    assert (train["samples"], test["samples"]) == (1000, 100)
    assert train["inputs"]["image"]["shape"] == [2, 2, 14, 14]
    assert train["inputs"]["audio"]["shape"] == [1, 16, 16]
    assert told["shared"]["equal image"]["in_both"] == told["shared"]["equal audio"]["in_both"] == 0


@pytest.mark.data
def test_recordings_of_the_city_leak_in_the_authors_split_alone(data_dir: Path) -> None:
    official, authors = (
        inspect("us8k", data_dir, Options(audio_size=8, split=s)) for s in ("official", "authors")
    )
    assert official["shared"]["recording"]["in_both"] == 0
    assert official["splits"]["test"]["samples"] == 837
    assert authors["shared"]["recording"]["test_samples"] > 300
    assert not official["warnings"]
    assert authors["warnings"]


@pytest.mark.data
def test_sizes_are_those_asked_for(data_dir: Path) -> None:
    data = load("mnist-fsdd", data_dir, Options(image_size=28, audio_size=16))
    assert data.test.inputs["image"].shape == (10_000, 1, 28, 28)
    assert data.test.inputs["audio"].shape == (10_000, 1, 16, 16)
