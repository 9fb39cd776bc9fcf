"""AVE: official sets, the event's sound and frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.audio import log_stft
from avnir.models.data.ave import load_ave, missing_ave
from avnir.models.data.media import read_track
from avnir.models.data.registry import Options
from tests.models.data.files import LFS, tone, write_video

OPTIONS = Options(image_size=4, audio_size=8)
HEADER = "Category&VideoID&Quality&StartTime&EndTime"
LINES = {
    "trainSet.txt": ["Church bell&b-1_x&good&0&1", "Male speech&m1&good&1&2"],
    "valSet.txt": ["Church bell&b2&good&0&2", "Male speech&m2&good&0&2"],
    "testSet.txt": ["Male speech&m3&bad&1&2", "Church bell&b3&good&0&1"],
}


def write_set(folder: Path) -> Path:
    """Two seconds each: dark and low, then light and high."""
    home = folder / "AVE_Dataset"
    home.mkdir()
    sound = np.concatenate([tone(500, 44_100, 1.0), tone(3000, 44_100, 1.0)])
    for name, lines in LINES.items():
        (home / name).write_text("\n".join(lines) + "\n")
        for line in lines:
            write_video(home / "AVE" / f"{line.split('&')[1]}.mp4", [40] * 10 + [200] * 10, sound=sound)
    (home / "Annotations.txt").write_text(
        "\n".join([HEADER, *(x for lines in LINES.values() for x in lines)])
    )
    return home


def test_the_official_sets(tmp_path: Path) -> None:
    write_set(tmp_path)
    data = load_ave(tmp_path, OPTIONS)
    assert data.class_names == ("Church bell", "Male speech")
    assert (list(data.train.labels), list(data.test.labels)) == ([0, 1], [1, 0])
    assert data.train.inputs["image"].shape == (2, 3, 4, 4)
    assert data.train.inputs["audio"].shape == (2, 1, 8, 8)
    assert [*load_ave(tmp_path, OPTIONS, validation=True).test.labels] == [0, 1]


def test_the_part_of_the_event_counts(tmp_path: Path) -> None:
    home = write_set(tmp_path)
    train = load_ave(home, OPTIONS).train.inputs
    assert 255 * train["image"].mean(axis=(1, 2, 3)) == pytest.approx([40, 200], abs=12)
    whole = read_track(home / "AVE" / "m1.mp4")
    assert np.array_equal(train["audio"][1, 0], log_stft(whole.samples[44_100 : 2 * 44_100], 44_100, 8))


def test_what_is_missing(tmp_path: Path) -> None:
    assert missing_ave(tmp_path) == [
        "Annotations.txt",
        "trainSet.txt",
        "valSet.txt",
        "testSet.txt",
        "AVE/*.mp4",
    ]
    (write_set(tmp_path) / "testSet.txt").unlink()
    with pytest.raises(DataError, match=r"missing testSet\.txt$"):
        load_ave(tmp_path, OPTIONS)


def test_all_bad_videos_are_named(tmp_path: Path) -> None:
    videos = write_set(tmp_path) / "AVE"
    (videos / "m1.mp4").unlink()
    (videos / "b3.mp4").write_bytes(LFS)
    write_video(videos / "m3.mp4")
    with pytest.raises(
        DataError, match=r"3 unusable: .*m1\.mp4: missing; .*b3.*LFS.*; .*m3\.mp4: a video without"
    ):
        load_ave(tmp_path, OPTIONS)


def test_an_event_behind_the_end_of_the_sound(tmp_path: Path) -> None:
    home = write_set(tmp_path)
    (home / "trainSet.txt").write_text("Church bell&b-1_x&good&7&9\nMale speech&m1&good&1&2\n")
    with pytest.raises(DataError, match="ends before second 7"):
        load_ave(tmp_path, OPTIONS)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("Church bell&b2&good&0&1", r"b2: in trainSet\.txt and in valSet\.txt"),
        ("Dog&m3&good&0&1", r"category 'Dog' is not in Annotations\.txt"),
        (
            "Church bell&b3&good&3&3\nMale speech&m3&good&x&1",
            "2 unusable: b3: event from 3 to 3.*; m3: start 'x'",
        ),
        ("Church bell&b3", "Church bell&b3: not 5 values"),
        (HEADER, "no training clip of Church bell, Male speech"),
    ],
)
def test_bad_lines_are_refused(tmp_path: Path, lines: str, complaint: str) -> None:
    (write_set(tmp_path) / "trainSet.txt").write_text(lines + "\n")
    with pytest.raises(DataError, match=complaint):
        load_ave(tmp_path, OPTIONS)
