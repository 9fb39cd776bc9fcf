"""The Free Spoken Digit Dataset from a folder: its wav files, or one `fsdd.npz`.

Source: Z. Jackson and others, Free Spoken Digit Dataset; CC BY-SA 4.0. Official split, from its
README: of each speaker and digit, recordings 0 to 4 test and 5 to 49 train.
"""

from __future__ import annotations

import re
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data.archives import read_archive, refuse_lfs_pointer
from avnir.models.data.pairs import Samples
from avnir.models.data.spectrogram import log_mel

ARCHIVE = "fsdd.npz"
ARCHIVE_LAYOUT = {
    "wave": ("int16", 1),
    "offsets": ("int64", 1),
    "digit": ("uint8", 1),
    "index": ("uint8", 1),
    "sample_rate": ("int32", 0),
}
RECORDINGS = "recordings"
FILE_NAME = re.compile(r"([0-9])_([a-z]+)_([0-9]+)\.wav")
RATE = 8000
TEST_INDICES = 5


@dataclass(frozen=True)
class Recording:
    """One clip [samples] at RATE, the digit said, and its number among those of its speaker."""

    samples: NDArray[np.int16]
    digit: int
    index: int


def missing_fsdd(folder: Path) -> list[str]:
    """What `folder` lacks to load the recordings; empty if something is there."""
    if (folder / ARCHIVE).is_file() or _wav_paths(folder):
        return []
    return [f"{ARCHIVE}, or {RECORDINGS}/0_george_0.wav and the other wav files"]


def load_fsdd(folder: Path, size: int = 16) -> tuple[Samples, Samples]:
    """The official training and test recordings as spectrograms [M, 1, size, size] in [0, 1], labels 0 to 9.

    Raises `DataError` for missing or damaged files, and names all files of a wrong format.
    """
    if missing := missing_fsdd(folder):
        raise DataError(f"{folder}: missing {missing[0]}")
    archive = folder / ARCHIVE
    recordings = list(_from_archive(archive) if archive.is_file() else _from_wav_files(folder))
    return (
        _samples(folder, "training", (r for r in recordings if r.index >= TEST_INDICES), size),
        _samples(folder, "test", (r for r in recordings if r.index < TEST_INDICES), size),
    )


def _from_archive(path: Path) -> Iterator[Recording]:
    arrays = read_archive(path, ARCHIVE_LAYOUT)
    if arrays["sample_rate"] != RATE:
        raise DataError(f"{path}: {arrays['sample_rate']} samples per second, must be {RATE}; resample it")
    samples, offsets, digits, index = (arrays[name] for name in ("wave", "offsets", "digit", "index"))
    clips = len(digits)
    if not len(offsets) - 1 == clips == len(index):
        raise DataError(
            f"{path}: {clips} digits, {len(index)} indices and {len(offsets)} offsets do not agree"
        )
    if offsets[0] != 0 or offsets[-1] != len(samples) or (np.diff(offsets) < 1).any() or (digits > 9).any():
        raise DataError(f"{path}: offsets must rise from 0 to {len(samples)}, digits lie in 0 to 9")
    for i in range(clips):
        yield Recording(samples[offsets[i] : offsets[i + 1]], int(digits[i]), int(index[i]))


def _from_wav_files(folder: Path) -> list[Recording]:
    paths = _wav_paths(folder)
    if problems := [f"{path.name}: {problem}" for path in paths if (problem := _wav_problem(path))]:
        raise DataError(f"{folder / RECORDINGS}: {len(problems)} unusable files: {'; '.join(problems[:20])}")
    return [_read_wav(path) for path in paths]


def _wav_paths(folder: Path) -> list[Path]:
    return sorted(p for p in (folder / RECORDINGS).glob("*.wav") if FILE_NAME.fullmatch(p.name))


def _wav_problem(path: Path) -> str | None:
    """Why `path` can't be used: it must hold 16-bit mono at RATE."""
    try:
        refuse_lfs_pointer(path)
        with wave.open(str(path), "rb") as file:
            found = (file.getframerate(), file.getnchannels(), file.getsampwidth() * 8, file.getnframes())
    except DataError:
        return "a Git-LFS pointer, not the data (run `git lfs pull` where it came from)"
    except (wave.Error, EOFError) as error:
        return f"not a wav file ({error})"
    if found[:3] != (RATE, 1, 16) or not found[3]:
        return "{} Hz, {} channels, {} bit, {} samples, must be 8000 Hz, 1, 16 and not empty".format(*found)
    return None


def _read_wav(path: Path) -> Recording:
    digit, _, index = path.stem.split("_")
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return Recording(samples.astype(np.int16), int(digit), int(index))


def _samples(folder: Path, part: str, recordings: Iterable[Recording], size: int) -> Samples:
    chosen = list(recordings)
    if not chosen:
        raise DataError(f"{folder}: no {part} recordings; indices 0 to 4 test, all others train")
    spectra = np.stack([log_mel(recording.samples, RATE, size, size) for recording in chosen])
    return Samples(spectra[:, None], np.array([recording.digit for recording in chosen], dtype=np.int64))
