"""What every data set of this package gives: images and sounds of the same digits, split in two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Split:
    """N pairs: `images` [N, 1, 16, 16] and `audio` [N, 1, 16, 16] float32 in [0, 1], `labels` [N] int64."""

    images: NDArray[np.float32]
    audio: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, count: int) -> Split:
        """The first `count` pairs; `DataError` where there are fewer."""
        if not 1 <= count <= len(self):
            raise DataError(f"{count} pairs were asked for, 1 to {len(self)} are available")
        return Split(self.images[:count], self.audio[:count], self.labels[:count])

    def without(self, pairs: Sequence[int]) -> Split:
        """All but the pairs at these places, in the same order."""
        kept = np.setdiff1d(np.arange(len(self)), np.asarray(pairs, dtype=np.int64))
        return Split(self.images[kept], self.audio[kept], self.labels[kept])


@dataclass(frozen=True)
class PairedData:
    """A data set; `provenance` (JSON-able) says what it was made from and how pairs were formed."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    provenance: Mapping[str, str | int]


def pair_by_label(
    images: NDArray[np.float32],
    image_labels: NDArray[np.int64],
    audio: NDArray[np.float32],
    audio_labels: NDArray[np.int64],
    seed: int,
) -> Split:
    """Give every image one sound of the same label, in an order drawn from `seed`.

    images [N, 1, 16, 16], audio [M, 1, 16, 16]. The sounds of a label are shuffled and dealt in turn, so
    that each is used equally often (to within one); then the pairs are shuffled. Each image is used once.

    Raises `DataError` where a label has images and no sound.
    """
    rng = np.random.default_rng(seed)
    partner = np.empty(len(image_labels), dtype=np.int64)
    for label in np.unique(image_labels):
        sounds = rng.permutation(np.flatnonzero(audio_labels == label))
        if not sounds.size:
            raise DataError(f"there are images of digit {label} and no recording of it; add recordings")
        places = np.flatnonzero(image_labels == label)
        partner[places] = np.resize(sounds, places.size)
    order = rng.permutation(len(image_labels))
    return Split(images[order], audio[partner[order]], image_labels[order])
