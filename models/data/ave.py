"""AVE: 4,143 videos of 10 s with an event that is seen and heard, 28 classes.

Source: Y. Tian, J. Shi, B. Li, Z. Duan, C. Xu, Audio-Visual Event Localization in Unconstrained Videos, ECCV
2018 (a part of AudioSet). Layout, in `AVE_Dataset/` or right in the folder: `Annotations.txt` with
`Category&VideoID&Quality&StartTime&EndTime`, `trainSet.txt`, `valSet.txt` and `testSet.txt` with such
lines, and `AVE/VIDEOID.mp4`.

A video is one sample: the sound of its event, from StartTime to EndTime, and the frame in the middle of it.
The split is the authors', which is the official one; the validation set is left for choosing models.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avnir.errors import DataError
from avnir.models.data.audio import Feature, log_stft
from avnir.models.data.clips import Clip, paired, read_image, spectrum
from avnir.models.data.media import refuse
from avnir.models.data.pairs import PairedData
from avnir.models.data.registry import Options
from avnir.models.data.tables import Row, read_lines, read_table

HOME = "AVE_Dataset"
TABLE = "Annotations.txt"
COLUMNS = ("Category", "VideoID", "Quality", "StartTime", "EndTime")
SETS = ("trainSet.txt", "valSet.txt", "testSet.txt")
VIDEOS = "AVE"
SECONDS = 10


def missing_ave(folder: Path) -> list[str]:
    """What `folder` lacks to load AVE; empty if it is complete but for single videos."""
    home = _home(folder)
    lacking = [name for name in (TABLE, *SETS) if not (home / name).is_file()]
    return [*lacking, *([] if (home / VIDEOS).is_dir() else [f"{VIDEOS}/*.mp4"])]


def load_ave(
    folder: Path, options: Options, feature: Feature = log_stft, validation: bool = False
) -> PairedData:
    """image [N, 3, image_size, image_size], audio [N, 1, audio_size, audio_size], both in [0, 1].

    `validation`: the validation set is given as the test, for choosing a model without seeing the test.
    Raises `DataError` for missing files, lines that don't parse, a video in two sets, and unreadable
    videos, all of a kind at once.
    """
    if missing := missing_ave(folder):
        raise DataError(f"{folder}: missing {', '.join(missing)}")
    home = _home(folder)
    rows = read_table(home / TABLE, COLUMNS, _row_problem, "&")
    names = tuple(sorted({row["Category"] for row in rows}))
    parts = {name: _part(home / name, names) for name in SETS}
    refuse(home, _in_two_sets(parts))
    train, test = parts["trainSet.txt"], parts["valSet.txt" if validation else "testSet.txt"]
    clips = [_clip(home, row, names) for row in (*train, *test)]
    return paired(
        *("AVE", folder, clips, np.arange(len(clips)) >= len(train), names),
        readers={
            "image": lambda clip: read_image(clip, options.image_size),
            "audio": spectrum(feature, options.audio_size),
        },
        provenance={
            "source": "AVE (Tian et al. 2018)",
            "split": f"official: trainSet trains, {'valSet' if validation else 'testSet'} tests",
            "feature": feature.__name__,
        },
    )


def _home(folder: Path) -> Path:
    return folder / HOME if (folder / HOME).is_dir() else folder


def _part(path: Path, names: tuple[str, ...]) -> list[Row]:
    """The lines of a set; its first line may name the columns, as that of the table does."""
    lines = [line for line in read_lines(path, "&") if line != list(COLUMNS)]
    refuse(path, ("&".join(line) + ": not 5 values" for line in lines if len(line) != len(COLUMNS)))
    rows = [dict(zip(COLUMNS, line, strict=True)) for line in lines]
    refuse(path, (problem for row in rows if (problem := _row_problem(row))))
    unknown = sorted({row["Category"] for row in rows} - {*names})
    refuse(path, (f"category {name!r} is not in {TABLE}" for name in unknown))
    return rows


def _row_problem(row: Row) -> str | None:
    try:
        start, end = float(row["StartTime"]), float(row["EndTime"])
    except ValueError:
        return f"{row['VideoID']}: start {row['StartTime']!r} and end {row['EndTime']!r} must be seconds"
    if not 0 <= start < end <= SECONDS:
        return f"{row['VideoID']}: event from {start:g} to {end:g}, must lie in 0 to {SECONDS} s"
    return None


def _in_two_sets(parts: dict[str, list[Row]]) -> list[str]:
    seen = [(row["VideoID"], name) for name, rows in parts.items() for row in rows]
    home = dict(seen)
    return [f"{video}: in {name} and in {home[video]}" for video, name in seen if home[video] != name]


def _clip(home: Path, row: Row, names: tuple[str, ...]) -> Clip:
    path = home / VIDEOS / f"{row['VideoID']}.mp4"
    label = names.index(row["Category"])
    return Clip(path, path, label, row["VideoID"], float(row["StartTime"]), float(row["EndTime"]))
