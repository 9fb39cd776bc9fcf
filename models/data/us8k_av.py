"""UrbanSound8K-AV: UrbanSound8K's slices, each with a picture of its class.

Source: L. Guo, Z. Gao, J. Qu, S. Zheng, R. Jiang, Y. Lu, H. Qiao, Transformer-Based Spiking Neural
Networks for Multimodal Audio-Visual Classification, IEEE TCDS 2023. The pictures were collected apart
from the sounds and paired by class: they do not show what is heard.

Of the layout only this is public, in S-CMRL's code: `Dataset_v3_sound/CLASS/SLICE.wav`, with the classes
and slice names of UrbanSound8K. Assumed: pictures lie likewise in `Dataset_v3_vision/CLASS/`, as png or jpg.
A slice takes the picture of its own name where there is one; where none is so named, the pictures of its
class are dealt out in turn, apart for training and test.

Split: UrbanSound8K's official folds, read from its table `metadata/UrbanSound8K.csv`, which must be there.
The authors' split is a random one ("authors": 30 % of each class, as S-CMRL's code splits the sister set
CIFAR10-AV) and needs no table.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data import splits
from avnir.models.data.audio import Feature
from avnir.models.data.clips import PICTURES, Clip, labels_of, paired, read_image, spectrum
from avnir.models.data.media import refuse
from avnir.models.data.pairs import PairedData
from avnir.models.data.registry import Options
from avnir.models.data.tables import read_table
from avnir.models.data.urbansound8k import (
    CLASSES,
    COLUMNS,
    SLICE,
    TABLE,
    choose_test,
    recording,
    row_problem,
    slice_picture,
    split_text,
)

SOUNDS = "Dataset_v3_sound"
PICTURE_FOLDER = "Dataset_v3_vision"
RANDOM_TEST_SHARE = 0.3


def missing_us8k_av(folder: Path) -> list[str]:
    """What `folder` lacks to load UrbanSound8K-AV; empty if something of both is there."""
    wanted = [name for name in (SOUNDS, PICTURE_FOLDER) if not (folder / name).is_dir()]
    return [f"{name}/CLASS/" for name in wanted]


def load_us8k_av(folder: Path, options: Options, feature: Feature = slice_picture) -> PairedData:
    """image [N, 3, image_size, image_size], audio [N, 1, audio_size, audio_size], both in [0, 1].

    `fold` 1 to 10 tests, 10 where none is named. Raises `DataError` for what is missing, names that don't
    parse, slices that the table does not know and unreadable files, all at once.
    """
    if missing := missing_us8k_av(folder):
        raise DataError(f"{folder}: missing {' and '.join(missing)}")
    sounds = _sounds(folder)
    labels = np.array([CLASSES.index(path.parent.name) for path in sounds], dtype=np.int64)
    names = np.array([path.stem for path in sounds])
    at_random = options.split == "authors"
    folds = np.zeros(len(sounds), np.int64) if at_random else _folds(folder, names)
    is_test = choose_test(labels, folds, names, options, RANDOM_TEST_SHARE)
    clips = _with_pictures(folder, sounds, labels, is_test, options.seed)
    return paired(
        *("UrbanSound8K-AV", folder, clips, is_test, CLASSES),
        readers={
            "image": lambda clip: read_image(clip, options.image_size),
            "audio": spectrum(feature, options.audio_size),
        },
        provenance={
            "source": "UrbanSound8K-AV (Guo et al. 2023), UrbanSound8K (Salamon et al. 2014; CC BY-NC 3.0)",
            "pairing": "pictures of the same class, not of the same event",
            "split": split_text(options, RANDOM_TEST_SHARE),
            "seed": options.seed,
            "feature": feature.__name__,
        },
    )


def _sounds(folder: Path) -> list[Path]:
    paths = sorted((folder / SOUNDS).glob("*/*.wav"))
    refuse(folder / SOUNDS, (problem for path in paths if (problem := _path_problem(path))))
    if not paths:
        raise DataError(f"{folder / SOUNDS}: no CLASS/SLICE.wav in it")
    return paths


def _path_problem(path: Path) -> str | None:
    if path.parent.name not in CLASSES:
        return f"{path.parent.name}: not a class of UrbanSound8K"
    if not SLICE.fullmatch(path.stem):
        return f"{path.name}: not a name of the form fsID-classID-occurrence-slice.wav"
    return None


def _folds(folder: Path, names: NDArray[np.str_]) -> NDArray[np.int64]:
    """The official fold of each slice [N]."""
    if not (folder / TABLE).is_file():
        raise DataError(
            f"{folder}: missing {TABLE}, which holds the official folds; copy it from UrbanSound8K, "
            'or take split "authors"'
        )
    rows = read_table(folder / TABLE, COLUMNS, row_problem)
    known = {row["slice_file_name"].removesuffix(".wav"): int(row["fold"]) for row in rows}
    refuse(folder / TABLE, (f"{name}: not in the table" for name in names if name not in known))
    return np.array([known[name] for name in names], dtype=np.int64)


def _with_pictures(
    folder: Path, sounds: list[Path], labels: NDArray[np.int64], is_test: splits.Mask, seed: int
) -> list[Clip]:
    pictures = {name: _pictures(folder / PICTURE_FOLDER / name) for name in CLASSES}
    clips = [
        Clip(pictures[path.parent.name].get(path.stem, path), path, int(label), recording(path.stem))
        for path, label in zip(sounds, labels, strict=True)
    ]
    unnamed = [clip.sound.name for clip in clips if clip.picture == clip.sound]
    if not unnamed:
        return clips
    if len(unnamed) < len(clips):
        refuse(folder / PICTURE_FOLDER, (f"{name}: no picture of this slice" for name in unnamed))
    return _dealt(folder, clips, pictures, is_test, seed)


def _pictures(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*")) if path.suffix.lower() in PICTURES}


def _dealt(
    folder: Path, clips: list[Clip], pictures: dict[str, dict[str, Path]], is_test: splits.Mask, seed: int
) -> list[Clip]:
    """Each slice with a picture of its class; the test slices' share of the pictures is theirs alone."""
    few = [
        f"{name}: {len(found)} pictures, must be 2 or more"
        for name, found in pictures.items()
        if len(found) < 2
    ]
    refuse(folder / PICTURE_FOLDER, few)
    rng = np.random.default_rng(seed)
    labels, result = labels_of(clips), list(clips)
    for label, name in enumerate(CLASSES):
        deck = rng.permutation(np.array(list(pictures[name].values()), dtype=object))
        border = min(max(1, round(len(deck) * is_test[labels == label].mean())), len(deck) - 1)
        for part, cards in ((is_test, deck[:border]), (~is_test, deck[border:])):
            for turn, place in enumerate(np.flatnonzero(part & (labels == label))):
                result[place] = replace(clips[place], picture=cards[turn % len(cards)])
    return result
