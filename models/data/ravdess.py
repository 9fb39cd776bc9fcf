"""RAVDESS, speech: 24 actors, two sentences, as sound and face; the six emotions of CREMA-D.

Source: S. R. Livingstone, F. A. Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song,
PLoS ONE 13(5), 2018; CC BY-NC-SA 4.0, non-commercial. File names are seven numbers: modality, channel,
emotion, intensity, statement, repetition, actor.

Layout: sounds `Audio_Speech_Actors_01-24/Actor_XX/03-01-*.wav`. The picture of a clip is of the same take,
found anywhere in the folder: OpenFace's table `01-01-*.csv` (RAVDESS Facial Landmark Tracking, or a run of
OpenFace of one's own), else the video `01-01-*.mp4` (or `02-`), of which the middle frame counts. Where there
is neither, the set is of sounds alone. In one file: `ravdess_av.npz`, with the action units.

The 35 facial action units of OpenFace (T. Baltrusaitis and others, OpenFace 2.0, FG 2018), means over the
clip, 17 intensities and 18 presences, come as an image [N, 35, 1, 1]: each between its least and greatest
value in training, clipped in the test. Sounds lose their quiet ends (`audio.trimmed`).

There is no official split, nor one of authors: actors 21 to 24 test (fold 5), or four others (fold 0 to 4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data import splits
from avnir.models.data.archives import read_archive, refuse_lfs_pointer
from avnir.models.data.audio import Feature, cut, log_mel, trimmed
from avnir.models.data.clips import Clip, groups_of, paired, read_audio, read_image
from avnir.models.data.media import refuse
from avnir.models.data.pairs import PairedData, Split
from avnir.models.data.registry import Options

ARCHIVE = "ravdess_av.npz"
ARCHIVE_LAYOUT = {
    "wave_mulaw": ("int8", 1),
    "offsets": ("int64", 1),
    "au": ("float32", 2),
    "emotion": ("uint8", 1),
    "actor": ("uint8", 1),
    "sample_rate": ("int32", 0),
}
SOUNDS = "Audio_Speech_Actors_01-24"
NAME = re.compile(r"0[123](-01-0[1-8]-0[12]-0[12]-0[12]-(?:0[1-9]|1\d|2[0-4]))")
CLASSES = ("angry", "disgust", "fearful", "happy", "neutral", "sad")
EMOTIONS = ("05", "07", "06", "03", "01", "04")
"""RAVDESS's codes of the classes; calm (02) and surprised (08) are left out."""
_UNITS = [f"{unit:02}" for unit in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)]
ACTION_UNITS = (
    *(f"AU{unit}_r" for unit in _UNITS),
    *(f"AU{unit}_c" for unit in sorted([*_UNITS, "28"])),
)
ACTORS_PER_FOLD = 4
FOLDS = 6


def missing_ravdess(folder: Path) -> list[str]:
    """What `folder` lacks to load RAVDESS; empty if something is there."""
    if (folder / ARCHIVE).is_file() or any((folder / SOUNDS).glob("*/*.wav")):
        return []
    return [f"{ARCHIVE}, or {SOUNDS}/Actor_XX/*.wav"]


def load_ravdess(folder: Path, options: Options, feature: Feature = log_mel) -> PairedData:
    """audio [N, 1, audio_size, audio_size]; image [N, 35, 1, 1], or [N, 3, image_size, image_size] of videos.

    The original files are read if they are there, else the archive. Raises `DataError` for missing or
    damaged files and names that don't parse, all at once, and for split "authors".
    """
    if options.split == "authors":
        raise DataError("RAVDESS has no split of authors; leave it out, or name a fold, 0 to 5")
    fold = FOLDS - 1 if options.fold is None else options.fold
    splits.check_fold(fold, range(FOLDS))
    if missing := missing_ravdess(folder):
        raise DataError(f"{folder}: missing {missing[0]}")
    read = _from_files if any((folder / SOUNDS).glob("*/*.wav")) else _from_archive
    data = read(folder, options, fold, feature)
    first = ACTORS_PER_FOLD * fold + 1
    about = {
        "source": "RAVDESS (Livingstone, Russo 2018; CC BY-NC-SA 4.0)",
        "split": f"by actor: {first} to {first + ACTORS_PER_FOLD - 1} test",
        "feature": feature.__name__,
    }
    return replace(data, provenance={**about, **data.provenance})


def _tests(actors: NDArray[np.integer], fold: int) -> splits.Mask:
    return (actors - 1) // ACTORS_PER_FOLD == fold


