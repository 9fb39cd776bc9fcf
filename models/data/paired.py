"""Any folder of pictures and sounds that belong together: a folder a class, a common name a sample.

Layout: `CLASS/NAME.png` (or jpg, npy, or a video) with `CLASS/NAME.wav` (or flac, ogg); a video
without a sound file gives its own track. Who tests is said by folders, `train/CLASS/...` and
`test/CLASS/...`, or by a table `split.csv` beside the classes with columns `name` (CLASS/NAME) and
`split` (train or test).

An npy holds one picture, uint8 or float32 in [0, 1], [h, w] or [c, h, w], or events, uint8 [T, c, h, w]; it
is taken as it is, all of one shape, while pictures and frames of videos become RGB of the size asked for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avnir.errors import DataError
from avnir.models.data.archives import refuse_lfs_pointer
from avnir.models.data.audio import Feature, log_mel
from avnir.models.data.clips import PICTURES, SOUNDS, VIDEOS, Clip, paired, read_image, spectrum
from avnir.models.data.media import refuse
from avnir.models.data.pairs import PairedData, Values
from avnir.models.data.registry import Options
from avnir.models.data.tables import Row, read_table

TABLE = "split.csv"
PARTS = ("train", "test")
IMAGES = (*PICTURES, ".npy", *VIDEOS)


def missing_paired(folder: Path) -> list[str]:
    """What `folder` lacks for its samples to be found and split; empty if it is there."""
    if (folder / TABLE).is_file() or all((folder / part).is_dir() for part in PARTS):
        return []
    return [f"{TABLE} beside folders of classes, or train/CLASS and test/CLASS"]


def load_paired(folder: Path, options: Options, feature: Feature = log_mel) -> PairedData:
    """image [N, c, h, w] or events [N, T, c, h, w], audio [N, 1, audio_size, audio_size].

    Classes are numbered in the order of their names. Raises `DataError` for samples without a picture or a
    sound, or not in the table, files that can't be read, and classes absent from a part: all at once.
    """
    if missing := missing_paired(folder):
        raise DataError(f"{folder}: missing {missing[0]}")
    found = _by_table(folder) if (folder / TABLE).is_file() else _by_folders(folder)
    names = tuple(sorted({key.split("/")[0] for key, _, _ in found}))
    refuse(folder, (problem for key, files, _ in found if (problem := _files_problem(key, files))))
    clips = [_clip(key, files, names) for key, files, _ in found]
    is_test = np.array([part == "test" for _, _, part in found])
    return paired(
        *(folder.name, folder, clips, is_test, names),
        readers={
            "image": lambda clip: _image(clip, options.image_size),
            "audio": spectrum(feature, options.audio_size),
        },
        provenance={"source": folder.name, "split": "as the folder says", "feature": feature.__name__},
    )


Found = tuple[str, list[Path], str]
"""CLASS/NAME, its files, and train or test."""


def _by_folders(folder: Path) -> list[Found]:
    found = [(key, files, part) for part in PARTS for key, files in _samples(folder / part).items()]
    if not found:
        raise DataError(f"{folder}: no pictures and sounds in train/CLASS and test/CLASS")
    return found


def _by_table(folder: Path) -> list[Found]:
    samples = _samples(folder)
    rows = read_table(folder / TABLE, ("name", "split"), _row_problem)
    parts = {row["name"]: row["split"] for row in rows}
    refuse(
        folder,
        (
            *(f"{key}: not in {TABLE}" for key in samples if key not in parts),
            *(f"{key}: in {TABLE}, but there is no file of it" for key in parts if key not in samples),
            *(f"{row['name']}: both train and test" for row in rows if parts[row["name"]] != row["split"]),
        ),
    )
    if not samples:
        raise DataError(f"{folder}: no pictures and sounds in folders of classes")
    return [(key, files, parts[key]) for key, files in samples.items()]


def _row_problem(row: Row) -> str | None:
    return None if row["split"] in PARTS else f"{row['name']}: split {row['split']!r}, must be train or test"


def _samples(folder: Path) -> dict[str, list[Path]]:
    """The files of every CLASS/NAME, by name."""
    samples: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix.lower() in (*IMAGES, *SOUNDS):
            samples.setdefault(f"{path.parent.name}/{path.stem}", []).append(path)
    return samples


def _files_problem(key: str, files: list[Path]) -> str | None:
    images = [path for path in files if path.suffix.lower() in IMAGES]
    sounds = [path for path in files if path.suffix.lower() in SOUNDS]
    if len(images) != 1:
        return f"{key}: {len(images)} pictures, must be one"
    if len(sounds) > 1 or not (sounds or images[0].suffix.lower() in VIDEOS):
        return f"{key}: {len(sounds)} sounds, must be one"
    return None


def _clip(key: str, files: list[Path], names: tuple[str, ...]) -> Clip:
    image = next(path for path in files if path.suffix.lower() in IMAGES)
    sound = next((path for path in files if path.suffix.lower() in SOUNDS), image)
    return Clip(image, sound, names.index(key.split("/")[0]), key)


def _image(clip: Clip, size: int) -> Values:
    return read_array(clip.picture) if clip.picture.suffix.lower() == ".npy" else read_image(clip, size)


def read_array(path: Path) -> Values:
    """One npy: a picture -> float32 [c, h, w] in [0, 1]; events stay uint8 [T, c, h, w]."""
    refuse_lfs_pointer(path)
    try:
        array: NDArray[np.generic] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a readable npy ({error}); get the file again") from error
    if array.dtype == np.uint8 and array.ndim == 4:
        return array.astype(np.uint8)
    if array.ndim not in (2, 3) or array.dtype not in (np.uint8, np.float32):
        raise DataError(f"{path}: {array.dtype} {list(array.shape)}, must be uint8 or float32 [c, h, w]")
    values = array.reshape((-1, *array.shape[-2:])).astype(np.float32)
    if array.dtype == np.uint8:
        return values / np.float32(255)
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"{path}: values from {values.min():g} to {values.max():g}, must lie in 0 to 1")
    return values
