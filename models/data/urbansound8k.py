"""UrbanSound8K, ten sounds of the city in 8,732 slices of at most 4 s, or the archives of some folds.

Source: J. Salamon, C. Jacoby, J. P. Bello, A Dataset and Taxonomy for Urban Sound Research, ACM
Multimedia 2014; CC BY-NC 3.0, non-commercial. Layout: `metadata/UrbanSound8K.csv` and
`audio/fold1` to `fold10`; archives `us8k_logmel.npz` (spectrograms) and `us8k_wave.npz` (some waveforms).

A slice is named after the recording that it was cut from: `fsID-classID-occurrence-slice`. The official
ten folds keep a recording together. In a random split 93 % of the test slices of the whole set share
their recording with training.

The picture of a slice is one, whatever it is made from: 22,050 Hz, Hann 1024, hop 704 with 512 zeros at
both ends, 64 triangular bands of the HTK mel scale from 50 to 11,025 Hz; power in dB, a full-scale sine near
0, from -90 at 0 to 0 at 1. The columns of the slice, 126 where it lasts 4 s, are resized to the picture: a
short slice fills it too, as in S-CMRL's code, which resizes the spectrogram of whatever length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data import splits
from avnir.models.data.archives import read_archive
from avnir.models.data.audio import Feature, cut, resample
from avnir.models.data.media import read_all, read_sound, resize
from avnir.models.data.pairs import PairedData, Samples, Split
from avnir.models.data.registry import Options
from avnir.models.data.spectrogram import mel_edges, triangles
from avnir.models.data.tables import Row, read_table

MEL_ARCHIVE = "us8k_logmel.npz"
MEL_LAYOUT = {
    "mel": ("uint8", 3),
    "duration_s": ("float32", 1),
    "label": ("uint8", 1),
    "fold": ("uint8", 1),
    "clip": ("<U14", 1),
}
WAVE_ARCHIVE = "us8k_wave.npz"
WAVE_LAYOUT = {
    "wave_mulaw": ("int8", 1),
    "offsets": ("int64", 1),
    "label": ("uint8", 1),
    "fold": ("uint8", 1),
    "clip": ("<U14", 1),
    "sample_rate": ("int32", 0),
}
TABLE = Path("metadata", "UrbanSound8K.csv")
COLUMNS = ("slice_file_name", "fold", "classID")
SLICE = re.compile(r"(\d+)-(\d)-\d+-\d+")
CLASSES = (
    *("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling"),
    *("engine_idling", "gun_shot", "jackhammer", "siren", "street_music"),
)
FOLDS = 10
TEST_FOLD = 10
RANDOM_TEST_SHARE = 0.2

RATE = 22_050
FRAME = 1024
HOP = 704
BANDS = 64
LENGTH = 126
MEL_HZ = (50.0, 11_025.0)
FLOOR_DB = -90.0


@dataclass(frozen=True)
class Slices:
    """Spectrograms [N, 1, size, size], and for each the class, the fold and the slice's name."""

    spectra: NDArray[np.float32]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    names: NDArray[np.str_]


def missing_us8k(folder: Path) -> list[str]:
    """What `folder` lacks to load UrbanSound8K; empty if something is there."""
    if any((folder / name).is_file() for name in (TABLE, MEL_ARCHIVE, WAVE_ARCHIVE)):
        return []
    return [f"{TABLE} and audio/fold1 to fold10, or {MEL_ARCHIVE}, or {WAVE_ARCHIVE}"]


def load_us8k(
    folder: Path,
    size: int = 28,
    fold: int | None = None,
    split: str = "official",
    seed: int = 0,
    feature: Feature | None = None,
) -> tuple[Samples, Samples]:
    """Training and test slices as spectrograms [N, 1, size, size]; `fold` tests (10 where none is named).

    Training takes all other folds that are there: an archive holds some. The original files are read if
    they are there, else the spectrograms, else the waveforms. `feature` in place of the picture above
    needs sounds. split "authors": a random fifth of each class tests, with a warning of what leaks.
    Raises `DataError` for missing or damaged files, all at once, and for an unknown fold or split.
    """
    options = Options(audio_size=size, fold=fold, split=split, seed=seed)
    slices = read_slices(folder, size, feature)
    is_test = choose_test(slices.labels, slices.folds, slices.names, options)
    splits.check_classes(folder, slices.labels, is_test, CLASSES)
    return splits.separate(slices.spectra, slices.labels, is_test)


def load_us8k_audio(folder: Path, options: Options) -> PairedData:
    """The slices alone, as a data set of one modality: audio [N, 1, audio_size, audio_size]."""
    train, test = load_us8k(folder, options.audio_size, options.fold, options.split, options.seed)
    return PairedData(
        name="UrbanSound8K",
        train=Split({"audio": train.values}, train.labels),
        test=Split({"audio": test.values}, test.labels),
        class_names=CLASSES,
        provenance={
            "audio": "UrbanSound8K (Salamon, Jacoby, Bello 2014; CC BY-NC 3.0)",
            "split": split_text(options),
            "seed": options.seed,
        },
    )


def choose_test(
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    names: NDArray[np.str_],
    options: Options,
    share: float = RANDOM_TEST_SHARE,
) -> splits.Mask:
    """Which slices test [N]: those of the fold, or for "authors" a random `share` of each class."""
    if options.split == "authors":
        is_test = splits.random_test(labels, share, options.seed)
        splits.warn_of_leak(np.array([recording(name) for name in names]), is_test, "recording")
        return is_test
    test_fold = TEST_FOLD if options.fold is None else options.fold
    splits.check_fold(test_fold, folds.tolist())
    return folds == test_fold


