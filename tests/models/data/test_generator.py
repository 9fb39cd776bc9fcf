"""The generated data set and its voices."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.models.data.generator import TEST_SPEAKERS, TRAIN_SPEAKERS, load_generator
from avnir.models.data.pairs import PairedData
from avnir.models.data.spectrogram import log_mel
from avnir.models.data.voice import RATE, Speaker, say


@pytest.fixture(scope="module")
def data() -> PairedData:
    return load_generator(train_pairs=1400)


def test_shapes_ranges_and_types(data: PairedData) -> None:
    assert (len(data.train), len(data.test)) == (1400, 497)
    for split in (data.train, data.test):
        assert split.inputs["image"].shape == split.inputs["audio"].shape == (len(split), 1, 16, 16)
        assert split.inputs["image"].dtype == split.inputs["audio"].dtype == np.float32
        assert split.labels.dtype == np.int64
        assert split.inputs["image"].min() == split.inputs["audio"].min() == 0
        assert split.inputs["image"].max() == split.inputs["audio"].max() == 1


def test_same_seed_same_data() -> None:
    first, same, other = (load_generator(20, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.train.inputs["audio"], same.train.inputs["audio"])
    assert np.array_equal(first.test.inputs["image"], same.test.inputs["image"])
    assert not np.array_equal(first.train.inputs["audio"], other.train.inputs["audio"])


def test_nothing_is_in_training_and_test(data: PairedData) -> None:
    train, test = ({image.tobytes() for image in split.inputs["image"]} for split in (data.train, data.test))
    assert len(train) == 1300
    assert not train & test
    assert not set(TRAIN_SPEAKERS) & set(TEST_SPEAKERS)


def test_a_repeated_image_meets_another_utterance(data: PairedData) -> None:
    pairs = {
        (i.tobytes(), a.tobytes())
        for i, a in zip(data.train.inputs["image"], data.train.inputs["audio"], strict=True)
    }
    assert len(pairs) == 1400
    assert len({image.tobytes() for image in data.train.inputs["image"]}) == 1300


@pytest.mark.parametrize("digit", range(10))
def test_every_digit_can_be_said(digit: int) -> None:
    clip = say(digit, Speaker.draw(0, 1), np.random.default_rng(digit))
    assert np.isfinite(clip).all()
    assert 0.1 * RATE < clip.size < 1.2 * RATE


def test_words_differ_more_than_utterances() -> None:
    """The mean spectrogram of a word is nearest to other utterances of the same word, mostly."""
    speakers = [Speaker.draw(0, index) for index in range(12)]
    rng = np.random.default_rng(0)
    pictures = np.array([[log_mel(say(d, s, rng), RATE) for s in speakers] for d in range(10)])
    means = pictures[:, :6].mean(axis=1)
    distance = np.square(pictures[:, 6:, None] - means).sum(axis=(3, 4))
    assert (distance.argmin(axis=2) == np.arange(10)[:, None]).mean() > 0.7
