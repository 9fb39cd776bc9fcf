"""ESC-10, ten environmental sounds of 40 clips each: ESC-50's own folder, or one `esc10.npz`.

Source: K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015; CC BY 3.0
(single clips have licences of their own). Layout of ESC-50: `meta/esc50.csv` (filename, fold, category,
esc10, src_file) and `audio/*.wav`. Its five folds keep the clips of one source recording together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data import splits
from avnir.models.data.archives import read_archive
from avnir.models.data.audio import Feature, from_mu_law, log_mel
from avnir.models.data.media import read_all, read_sound, refuse
from avnir.models.data.pairs import Samples
from avnir.models.data.registry import Options
from avnir.models.data.tables import Row, read_table

ARCHIVE = "esc10.npz"
ARCHIVE_LAYOUT = {
    "wave_mulaw": ("int8", 2),
    "label": ("uint8", 1),
    "fold": ("uint8", 1),
    "clip": ("<U10", 1),
    "sample_rate": ("int32", 0),
}
TABLE = Path("meta", "esc50.csv")
COLUMNS = ("filename", "fold", "category", "esc10", "src_file")
CATEGORIES = (
    *("dog", "rain", "sea_waves", "crying_baby", "clock_tick"),
    *("sneezing", "helicopter", "chainsaw", "rooster", "crackling_fire"),
)
"""ESC-10's classes in the order of its folders 001 to 010, by the names of ESC-50."""
FOLDS = 5
TEST_FOLD = 5
RANDOM_TEST_SHARE = 0.2


@dataclass(frozen=True)
class _Clips:
    """Spectrograms [N, 1, size, size], and for each the class, the fold and the source recording."""

    spectra: NDArray[np.float32]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    sources: NDArray[np.str_]


def missing_esc10(folder: Path) -> list[str]:
    """What `folder` lacks to load ESC-10; empty if something is there."""
    if (folder / ARCHIVE).is_file() or (folder / TABLE).is_file():
        return []
    return [f"{ARCHIVE}, or {TABLE} and audio/*.wav of ESC-50"]


def load_esc10(
    folder: Path,
    size: int = 28,
    fold: int | None = None,
    split: str = "official",
    seed: int = 0,
    feature: Feature = log_mel,
) -> tuple[Samples, Samples]:
    """Training and test clips as spectrograms [N, 1, size, size]; `fold` 1 to 5 tests, 5 where none is named.

    split "authors": a random fifth of each class tests, drawn from `seed`, with a warning of what leaks.
    Raises `DataError` for missing or damaged files, all at once, and for an unknown fold or split.
    """
    options = Options(audio_size=size, split=split, seed=seed)
    test_fold = TEST_FOLD if fold is None else fold
    splits.check_fold(test_fold, range(1, FOLDS + 1))
    if missing := missing_esc10(folder):
        raise DataError(f"{folder}: missing {missing[0]}")
    read = _from_files if (folder / TABLE).is_file() else _from_archive
    clips = read(folder, size, feature)
    is_test = clips.folds == test_fold
    if options.split == "authors":
        is_test = splits.random_test(clips.labels, RANDOM_TEST_SHARE, seed)
        splits.warn_of_leak(clips.sources, is_test, "source recording")
    splits.check_classes(folder, clips.labels, is_test, CATEGORIES)
    return splits.separate(clips.spectra, clips.labels, is_test)


def _from_archive(folder: Path, size: int, feature: Feature) -> _Clips:
    path = folder / ARCHIVE
    arrays = read_archive(path, ARCHIVE_LAYOUT)
    waves, labels, folds, names = (arrays[key] for key in ("wave_mulaw", "label", "fold", "clip"))
    if not len(waves) == len(labels) == len(folds) == len(names) or not waves.size:
        raise DataError(
            f"{path}: {len(waves)} clips, {len(labels)} labels, {len(folds)} folds and {len(names)} names "
            "do not agree, or hold nothing"
        )
    if labels.max() >= len(CATEGORIES):
        raise DataError(f"{path}: label {labels.max()}, must be 0 to {len(CATEGORIES) - 1}")
    rate = int(arrays["sample_rate"])
    spectra = np.stack([feature(from_mu_law(wave), rate, size) for wave in waves])
    refuse(
        path, (f"clip name {str(name)!r}, must be like 1-100032-A" for name in names if "-" not in str(name))
    )
    sources = np.array([str(name).split("-")[1] for name in names])
    return _Clips(spectra[:, None], labels.astype(np.int64), folds.astype(np.int64), sources)


def _from_files(folder: Path, size: int, feature: Feature) -> _Clips:
    rows = [row for row in read_table(folder / TABLE, COLUMNS, _row_problem) if row["esc10"] == "True"]
    if not rows:
        raise DataError(f"{folder / TABLE}: no row with esc10 True; get the file again")
    paths = [folder / "audio" / row["filename"] for row in rows]

    def spectrum(path: Path) -> NDArray[np.float32]:
        sound = read_sound(path)
        return feature(sound.samples, sound.rate, size)[None]

    return _Clips(
        read_all(folder, paths, spectrum),
        np.array([CATEGORIES.index(row["category"]) for row in rows], dtype=np.int64),
        np.array([int(row["fold"]) for row in rows], dtype=np.int64),
        np.array([row["src_file"] for row in rows]),
    )


def _row_problem(row: Row) -> str | None:
    if row["esc10"] == "True" and row["category"] not in CATEGORIES:
        return f"{row['filename']}: category {row['category']!r} is none of ESC-10"
    if not re.fullmatch("[1-5]", row["fold"]):
        return f"{row['filename']}: fold {row['fold']!r}, must be 1 to {FOLDS}"
    return None
