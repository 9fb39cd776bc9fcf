"""Random tests are of every class, and the warning counts what leaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.errors import DataError
from avnir.models.data.registry import DataLeakWarning
from avnir.models.data.splits import check_classes, check_fold, random_test, separate, warn_of_leak


@given(st.lists(st.integers(5, 30), min_size=1, max_size=5), st.integers(0, 99))
def test_a_share_of_every_class_tests(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    is_test = random_test(labels, 0.2, seed)
    assert [int(is_test[labels == label].sum()) for label in range(len(counts))] == [
        round(0.2 * count) for count in counts
    ]
    assert np.array_equal(is_test, random_test(labels, 0.2, seed))


def test_the_warning_counts_shared_groups() -> None:
    groups, is_test = np.array(["a", "a", "b", "c"]), np.array([False, True, True, True])
    with pytest.warns(DataLeakWarning, match=r"1 of 3 test clips \(33 %\) share a speaker with training"):
        warn_of_leak(groups, is_test, "speaker")


def test_absent_classes_are_named() -> None:
    labels, is_test = np.array([0, 1, 2]), np.array([False, False, True])
    with pytest.raises(DataError, match="no training clip of cow; no test clip of ant, bee"):
        check_classes(Path("x"), labels, is_test, ("ant", "bee", "cow"))


def test_an_unknown_fold_is_refused() -> None:
    check_fold(2, [2, 1, 2])
    with pytest.raises(DataError, match="fold 3 is not there; the data have 1, 2"):
        check_fold(3, [2, 1, 2])


def test_samples_are_separated_in_order() -> None:
    values = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    train, test = separate(values, np.arange(4), np.array([True, False, True, False]))
    assert (list(train.labels), list(test.labels)) == ([1, 3], [0, 2])
    assert np.array_equal(test.values.ravel(), [0, 2])