def _from_archive(folder: Path, options: Options, fold: int, feature: Feature) -> PairedData:
    path = folder / ARCHIVE
    arrays = read_archive(path, ARCHIVE_LAYOUT)
    clips = cut(path, arrays["wave_mulaw"], arrays["offsets"])
    units, labels, actors = arrays["au"], arrays["emotion"].astype(np.int64), arrays["actor"]
    if not len(clips) == len(labels) == len(actors) or units.shape != (len(clips), len(ACTION_UNITS)):
        raise DataError(f"{path}: clips, emotions, actors and {len(ACTION_UNITS)} action units do not agree")
    if labels.max() >= len(CLASSES) or not np.isfinite(units).all():
        raise DataError(f"{path}: emotions must be 0 to {len(CLASSES) - 1}, action units finite")
    is_test = _tests(actors.astype(np.int64), fold)
    splits.check_classes(folder, labels, is_test, CLASSES)
    rate, size = int(arrays["sample_rate"]), options.audio_size
    spectra = np.stack([feature(trimmed(clip, rate), rate, size)[None] for clip in clips])
    everything = Split({"image": units[:, :, None, None], "audio": spectra}, labels)
    train, test = (everything.at(np.flatnonzero(part)) for part in (~is_test, is_test))
    return _scaled(PairedData("RAVDESS", train, test, CLASSES, {"image": "35 facial action units"}))


def _from_files(folder: Path, options: Options, fold: int, feature: Feature) -> PairedData:
    sounds = _by_take(folder, sorted((folder / SOUNDS).glob("*/*.wav")))
    tables, videos = (_by_take(folder, sorted(folder.rglob(f"0[12]-01-*.{kind}"))) for kind in ("csv", "mp4"))
    pictures = tables or videos or sounds
    takes = sorted(take for take in sounds.keys() & pictures.keys() if take[4:6] in EMOTIONS)
    if not takes:
        raise DataError(f"{folder}: no take of {', '.join(CLASSES)} has both its sound and its picture")
    clips = [Clip(pictures[t], sounds[t], EMOTIONS.index(t[4:6]), t[-2:]) for t in takes]

    def spectrum(clip: Clip) -> NDArray[np.float32]:
        sound = read_audio(clip)
        return feature(trimmed(sound.samples, sound.rate), sound.rate, options.audio_size)[None]

    def picture(clip: Clip) -> NDArray[np.float32]:
        return read_action_units(clip.picture) if tables else read_image(clip, options.image_size)

    kind = "35 facial action units" if tables else "middle frame of the video"
    alone = sum(take[4:6] in EMOTIONS for take in sounds.keys() ^ pictures.keys())
    data = paired(
        *("RAVDESS", folder, clips, _tests(groups_of(clips).astype(np.int64), fold), CLASSES),
        readers={"image": picture, "audio": spectrum} if tables or videos else {"audio": spectrum},
        provenance={
            "image": kind if tables or videos else "none",
            "left out, sound or picture missing": alone,
        },
    )
    return _scaled(data) if tables else data


def _by_take(folder: Path, paths: Sequence[Path]) -> Mapping[str, Path]:
    """The files by what their names say beside the modality; speech alone."""
    refuse(
        folder, (f"{path.name}: not a name like 03-01-06-01-02-01-12" for path in paths if not _take(path))
    )
    return {_take(path): path for path in reversed(paths)}


def _take(path: Path) -> str:
    found = NAME.fullmatch(path.stem)
    return found[1] if found else ""


def read_action_units(path: Path) -> NDArray[np.float32]:
    """One of OpenFace's tables -> [35, 1, 1]: the mean of each action unit over the frames, unscaled."""
    refuse_lfs_pointer(path)
    try:
        with path.open(encoding="utf-8") as file:
            names = [name.strip() for name in file.readline().split(",")]
            if lacking := [unit for unit in ACTION_UNITS if unit not in names]:
                raise DataError(
                    f"{path}: no column {', '.join(lacking)}; have OpenFace write action units (-aus)"
                )
            columns = [names.index(unit) for unit in ACTION_UNITS]
            frames = [line for line in file if line.strip()]
            if not frames:
                raise DataError(f"{path}: no frames in it")
            values = np.loadtxt(frames, delimiter=",", usecols=columns, ndmin=2)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a table of OpenFace ({error}); get the file again") from error
    if not np.isfinite(values).all():
        raise DataError(f"{path}: values that are not finite; get the file again")
    return values.mean(axis=0).astype(np.float32)[:, None, None]


def _scaled(data: PairedData) -> PairedData:
    """The images between their least and greatest values in training; a unit that never moves is 0."""
    known = data.train.inputs["image"]
    low, high = known.min(axis=0), known.max(axis=0)
    span = np.where(high > low, high - low, np.float32(1))

    def scale(split: Split) -> Split:
        values = np.clip((split.inputs["image"] - low) / span, 0, 1).astype(np.float32)
        return Split({**split.inputs, "image": values}, split.labels)

    return replace(data, train=scale(data.train), test=scale(data.test))
