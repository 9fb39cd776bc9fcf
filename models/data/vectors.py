"""Every input as a vector, each value standardised: as a linear model is usually given them.

    x -> 1/2 + (x - m) / (2 R s), cut to [0, 1]

m and s: mean and standard deviation of the value in training; R = 3 deviations reach either end. A network
then has a weight for every value in place of filters, for which a set of some hundred clips is too small.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avnir.errors import DataError
from avnir.models.data.pairs import PairedData, Split, Values

REACH = 3.0
"""Standard deviations from the mean to either end of the range."""
LEAST_DEVIATION = 1e-6
"""Below it a value counts as constant: it is 1/2 in training."""


def as_vectors(data: PairedData) -> PairedData:
    """Pictures `[N, c, h, w]` -> `[N, c h w, 1, 1]` in [0, 1]; `DataError` for events."""
    if events := [name for name, values in data.train.inputs.items() if values.dtype == np.uint8]:
        raise DataError(f"{data.name}: {', '.join(events)} data are events, only pictures become vectors")
    known = data.train.inputs

    def standardised(split: Split) -> Split:
        values = {name: _standardised(values, known[name]) for name, values in split.inputs.items()}
        return Split(values, split.labels)

    told = {**data.provenance, "inputs": "vectors, standardised"}
    return replace(data, train=standardised(data.train), test=standardised(data.test), provenance=told)


def _standardised(values: Values, known: Values) -> Values:
    mean, deviation = known.mean(axis=0), np.maximum(known.std(axis=0), LEAST_DEVIATION)
    placed = np.clip(0.5 + (values - mean) / (2 * REACH * deviation), 0, 1)
    return placed.astype(np.float32).reshape(len(values), -1, 1, 1)