def split_text(options: Options, share: float = RANDOM_TEST_SHARE) -> str:
    """The split in words."""
    if options.split == "authors":
        return f"random {100 * share:.0f} % of each class"
    return f"official folds, {TEST_FOLD if options.fold is None else options.fold} tests"


def recording(name: str) -> str:
    """The fsID in a slice's name: the recording that it was cut from."""
    return name.split("-")[0]


def read_slices(folder: Path, size: int, feature: Feature | None = None) -> Slices:
    """All slices of `folder`, from its files or one of its archives."""
    if missing := missing_us8k(folder):
        raise DataError(f"{folder}: missing {missing[0]}")
    if (folder / TABLE).is_file():
        return _from_files(folder, size, feature or slice_picture)
    if (folder / MEL_ARCHIVE).is_file() and feature is None:
        return _from_spectrograms(folder / MEL_ARCHIVE, size)
    if (folder / WAVE_ARCHIVE).is_file():
        return _from_waveforms(folder / WAVE_ARCHIVE, size, feature or slice_picture)
    raise DataError(f"{folder}: {MEL_ARCHIVE} holds no sound that another feature could be made from")


def _from_files(folder: Path, size: int, feature: Feature) -> Slices:
    rows = read_table(folder / TABLE, COLUMNS, row_problem)

    def spectrum(row: Row) -> NDArray[np.float32]:
        sound = read_sound(folder / "audio" / f"fold{row['fold']}" / row["slice_file_name"])
        return feature(sound.samples, sound.rate, size)[None]

    return Slices(
        read_all(folder, rows, spectrum),
        np.array([int(row["classID"]) for row in rows], dtype=np.int64),
        np.array([int(row["fold"]) for row in rows], dtype=np.int64),
        np.array([row["slice_file_name"].removesuffix(".wav") for row in rows]),
    )


def row_problem(row: Row) -> str | None:
    """Why a row of the table can't be used; None if it can."""
    name, fold, label = (row[column] for column in COLUMNS)
    if not (found := SLICE.fullmatch(name.removesuffix(".wav"))):
        return f"{name}: not a name of the form fsID-classID-occurrence-slice.wav"
    if label != found[2]:
        return f"{name}: classID {label}, but its name says {found[2]}"
    return None if fold in map(str, range(1, FOLDS + 1)) else f"{name}: fold {fold}, must be 1 to {FOLDS}"


def _from_spectrograms(path: Path, size: int) -> Slices:
    arrays = read_archive(path, MEL_LAYOUT)
    mel, seconds = arrays["mel"], arrays["duration_s"]
    if mel.shape[1:] != (BANDS, LENGTH):
        raise DataError(f"{path}: spectrograms of {mel.shape[1:]} cells, must be {(BANDS, LENGTH)}")
    if len(seconds) != len(mel) or not (seconds > 0).all():
        raise DataError(f"{path}: duration_s must be above 0 for each of the {len(mel)} slices")
    spectra = [
        _picture(picture / np.float32(255), float(length), size)[None]
        for picture, length in zip(mel, seconds, strict=True)
    ]
    return _slices(path, spectra, arrays)


def _from_waveforms(path: Path, size: int, feature: Feature) -> Slices:
    arrays = read_archive(path, WAVE_LAYOUT)
    rate = int(arrays["sample_rate"])
    clips = cut(path, arrays["wave_mulaw"], arrays["offsets"])
    return _slices(path, [feature(clip, rate, size)[None] for clip in clips], arrays)


def _slices(path: Path, spectra: list[NDArray[np.float32]], arrays: dict[str, NDArray[np.generic]]) -> Slices:
    counts = {len(spectra), *(len(arrays[name]) for name in ("label", "fold", "clip"))}
    if len(counts) > 1 or not spectra:
        raise DataError(f"{path}: slices, labels, folds and names do not agree in number, or are none")
    labels, folds = (arrays[name].astype(np.int64) for name in ("label", "fold"))
    if labels.max() >= len(CLASSES):
        raise DataError(f"{path}: label {labels.max()}, must be 0 to {len(CLASSES) - 1}")
    return Slices(np.stack(spectra), labels, folds, arrays["clip"].astype(np.str_))


def slice_picture(samples: NDArray[np.float32], rate: int, size: int) -> NDArray[np.float32]:
    """The picture [size, size] in [0, 1] of one slice, as the module describes it."""
    return _picture(slice_mel(samples, rate), samples.size / rate, size)


def _picture(mel: NDArray[np.float32], seconds: float, size: int) -> NDArray[np.float32]:
    """The columns of `mel` whose middle lies in a slice of this length, resized to [size, size]."""
    return resize(mel[:, : ceil(seconds * RATE / HOP)], size)


def slice_mel(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """[BANDS, LENGTH] in [0, 1] of one slice [n]; cut after 4 s, silent behind its end."""
    wave = resample(samples, rate, RATE)[: 4 * RATE]
    frame_span = (LENGTH - 1) * HOP + FRAME
    padded = np.pad(wave.astype(np.float64), (FRAME // 2, frame_span - wave.size - FRAME // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    window = np.hanning(FRAME + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * window / (window.sum() / 2), axis=1)) ** 2
    decibel = 10 * np.log10(np.maximum(power @ _filters().T, 10 ** (FLOOR_DB / 10)))
    return np.clip(1 - decibel / FLOOR_DB, 0, 1).T.astype(np.float32)


@cache
def _filters() -> NDArray[np.float64]:
    """[BANDS, FRAME // 2 + 1], peak 1."""
    return triangles(mel_edges(*MEL_HZ, BANDS), np.fft.rfftfreq(FRAME, 1 / RATE))
