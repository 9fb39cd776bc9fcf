"""Who trains and who tests, and what leaks where a split is drawn clip by clip.

A group is what several clips share (a recording, an actor): a split is free of leaks if no group is on
both sides.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data.pairs import Samples, Values
from avnir.models.data.registry import DataLeakWarning

Mask = NDArray[np.bool_]


def random_test(labels: NDArray[np.int64], share: float, seed: int) -> Mask:
    """Which samples test [N]: `share` of each class, rounded, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    is_test = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        is_test[places[: round(share * len(places))]] = True
    return is_test


def warn_of_leak(groups: NDArray[np.str_], is_test: Mask, what: str) -> None:
    """A `DataLeakWarning` that counts the test clips whose group, a `what`, is in training as well."""
    shared = int(np.isin(groups[is_test], groups[~is_test]).sum())
    tests = int(is_test.sum())
    warnings.warn(
        f"random split: {shared} of {tests} test clips ({100 * shared / max(1, tests):.0f} %) share a {what} "
        "with training, so accuracy says little about a new one; the official split is free of this",
        DataLeakWarning,
        stacklevel=2,
    )


def check_fold(fold: int, available: Iterable[int]) -> None:
    """`DataError` for a fold that the data do not have."""
    folds = sorted(set(available))
    if fold not in folds:
        raise DataError(f"fold {fold} is not there; the data have {', '.join(map(str, folds))}")


def check_classes(place: Path, labels: NDArray[np.int64], is_test: Mask, names: Sequence[str]) -> None:
    """`DataError` that names every class without a sample in training, or in test."""
    missing = [
        f"no {part} clip of {', '.join(absent)}"
        for part, chosen in (("training", ~is_test), ("test", is_test))
        if (absent := [name for index, name in enumerate(names) if index not in set(labels[chosen].tolist())])
    ]
    if missing:
        raise DataError(f"{place}: {'; '.join(missing)}; get the missing files")


def separate(values: Values, labels: NDArray[np.int64], is_test: Mask) -> tuple[Samples, Samples]:
    """The training and the test samples."""
    return Samples(values[~is_test], labels[~is_test]), Samples(values[is_test], labels[is_test])
