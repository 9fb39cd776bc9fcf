"""The sets of the registry that are put together here: pictures and sounds that were made apart, by label.

No picture and no sound is in training and in the test, for each part has its own official split.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avnir.errors import DataError
from avnir.models.data import cifar10, mnist_fsdd
from avnir.models.data.fsdd import load_fsdd, missing_fsdd
from avnir.models.data.mnist import missing_mnist
from avnir.models.data.mnist_dvs import chosen, load_mnist_dvs, missing_mnist_dvs
from avnir.models.data.n_tidigits import load_n_tidigits, missing_n_tidigits, speakers
from avnir.models.data.nmnist import load_nmnist, missing_nmnist
from avnir.models.data.pairs import DIGITS, PairedData, Samples, pair_by_label
from avnir.models.data.registry import Groups, Options

Both = tuple[Samples, Samples]
"""Training and test."""
ARBITRARY = (
    "picture class i with sound class i: which goes with which is arbitrary, and the same in each split"
)


def combine(
    name: str,
    images: Both,
    sounds: Both,
    classes: tuple[str, ...],
    provenance: dict[str, str | int],
    seed: int,
) -> PairedData:
    """Pairs by label in each split; `seed` draws who is paired with whom, and the order."""
    train, test = (pair_by_label(*parts, seed) for parts in zip(images, sounds, strict=True))
    pairing = {"pairing": "by equal label within each split", "seed": seed}
    return PairedData(name, train, test, classes, {**pairing, **provenance})


def load_generator(folder: Path, options: Options) -> PairedData:
    """The made set, 16x16; `folder` is not looked at."""
    from avnir.models.data import generator

    return generator.load_generator(seed=options.seed)


def missing_generator(folder: Path) -> list[str]:
    """Nothing, ever."""
    return []


def load_mnist_fsdd(folder: Path, options: Options) -> PairedData:
    """MNIST x FSDD: pictures of written digits with recordings of spoken ones."""
    return mnist_fsdd.load_mnist_fsdd(folder, options.seed, options.image_size, options.audio_size)


def missing_mnist_fsdd(folder: Path) -> list[str]:
    """What `folder` lacks."""
    return missing_mnist(folder) + missing_fsdd(folder)


def load_nmnist_fsdd(folder: Path, options: Options) -> PairedData:
    """N-MNIST x FSDD: events of written digits with recordings of spoken ones."""
    _require(folder, missing_nmnist_fsdd(folder))
    return combine(
        "N-MNIST x FSDD",
        load_nmnist(folder, options.steps, options.image_size),
        load_fsdd(folder, options.audio_size),
        DIGITS,
        {
            "images": "N-MNIST (Orchard et al. 2015; CC BY-SA 4.0), official split",
            "audio": "Free Spoken Digit Dataset (CC BY-SA 4.0), official split",
        },
        options.seed,
    )


def missing_nmnist_fsdd(folder: Path) -> list[str]:
    """What `folder` lacks."""
    return missing_nmnist(folder) + missing_fsdd(folder)


def load_mnistdvs_ntidigits(folder: Path, options: Options) -> PairedData:
    """MNIST-DVS x N-TIDIGITS18: events of both senses, as S-CMRL (arXiv 2502.12488) pairs them."""
    _require(folder, missing_mnistdvs_ntidigits(folder))
    return combine(
        "MNIST-DVS x N-TIDIGITS18",
        load_mnist_dvs(folder, options.steps, options.image_size, options.split),
        load_n_tidigits(folder, options.steps, options.audio_size),
        DIGITS,
        {
            "images": "MNIST-DVS (Serrano-Gotarredona, Linares-Barranco 2015), digits above 900 test",
            "audio": "N-TIDIGITS18 (Anumula et al. 2018), single digits without 'oh', official split",
            "split": options.split,
        },
        options.seed,
    )


def missing_mnistdvs_ntidigits(folder: Path) -> list[str]:
    """What `folder` lacks."""
    return missing_mnist_dvs(folder) + missing_n_tidigits(folder)


def groups_mnistdvs_ntidigits(folder: Path, options: Options) -> Groups:
    """Which written digit each recording shows, at whatever size, and who speaks."""
    used = chosen(folder, options.split)
    train, test = (
        np.array([f"{one.digit}-{one.number}" for one in used if one.is_test == is_test])
        for is_test in (False, True)
    )
    return {"digit": (train, test), "speaker": speakers(folder)}


def load_cifar10_esc10(folder: Path, options: Options) -> PairedData:
    """CIFAR-10 x ESC-10: ten kinds of things with ten kinds of sounds."""
    from avnir.models.data import esc10

    _require(folder, missing_cifar10_esc10(folder))
    return combine(
        "CIFAR-10 x ESC-10",
        cifar10.load_cifar10(folder, options.image_size),
        esc10.load_esc10(folder, options.audio_size, options.fold, options.split, options.seed),
        _named(esc10.CATEGORIES),
        {
            "images": "CIFAR-10 (Krizhevsky 2009), official split",
            "audio": "ESC-10 (Piczak 2015; CC BY 3.0)",
            "split": options.split,
            "classes": ARBITRARY,
        },
        options.seed,
    )


def missing_cifar10_esc10(folder: Path) -> list[str]:
    """What `folder` lacks."""
    from avnir.models.data.esc10 import missing_esc10

    return cifar10.missing_cifar10(folder) + missing_esc10(folder)


def load_cifar10_us8k(folder: Path, options: Options) -> PairedData:
    """CIFAR-10 x UrbanSound8K: ten kinds of things with ten kinds of sounds of a city."""
    from avnir.models.data import urbansound8k

    _require(folder, missing_cifar10_us8k(folder))
    return combine(
        "CIFAR-10 x UrbanSound8K",
        cifar10.load_cifar10(folder, options.image_size),
        urbansound8k.load_us8k(folder, options.audio_size, options.fold, options.split, options.seed),
        _named(urbansound8k.CLASSES),
        {
            "images": "CIFAR-10 (Krizhevsky 2009), official split",
            "audio": "UrbanSound8K (Salamon, Jacoby, Bello 2014; CC BY-NC 3.0)",
            "split": options.split,
            "classes": ARBITRARY,
        },
        options.seed,
    )


def missing_cifar10_us8k(folder: Path) -> list[str]:
    """What `folder` lacks."""
    from avnir.models.data.urbansound8k import missing_us8k

    return cifar10.missing_cifar10(folder) + missing_us8k(folder)


def groups_us8k(folder: Path, options: Options) -> Groups:
    """The recording that each slice was cut from."""
    from avnir.models.data.urbansound8k import choose_test, read_slices, recording

    slices = read_slices(folder, size=1)
    is_test = choose_test(slices.labels, slices.folds, slices.names, options)
    names = np.array([recording(name) for name in slices.names])
    return {"recording": (names[~is_test], names[is_test])}


def _named(sounds: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{image}/{sound}" for image, sound in zip(cifar10.CLASSES, sounds, strict=True))


def _require(folder: Path, missing: Sequence[str]) -> None:
    if missing:
        raise DataError(f"{folder}: missing {'; and '.join(missing)}")
