"""MNIST x FSDD: every handwritten digit with a recording of somebody saying it.

The two sets are independent; pairs have equal labels and are formed within a split (official splits
of both), so no image and no recording is in training and test. There are 300 test recordings for
10,000 test images: each recording comes again with 33 images or so.
"""

from __future__ import annotations

from pathlib import Path

from avnir.errors import DataError
from avnir.models.data.fsdd import load_fsdd, missing_fsdd
from avnir.models.data.mnist import load_mnist, missing_mnist
from avnir.models.data.pairs import DIGITS, PairedData, pair_by_label


def load_mnist_fsdd(folder: Path, seed: int = 0, image_size: int = 16, audio_size: int = 16) -> PairedData:
    """All pairs of `folder`; `seed` draws who is paired with whom, and the order.

    image [N, 1, image_size, image_size] and audio [N, 1, audio_size, audio_size] in [0, 1].
    Raises `DataError` that names everything missing, or the first damaged file.
    """
    if missing := missing_mnist(folder) + missing_fsdd(folder):
        raise DataError(f"{folder}: missing {'; and '.join(missing)}")
    train_images, test_images = load_mnist(folder, image_size)
    train_sounds, test_sounds = load_fsdd(folder, audio_size)
    return PairedData(
        name="MNIST x FSDD",
        train=pair_by_label(train_images, train_sounds, seed),
        test=pair_by_label(test_images, test_sounds, seed),
        class_names=DIGITS,
        provenance={
            "images": "MNIST (LeCun, Cortes, Burges; CC BY-SA 3.0), official split",
            "audio": "Free Spoken Digit Dataset (CC BY-SA 4.0), official split",
            "pairing": "by equal label within each split",
            "seed": seed,
        },
    )
