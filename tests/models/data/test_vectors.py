"""Inputs as vectors of standardised values."""

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.pairs import PairedData, Split
from avnir.models.data.registry import Options, load
from avnir.models.data.vectors import REACH, as_vectors


def _data(train: np.ndarray, test: np.ndarray) -> PairedData:
    splits = (Split({"image": x}, np.zeros(len(x), np.int64)) for x in (train, test))
    return PairedData("made", *splits, ("one",), {"source": "made"})


def test_a_value_is_standardised_by_training_alone():
    train = np.array([0.0, 0.2, 0.4, 0.6], np.float32).reshape(4, 1, 1, 1)
    test = np.array([0.3, 0.9], np.float32).reshape(2, 1, 1, 1)
    made = as_vectors(_data(train, test))
    deviation = train.std()
    np.testing.assert_allclose(
        made.train.inputs["image"].ravel(), 0.5 + (train.ravel() - 0.3) / (2 * REACH * deviation), atol=1e-6
    )
    np.testing.assert_allclose(made.test.inputs["image"].ravel()[0], 0.5, atol=1e-6)
    assert made.provenance == {"source": "made", "inputs": "vectors, standardised"}


def test_pictures_become_vectors_in_the_order_of_their_values():
    train = np.random.default_rng(0).random((5, 2, 3, 4), np.float32)
    made = as_vectors(_data(train, train[:2])).train.inputs["image"]
    assert made.shape == (5, 24, 1, 1)
    assert made.dtype == np.float32
    order = np.argsort(train[:, 1, 2, 3])
    np.testing.assert_array_equal(np.argsort(made[:, 23, 0, 0]), order)


def test_what_is_far_from_the_mean_is_cut_and_what_never_moves_stays_in_the_middle():
    train = np.zeros((50, 2, 1, 1), np.float32)
    train[0, 0] = 1.0
    test = np.array([[0.0, 0.0], [1.0, 0.0]], np.float32)[:, :, None, None]
    made = as_vectors(_data(train, test))
    assert made.train.inputs["image"][0, 0, 0, 0] == 1.0
    assert (made.train.inputs["image"][:, 1] == 0.5).all()
    assert made.test.inputs["image"].max() == 1.0


def test_events_are_refused():
    events = np.zeros((3, 4, 1, 2, 2), np.uint8)
    with pytest.raises(DataError, match="made: image data are events"):
        as_vectors(_data(events, events))


def test_a_set_is_loaded_as_vectors(tmp_path):
    data = load("generator", tmp_path, Options(vectors=True))
    assert data.train.inputs["audio"].shape[1:] == (256, 1, 1)
    assert data.test.inputs["image"].shape[1:] == (256, 1, 1)
