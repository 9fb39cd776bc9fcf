"""Inputs made worse on purpose: how much noise a network stands.

Static pictures and spectrograms get additive white Gaussian noise of a signal-to-noise ratio in decibels: the
mean square of the sample's values over the variance of the noise, `10 log10(P_signal / P_noise)`. What leaves
[0, 1] is clipped, so the noise that arrives is a little weaker. Of events, a place in a time bin is flipped,
from none to one or from any to none, at random; the ratio is that of the places with events to those that
are flipped.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avnir.models.data.pairs import Split, Values


def noisy(values: Values, snr_db: float, generator: np.random.Generator) -> Values:
    """An array of one modality, of one of the two forms of `avnir.models.data.pairs`, with noise.

    The ratio holds for every sample by itself; a sample of zeros stays. The values depend on the state of
    `generator` alone. Raises `ValueError` for a ratio that is not finite.
    """
    if not np.isfinite(snr_db):
        raise ValueError(f"the signal-to-noise ratio is {snr_db} dB, must be finite")
    strength = 10.0 ** (-snr_db / 10)
    return (
        _flipped(values, strength, generator)
        if values.dtype == np.uint8
        else _hissing(values, strength, generator)
    )


def noisy_split(split: Split, snr_db: float, seed: int, modalities: tuple[str, ...] | None = None) -> Split:
    """A split with noise on `modalities`, by default on all; the same for equal seeds.

    Each modality has a generator of its own, so that its noise does not depend on the others'.
    """
    chosen = tuple(split.inputs) if modalities is None else modalities
    inputs = {
        name: noisy(values, snr_db, np.random.default_rng([seed, *name.encode()]))
        if name in chosen
        else values
        for name, values in split.inputs.items()
    }
    return replace(split, inputs=inputs)


def _hissing(values: Values, strength: float, generator: np.random.Generator) -> Values:
    power = np.square(values, dtype=np.float64).mean(axis=(1, 2, 3), keepdims=True)
    hiss = generator.standard_normal(values.shape, dtype=np.float32)
    return np.clip(values + np.sqrt(strength * power).astype(np.float32) * hiss, 0, 1, dtype=np.float32)


def _flipped(counts: Values, strength: float, generator: np.random.Generator) -> Values:
    present = counts > 0
    share = np.minimum(strength * present.mean(axis=(1, 2, 3, 4), keepdims=True), 1.0)
    flips = generator.random(counts.shape, dtype=np.float32) < share
    return np.where(flips, ~present, counts).astype(np.uint8)
