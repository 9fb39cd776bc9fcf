"""Events of sensors as frames: how many fell into each time bin, polarity and place.

A recording is cut into `steps` bins of equal width from its first to its last event, so that a slow and a
fast one fill the same frames. With times t in whole microseconds, t0 the first and t1 the last, an event is
in bin `floor((t - t0) steps / (t1 - t0 + 1))`: integers throughout, and no event is lost. Counts above 255
are 255.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError

Integers = NDArray[np.int64]
Counts = NDArray[np.uint8]
MOST = 255
DAY = 86_400
LISTED = 20
"""Unusable files that an error names; it gives the number of all."""


@dataclass(frozen=True)
class CameraEvents:
    """What an event camera saw: `time` in microseconds, column `x`, row `y`, `on` 1 or 0, each [E] int64."""

    time: Integers
    x: Integers
    y: Integers
    on: Integers


def bin_events(time: Integers, cell: Integers, steps: int, cells: int) -> Counts:
    """Events [E] at `time` in microseconds, in any order, in `cell` 0 to cells - 1 -> [steps, cells].

    No events give zeros. Raises `ValueError` for fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, must be at least 1")
    if not time.size:
        return np.zeros((steps, cells), np.uint8)
    since = time - time.min()
    step = since * steps // (since.max() + 1)
    counts = np.bincount(step * cells + cell, minlength=steps * cells)
    return np.minimum(counts, MOST).astype(np.uint8).reshape(steps, cells)


def microseconds(seconds: NDArray[np.floating]) -> Integers:
    """Times [E] in seconds, rounded to whole microseconds; `DataError` unless all lie in one day from 0."""
    exact = seconds.astype(np.float64)
    if not ((exact >= 0) & (exact <= DAY)).all():
        raise DataError(f"times must lie in 0 to {DAY} seconds; get the file again")
    return np.round(exact * 1_000_000).astype(np.int64)


def camera_frames(events: CameraEvents, sensor: int, steps: int, size: int) -> Counts:
    """Events of a square camera, `sensor` pixels wide -> [steps, 2, size, size]; channel 0 is OFF, 1 is ON.

    A smaller `size` adds neighbouring pixels: pixel x goes to `floor(x size / sensor)`, and no event is
    lost. A larger one surrounds the picture with silence.
    """
    row, column = _placed(events.y, sensor, size), _placed(events.x, sensor, size)
    cell = (events.on * size + row) * size + column
    return bin_events(events.time, cell, steps, 2 * size * size).reshape(steps, 2, size, size)


def _placed(pixel: Integers, sensor: int, size: int) -> Integers:
    return pixel * size // sensor if size <= sensor else pixel + (size - sensor) // 2


def read_frames(
    folder: Path, paths: Sequence[Path], shape: tuple[int, ...], read: Callable[[Path], Counts]
) -> Counts:
    """What `read` makes of each file, [N, *shape]; `DataError` names all files that it refuses."""
    frames, problems = np.empty((len(paths), *shape), np.uint8), []
    for place, path in enumerate(paths):
        try:
            frames[place] = read(path)
        except DataError as problem:
            problems.append(str(problem))
    refuse_files(folder, problems)
    return frames


def refuse_files(folder: Path, problems: Sequence[str]) -> None:
    """Raise one `DataError` for all unusable files of a folder, if there are any."""
    if problems:
        more = f"; and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise DataError(f"{folder}: {len(problems)} unusable files: {'; '.join(problems[:LISTED])}{more}")
