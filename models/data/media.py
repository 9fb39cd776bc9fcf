"""Sounds and pictures out of files: wav, flac, ogg by libsndfile; png, jpg by Pillow; videos by PyAV.

Every reader raises `DataError` for a file that is missing, a Git-LFS pointer, unreadable or empty;
`read_all` gathers those of many files into one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError, UserError
from avnir.models.data.archives import refuse_lfs_pointer

if TYPE_CHECKING:
    from PIL.Image import Image

Array = NDArray[np.float32]
Item = TypeVar("Item")
SHOWN = 20
"""Findings that a message spells out; of the others it says how many there are."""


def _library(name: str) -> Any:
    """A library of the extra `models`, imported where a file is read: the list of data sets needs none."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"reading sounds and pictures needs {error.name}: pip install 'avnir[models]'"
        ) from error


@dataclass(frozen=True)
class Sound:
    """`samples` [n] float32, nominally in [-1, 1], mean over the channels; `rate` in samples per second."""

    samples: Array
    rate: int


def read_sound(path: Path) -> Sound:
    """A sound file of any sample format that libsndfile reads (8, 16, 24 bits, floats, ADPCM)."""
    soundfile = _library("soundfile")
    with _opened(path, (soundfile.SoundFileError,)):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return _sound(path, samples.mean(axis=1), rate)


def read_track(path: Path) -> Sound:
    """The first audio track of a video, resampled by nothing, all channels averaged."""
    av = _library("av")
    with _opened(path, (av.FFmpegError,)), av.open(path) as container:
        if not container.streams.audio:
            raise DataError(f"{path}: a video without sound")
        stream = container.streams.audio[0]
        to_mono = av.AudioResampler("fltp", "mono", stream.rate)
        frames = [part for frame in container.decode(stream) for part in to_mono.resample(frame)]
        frames += to_mono.resample(None)
        parts = [frame.to_ndarray()[0] for frame in frames]
    return _sound(path, np.concatenate(parts or [np.empty(0, np.float32)]), int(stream.rate))


def _sound(path: Path, samples: Array, rate: int) -> Sound:
    if not samples.size:
        raise DataError(f"{path}: no sound in it (0 samples)")
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: holds samples that are not finite; get the file again")
    return Sound(samples.astype(np.float32), rate)


def read_picture(path: Path, size: int) -> Array:
    """A png or jpg as RGB [3, size, size] in [0, 1]; resized as `resize_picture` says."""
    pillow = _library("PIL.Image")
    errors = (pillow.DecompressionBombError, ValueError, SyntaxError)  # beside OSError
    with _opened(path, errors), pillow.open(path) as picture:
        return resize_picture(picture.convert("RGB"), size)


def read_frame(path: Path, size: int, second: float | None = None) -> Array:
    """One frame of a video as RGB [3, size, size] in [0, 1]: that which is shown at `second`.

    Without `second` that of the middle; the first frame where the file does not say how long it is.
    Past the end it is the last one.
    """
    av, pillow = _library("av"), _library("PIL.Image")
    with _opened(path, (av.FFmpegError,)), av.open(path) as container:
        if not container.streams.video:
            raise DataError(f"{path}: no pictures in it, only sound")
        if second is None:
            second = (container.duration or 0) / av.time_base / 2
        shown = None
        for frame in container.decode(container.streams.video[0]):
            if shown is not None and (frame.time or 0.0) > second:
                break
            shown = frame
        if shown is None:
            raise DataError(f"{path}: no pictures in it (0 frames)")
        return resize_picture(pillow.fromarray(shown.to_ndarray(format="rgb24")), size)


def resize_picture(picture: Image, size: int) -> Array:
    """[bands, size, size] in [0, 1]: Pillow's bilinear filter, which averages where it shrinks."""
    resized = picture.resize((size, size), _library("PIL.Image").Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)


def resize(values: Array, size: int) -> Array:
    """[h, w] -> [size, size] float32 within the same range, by Pillow's bilinear filter as above."""
    pillow = _library("PIL.Image")
    resized = pillow.fromarray(values.astype(np.float32)).resize((size, size), pillow.Resampling.BILINEAR)
    return np.clip(np.asarray(resized, dtype=np.float32), values.min(), values.max())


@contextmanager
def _opened(path: Path, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn what the reader of `path` raises into a `DataError`."""
    if not path.is_file():
        raise DataError(f"{path}: missing")
    refuse_lfs_pointer(path)
    unreadable: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except unreadable as error:
        raise DataError(f"{path}: unreadable ({error}); get the file again") from error


def read_all(place: Path, items: Sequence[Item], read: Callable[[Item], Array]) -> Array:
    """`read` of each item, stacked [N, ...]; one `DataError` that names all that can't be read."""
    values, problems = [], []
    for item in items:
        try:
            values.append(read(item))
        except DataError as error:
            problems.append(str(error))
    refuse(place, problems)
    return np.stack(values)


def refuse(place: Path, problems: Iterable[str]) -> None:
    """Raise one `DataError` about `place` if there are problems."""
    found = list(problems)
    if not found:
        return
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise DataError(f"{place}: {len(found)} unusable: {'; '.join(found[:SHOWN])}{more}")
