"""What every data set of this package gives: samples with one array per modality, split in two.

An array is float32 `[N, c, h, w]` in [0, 1], a static picture or spectrogram; or uint8 `[N, T, c, h, w]`,
the number of events in each of T time bins. A feature vector of n values is `[N, n, 1, 1]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError

DIGITS = tuple("0123456789")

Values = NDArray[np.float32] | NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """N samples: `inputs` by modality, of the two forms above, and `labels` [N] int64.

    Raises `DataError` where an array is of neither form, or the arrays differ in their number of samples.
    """

    inputs: Mapping[str, Values]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if problems := [found for name, x in self.inputs.items() for found in _problems(name, x, len(self))]:
            raise DataError("; ".join(problems))

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, places: NDArray[np.int64] | slice) -> Split:
        """The samples at these places, in this order."""
        return Split({name: values[places] for name, values in self.inputs.items()}, self.labels[places])

    def take(self, count: int) -> Split:
        """The first `count` samples; `DataError` where there are fewer."""
        if not 1 <= count <= len(self):
            raise DataError(f"{count} pairs were asked for, 1 to {len(self)} are available")
        return self.at(slice(count))

    def without(self, samples: Sequence[int]) -> Split:
        """All but the samples at these places, in the same order."""
        return self.at(np.setdiff1d(np.arange(len(self)), np.asarray(samples, dtype=np.int64)))


def _problems(name: str, values: Values, samples: int) -> list[str]:
    problems = []
    if (values.dtype.name, values.ndim) not in (("float32", 4), ("uint8", 5)):
        problems.append(
            f"{name} data is {values.dtype} with {values.ndim} dimensions, "
            "must be float32 [N, c, h, w] or uint8 [N, T, c, h, w]"
        )
    if len(values) != samples:
        problems.append(f"{name} data has {len(values)} samples for {samples} labels")
    return problems


@dataclass(frozen=True)
class PairedData:
    """A data set; `provenance` (JSON-able) says what it was made from and how pairs were formed."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Samples:
    """One modality of one split: `values` of one of the two forms above, `labels` [N] int64."""

    values: Values
    labels: NDArray[np.int64]


def pair_by_label(
    first: Samples, second: Samples, seed: int, names: Sequence[str] = ("image", "audio")
) -> Split:
    """Give every sample of `first` one of `second` with the same label, in an order drawn from `seed`.

    Those of a label in `second` are shuffled and dealt in turn, so that each is used equally often (to
    within one); then the pairs are shuffled. Each sample of `first` is used once. `names` are the modalities.

    Raises `DataError` where a label has samples in `first` and none in `second`.
    """
    rng = np.random.default_rng(seed)
    partner = np.empty(len(first.labels), dtype=np.int64)
    for label in np.unique(first.labels):
        others = rng.permutation(np.flatnonzero(second.labels == label))
        if not others.size:
            raise DataError(f"there is {names[0]} data of class {label} and no {names[1]} of it; add some")
        places = np.flatnonzero(first.labels == label)
        partner[places] = np.resize(others, places.size)
    order = rng.permutation(len(first.labels))
    arrays = (first.values[order], second.values[partner[order]])
    return Split(dict(zip(names, arrays, strict=True)), first.labels[order])
