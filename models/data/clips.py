"""Clips whose picture and sound belong together: from a list of files to a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data.audio import Feature
from avnir.models.data.media import Sound, read_frame, read_picture, read_sound, read_track, refuse
from avnir.models.data.pairs import PairedData, Split, Values
from avnir.models.data.splits import Mask, check_classes

PICTURES = (".png", ".jpg", ".jpeg")
VIDEOS = (".mp4", ".flv", ".avi", ".mkv", ".mov")
SOUNDS = (".wav", ".flac", ".ogg")


@dataclass(frozen=True)
class Clip:
    """The file of the picture, the file of the sound (the same for a video), and the class.

    `group` names what must not be on both sides of a split: an actor, a recording. `start` and `end`, in
    seconds, are the part that counts: its sound, and the frame in its middle; all of it where they are None.
    """

    picture: Path
    sound: Path
    label: int
    group: str
    start: float | None = None
    end: float | None = None


Reader = Callable[[Clip], Values]
"""One modality of a clip: a picture [c, h, w] or events [T, c, h, w]."""


def labels_of(clips: Sequence[Clip]) -> NDArray[np.int64]:
    """[N]."""
    return np.array([clip.label for clip in clips], dtype=np.int64)


def groups_of(clips: Sequence[Clip]) -> NDArray[np.str_]:
    """[N]."""
    return np.array([clip.group for clip in clips])


def read_image(clip: Clip, size: int) -> NDArray[np.float32]:
    """[3, size, size] in [0, 1]: the picture, or the frame in the middle of what counts of a video."""
    if clip.picture.suffix.lower() not in VIDEOS:
        return read_picture(clip.picture, size)
    middle = None if clip.start is None or clip.end is None else (clip.start + clip.end) / 2
    return read_frame(clip.picture, size, middle)


def read_audio(clip: Clip) -> Sound:
    """The sound, from a sound file or a video's track, between `start` and `end`."""
    whole = (read_track if clip.sound.suffix.lower() in VIDEOS else read_sound)(clip.sound)
    if clip.start is None or clip.end is None:
        return whole
    part = whole.samples[round(clip.start * whole.rate) : round(clip.end * whole.rate)]
    if not part.size:
        raise DataError(f"{clip.sound}: ends before second {clip.start:g}, where its event starts")
    return Sound(part, whole.rate)


def paired(
    name: str,
    folder: Path,
    clips: Sequence[Clip],
    is_test: Mask,
    class_names: Sequence[str],
    readers: Mapping[str, Reader],
    provenance: Mapping[str, Any],
) -> PairedData:
    """Read every modality of every clip, and separate training and test.

    Raises one `DataError` that names every class without clips, or every file that can't be used.
    """
    check_classes(folder, labels_of(clips), is_test, class_names)
    values, problems = {}, {}
    for modality, reader in readers.items():
        values[modality], found = _read(clips, reader)
        problems.update(dict.fromkeys(found))
    refuse(folder, problems)
    arrays = {modality: _stacked(folder, modality, found) for modality, found in values.items()}
    everything = Split(arrays, labels_of(clips))
    train, test = (everything.at(np.flatnonzero(part)) for part in (~is_test, is_test))
    return PairedData(name, train, test, tuple(class_names), provenance)


def _read(clips: Sequence[Clip], reader: Reader) -> tuple[list[Values], list[str]]:
    """What can be read, and what is wrong with the others."""
    values, problems = [], []
    for clip in clips:
        try:
            values.append(reader(clip))
        except DataError as error:
            problems.append(str(error))
    return values, problems


def _stacked(folder: Path, modality: str, values: Sequence[Values]) -> Values:
    kinds = sorted({f"{value.dtype} {list(value.shape)}" for value in values})
    if len(kinds) > 1:
        raise DataError(f"{folder}: {modality} data of different forms: {', '.join(kinds)}; make them equal")
    return cast(Values, np.stack(values))


def spectrum(feature: Feature, size: int) -> Reader:
    """A reader of a clip's sound as a picture [1, size, size]."""

    def read(clip: Clip) -> NDArray[np.float32]:
        sound = read_audio(clip)
        return feature(sound.samples, sound.rate, size)[None]

    return read
