"""What a check tells of a data set: counts, ranges, and what both splits share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avnir.models.data import registry
from avnir.models.data.inspection import inspect
from avnir.models.data.pairs import PairedData, Split
from avnir.models.data.registry import DataLeakWarning, DataSet, Options


def made(images: np.ndarray, labels: list[int]) -> Split:
    return Split({"image": images.reshape(-1, 1, 1, 1).astype(np.float32)}, np.array(labels, dtype=np.int64))


def small_set(folder: Path, options: Options) -> PairedData:
    for _ in range(2):
        warnings.warn("somebody is in both", DataLeakWarning, stacklevel=1)
    train = made(np.array([0, 0.5, 0.5, 1]), [0, 0, 1, 0])
    return PairedData("small", train, made(np.array([1, 1, 0.25]), [1, 0, 1]), ("a", "b"), {"from": "here"})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict:
    groups: Callable = lambda folder, options: {"speaker": (np.array([1, 1, 2, 2]), np.array([2, 3, 2]))}  # noqa: E731
    small = DataSet("small", "", "", "", "", ("image",), small_set, lambda folder: [], groups)
    monkeypatch.setattr(registry, "DATASETS", {"small": small})
    return inspect("small", tmp_path, Options())


def test_samples_are_counted_by_class(told: dict) -> None:
    assert told["splits"]["train"]["samples"] == 4
    assert told["splits"]["train"]["classes"] == {"a": 3, "b": 1}
    assert told["splits"]["test"]["classes"] == {"a": 1, "b": 2}


def test_inputs_are_described(told: dict) -> None:
    assert told["splits"]["test"]["inputs"]["image"] == {
        "shape": [1, 1, 1],
        "type": "float32",
        "range": [0.25, 1.0],
        "distinct": 2,
    }


def test_what_is_in_both_splits_is_counted(told: dict) -> None:
    assert told["shared"] == {
        "speaker": {"in_both": 1, "of_test": 2, "test_samples": 2},
        "equal image": {"in_both": 1, "of_test": 2, "test_samples": 2},
    }


def test_warnings_are_told_once(told: dict) -> None:
    assert told["warnings"] == ["somebody is in both"]
    assert told["provenance"] == {"from": "here"}
