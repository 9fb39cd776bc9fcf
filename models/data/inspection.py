"""What a data set holds, split by split: counts, shapes, ranges, and what training and test share."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avnir.models.data.pairs import PairedData, Split, Values
from avnir.models.data.registry import DataLeakWarning, Options, describe, load


def inspect(name: str, folder: Path, options: Options) -> dict[str, Any]:
    """Load the set and describe it, as JSON values.

    `splits`: samples, samples by class, and for each modality shape, type, range and how many differ.
    `shared`: for each kind of group, and for equal samples of each modality, how many are on both sides and
    how many test samples that concerns. `warnings`: what loading warned of.

    Raises `DataError` that names all that is missing or damaged.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataLeakWarning)
        data = load(name, folder, options)
        find = describe(name).groups
        groups = find(folder, options) if find else {}
    return {
        "data": name,
        "name": data.name,
        "provenance": dict(data.provenance),
        "splits": {part: _split(getattr(data, part), data.class_names) for part in ("train", "test")},
        "shared": {
            **{kind: _shared(*both) for kind, both in groups.items()},
            **{f"equal {name}": _shared(*both) for name, both in _prints(data).items()},
        },
        "warnings": list(dict.fromkeys(str(one.message) for one in caught)),
    }


def _split(split: Split, class_names: tuple[str, ...]) -> dict[str, Any]:
    counts = np.bincount(split.labels, minlength=len(class_names))
    return {
        "samples": len(split),
        "classes": dict(zip(class_names, counts.tolist(), strict=True)),
        "inputs": {name: _input(values) for name, values in split.inputs.items()},
    }


def _input(values: Values) -> dict[str, Any]:
    return {
        "shape": list(values.shape[1:]),
        "type": str(values.dtype),
        "range": [values.min().item(), values.max().item()],
        "distinct": len(np.unique(_print(values))),
    }


def _prints(data: PairedData) -> Mapping[str, tuple[NDArray[np.str_], NDArray[np.str_]]]:
    train, test = data.train.inputs, data.test.inputs
    return {name: (_print(train[name]), _print(test[name])) for name in train}


def _print(values: Values) -> NDArray[np.str_]:
    """A fingerprint [N] of each sample: equal where all its values are."""
    return np.array([blake2b(one.tobytes(), digest_size=16).hexdigest() for one in values])


def _shared(train: NDArray[np.generic], test: NDArray[np.generic]) -> dict[str, int]:
    both = np.intersect1d(train, test)
    return {
        "in_both": len(both),
        "of_test": len(np.unique(test)),
        "test_samples": int(np.isin(test, both).sum()),
    }
