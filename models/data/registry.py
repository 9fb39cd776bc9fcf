"""Every data set by name: what it is, whose it is, how it is split, and how to load it.

`DATASETS` is the list; `load` reads one. The split is the official one, or one that no group of clips (a
recording, a speaker, an actor) crosses. `Options.split` "authors" asks for the split of the papers instead;
where clips of one group are then on both sides, loading warns with `DataLeakWarning`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data.vectors import as_vectors

if TYPE_CHECKING:
    from avnir.models.data.pairs import PairedData

SPLITS = ("official", "authors")
Groups = Mapping[str, tuple[NDArray[np.generic], NDArray[np.generic]]]
"""By the name of a kind of group (`speaker`): the group of each sample of training, and of the test."""


class DataLeakWarning(UserWarning):
    """Something of the test was heard or seen in training: an accuracy says little about anything new."""


@dataclass(frozen=True)
class Options:
    """How to load a set; each reads what concerns it.

    `steps`: time bins of event data. `image_size`, `audio_size`: side of the square pictures. `fold`: the one
    that tests, where a set has folds. `seed` draws pairs and random splits. `vectors`: every input as a
    vector of standardised values (`avnir.models.data.vectors`). Raises `DataError` for a value out of range.
    """

    seed: int = 0
    steps: int = 4
    image_size: int = 28
    audio_size: int = 28
    split: str = "official"
    fold: int | None = None
    vectors: bool = False

    def __post_init__(self) -> None:
        low = [f"{n} is {getattr(self, n)}, must be 1 or more" for n in _SIZES if getattr(self, n) < 1]
        if self.split not in SPLITS:
            low.append(f"split is {self.split!r}, must be one of {', '.join(SPLITS)}")
        if low:
            raise DataError("; ".join(low))


_SIZES = ("steps", "image_size", "audio_size")


@dataclass(frozen=True)
class DataSet:
    """A set of `modalities`; `split` says who tests, and what leaks under "authors".

    `load(folder, options)` gives the data, `missing(folder)` what a folder lacks, each thing with the
    alternatives to it. `groups(folder, options)`, where there is one, gives the groups that a split should
    not cross, in the order of the files.
    """

    name: str
    summary: str
    licence: str
    source: str
    split: str
    modalities: tuple[str, ...]
    load: Callable[[Path, Options], PairedData]
    missing: Callable[[Path], list[str]]
    groups: Callable[[Path, Options], Groups] | None = None

    @property
    def needs(self) -> list[str]:
        """What an empty folder lacks: the files that the set is read from."""
        with TemporaryDirectory() as empty:
            return self.missing(Path(empty))


def describe(name: str) -> DataSet:
    """The set of this name; `DataError` that lists the known ones."""
    if name not in DATASETS:
        raise DataError(f"there is no data set {name!r}; known are {', '.join(DATASETS)}")
    return DATASETS[name]


def load(name: str, folder: Path, options: Options | None = None) -> PairedData:
    """Load the set `name` from `folder`.

    Raises `DataError` for an unknown name, for all that is missing, and for damaged files.
    """
    found = describe(name)
    if missing := found.missing(folder):
        raise DataError(f"{name} is not whole in {folder}: missing {'; and '.join(missing)}")
    asked = options or Options()
    data = found.load(folder, asked)
    return as_vectors(data) if asked.vectors else data


def _later(place: str) -> Callable[..., Any]:
    """The function `module:name` of this package, imported when it is called."""
    module, name = place.split(":")

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"avnir.models.data.{module}"), name)(*arguments)

    return call


def _set(place: str, groups: str | None = None, **about: Any) -> DataSet:
    """A set of `module:name`, with the functions `load_NAME(folder, options)` and `missing_NAME(folder)`."""
    module, name = place.split(":")
    return DataSet(
        load=_later(f"{module}:load_{name}"),
        missing=_later(f"{module}:missing_{name}"),
        groups=_later(groups) if groups else None,
        **about,
    )


_BY_LABEL = "pairs have equal labels and are drawn from the seed within each split"

DATASETS: Mapping[str, DataSet] = {
    one.name: one
    for one in (
        _set(
            "combined:generator",
            name="generator",
            summary="8x8 digits of scikit-learn with made voices; nothing to download",
            licence="CC BY 4.0 (digits); the voices are made",
            source="E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998",
            split="digits by index (writers follow one another), speakers of the test never in training",
            modalities=("image", "audio"),
        ),
        _set(
            "combined:mnist_fsdd",
            name="mnist-fsdd",
            summary="MNIST with spoken digits",
            licence="CC BY-SA 3.0 (MNIST), CC BY-SA 4.0 (FSDD)",
            source="Y. LeCun, C. Cortes, C. Burges, MNIST; Z. Jackson and others, Free Spoken Digit Dataset",
            split=f"official splits of both; FSDD's six speakers are in both; {_BY_LABEL}",
            modalities=("image", "audio"),
        ),
        _set(
            "combined:nmnist_fsdd",
            name="nmnist-fsdd",
            summary="MNIST seen by an event camera, with spoken digits",
            licence="CC BY-SA 4.0",
            source="G. Orchard and others, Frontiers in Neuroscience 9:437, 2015; Free Spoken Digit Dataset",
            split=f"official splits of both; FSDD's six speakers are in both; {_BY_LABEL}",
            modalities=("image", "audio"),
        ),
        _set(
            "combined:mnistdvs_ntidigits",
            groups="combined:groups_mnistdvs_ntidigits",
            name="mnistdvs-ntidigits",
            summary="moving digits seen by an event camera, spoken digits heard by a silicon cochlea",
            licence="see where the two are offered; the speech of N-TIDIGITS18 is TIDIGITS, of the LDC",
            source="T. Serrano-Gotarredona, B. Linares-Barranco, Frontiers in Neuroscience 9:481, 2015; "
            "J. Anumula and others, Frontiers in Neuroscience 12:23, 2018; paired as in arXiv 2502.12488",
            split="MNIST-DVS has no official one: digits numbered above 900 test, at all sizes; N-TIDIGITS18 "
            "by speaker. authors: one size of the digits alone, 900 to 100 of each kind; nothing leaks",
            modalities=("image", "audio"),
        ),
        _set(
            "combined:cifar10_esc10",
            name="cifar10-esc10",
            summary="CIFAR-10 with environmental sounds; which class goes with which is arbitrary",
            licence="none stated (CIFAR-10), CC BY 3.0 (ESC-10; single clips have their own)",
            source="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; "
            "K. J. Piczak, ESC, ACM Multimedia 2015",
            split="official test of CIFAR-10, fold 5 or --fold of ESC-10. authors: a random fifth of the "
            "sounds; clips of one source recording leak",
            modalities=("image", "audio"),
        ),
        _set(
            "combined:cifar10_us8k",
            name="cifar10-us8k",
            summary="CIFAR-10 with sounds of a city; which class goes with which is arbitrary",
            licence="none stated (CIFAR-10), CC BY-NC 3.0: non-commercial (UrbanSound8K)",
            source="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; "
            "J. Salamon, C. Jacoby, J. P. Bello, ACM Multimedia 2014",
            split="official test of CIFAR-10, fold 10 or --fold of UrbanSound8K. authors: a random fifth of "
            "the slices; slices of one recording leak",
            modalities=("image", "audio"),
        ),
        DataSet(
            load=_later("urbansound8k:load_us8k_audio"),
            missing=_later("urbansound8k:missing_us8k"),
            groups=_later("combined:groups_us8k"),
            name="us8k",
            summary="ten sounds of a city, audio alone",
            licence="CC BY-NC 3.0: non-commercial",
            source="J. Salamon, C. Jacoby, J. P. Bello, ACM Multimedia 2014",
            split="fold 10 or --fold tests. authors: a random fifth; slices of one recording leak",
            modalities=("audio",),
        ),
        _set(
            "us8k_av:us8k_av",
            name="us8k-av",
            summary="UrbanSound8K with a picture of each sound's kind",
            licence="CC BY-NC 3.0: non-commercial (sounds)",
            source="L. Guo and others, UrbanSound8K-AV, 2023; J. Salamon and others, ACM Multimedia 2014",
            split="fold 10 or --fold tests. authors: a random 30 %; slices of one recording leak",
            modalities=("image", "audio"),
        ),
        _set(
            "cremad:cremad",
            name="crema-d",
            summary="91 actors say sentences in six emotions",
            licence="Open Database License 1.0",
            source="H. Cao and others, IEEE Trans. Affective Computing 5(4), 2014",
            split="no official one: every fifth actor tests, --fold 0 to 4. authors: a random tenth; "
            "actors leak",
            modalities=("image", "audio"),
        ),
        _set(
            "ravdess:ravdess",
            name="ravdess",
            summary="24 actors say sentences in six emotions",
            licence="CC BY-NC-SA 4.0: non-commercial, share alike",
            source="S. R. Livingstone, F. A. Russo, PLoS ONE 13(5), 2018",
            split="no official one: actors 21 to 24 test, or --fold 0 to 5 of four actors each",
            modalities=("image", "audio"),
        ),
        _set(
            "ave:ave",
            name="ave",
            summary="28 kinds of audio-visual events in videos of 10 s",
            licence="none stated; videos of YouTube",
            source="Y. Tian and others, Audio-Visual Event Localization in Unconstrained Videos, ECCV 2018",
            split="official lists of videos for training and test",
            modalities=("image", "audio"),
        ),
        _set(
            "paired:paired",
            name="paired",
            summary="your own folders of classes, with a sound and a picture or video of one name",
            licence="yours",
            source="yours",
            split="yours: folders train and test, or a table split.csv",
            modalities=("image", "audio"),
        ),
        _set(
            "shd:shd",
            groups="shd:groups_shd",
            name="shd",
            summary="spoken digits in English and German as spikes of a model of the inner ear",
            licence="CC BY 4.0",
            source="B. Cramer and others, IEEE TNNLS 33, 2022",
            split="official: two of twelve speakers only in the test, the other ten in both",
            modalities=("audio",),
        ),
    )
}
