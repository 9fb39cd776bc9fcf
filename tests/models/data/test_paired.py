"""Any folder of pictures and sounds: by folders, by a table, in every form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.paired import load_paired, missing_paired, read_array
from avnir.models.data.registry import Options
from tests.models.data.files import LFS, tone, write_picture, write_sound, write_video

OPTIONS = Options(image_size=4, audio_size=8)
ALL = ("cat/1", "cat/2", "dog/1", "dog/2")
TABLE = "name,split\ncat/1,train\ncat/2,test\ndog/1,train\ndog/2,test\n"


def write_sample(folder: Path, name: str, red: int = 255) -> None:
    write_picture(folder / f"{name}.png", (red, 0, 0))
    write_sound(folder / f"{name}.wav")


def write_table(folder: Path, table: str = TABLE) -> None:
    for index, name in enumerate(ALL):
        write_sample(folder, name, 50 * index)
    (folder / "split.csv").write_text(table)


def test_by_folders(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("cat/1", "dog/1"):
            write_sample(tmp_path / part, name)
    data = load_paired(tmp_path, OPTIONS)
    assert data.class_names == ("cat", "dog")
    assert list(data.train.labels) == list(data.test.labels) == [0, 1]
    assert data.train.inputs["image"].shape == (2, 3, 4, 4)
    assert data.train.inputs["audio"].shape == (2, 1, 8, 8)


def test_by_a_table(tmp_path: Path) -> None:
    write_table(tmp_path)
    data = load_paired(tmp_path, OPTIONS)
    assert (255 * data.train.inputs["image"][:, 0, 0, 0]).round().tolist() == [0, 100]
    assert (255 * data.test.inputs["image"][:, 0, 0, 0]).round().tolist() == [50, 150]


def test_a_video_gives_both_or_its_picture(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_video(tmp_path / part / "cat" / "1.mp4", sound=tone(440, 44_100))
        write_video(tmp_path / part / "dog" / "1.mp4", (9, 200, 9))
        write_sound(tmp_path / part / "dog" / "1.flac")
    data = load_paired(tmp_path, OPTIONS)
    assert 255 * data.test.inputs["image"].mean(axis=(1, 2, 3)) == pytest.approx([120, 200], abs=12)


def test_events(tmp_path: Path) -> None:
    events = np.random.default_rng(0).integers(0, 3, (5, 2, 6, 6)).astype(np.uint8)
    for part in ("train", "test"):
        write_sound(tmp_path / part / "cat" / "1.wav")
        np.save(tmp_path / part / "cat" / "1.npy", events)
    data = load_paired(tmp_path, OPTIONS)
    assert data.train.inputs["image"].dtype == np.uint8
    assert np.array_equal(data.train.inputs["image"][0], events)


def test_arrays_of_different_forms_are_refused(tmp_path: Path) -> None:
    for side, part in ((4, "train"), (5, "test")):
        write_sound(tmp_path / part / "cat" / "1.wav")
        np.save(tmp_path / part / "cat" / "1.npy", np.zeros((side, side), np.uint8))
    with pytest.raises(DataError, match=r"different forms: float32 \[1, 4, 4\], float32 \[1, 5, 5\]"):
        load_paired(tmp_path, OPTIONS)


@pytest.mark.parametrize(
    ("array", "shape", "most"),
    [
        (np.full((2, 3), 51, np.uint8), (1, 2, 3), 0.2),
        (np.full((3, 2, 3), 255, np.uint8), (3, 2, 3), 1),
        (np.full((3, 2, 3), 0.5, np.float32), (3, 2, 3), 0.5),
    ],
)
def test_arrays_of_pictures(tmp_path: Path, array: np.ndarray, shape: tuple[int, ...], most: float) -> None:
    np.save(tmp_path / "a.npy", array)
    picture = read_array(tmp_path / "a.npy")
    assert (picture.shape, picture.dtype) == (shape, np.float32)
    assert picture.max() == pytest.approx(most)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((2, 2)), r"float64 \[2, 2\], must be uint8 or float32"),
        (np.zeros(4, np.uint8), r"uint8 \[4\]"),
        (np.full((2, 2), 1.5, np.float32), "values from 1.5 to 1.5, must lie in 0 to 1"),
        (np.full((2, 2), np.nan, np.float32), "must lie in 0 to 1"),
        (np.array([{}]), "not a readable npy"),
    ],
)
def test_a_bad_array_is_refused(tmp_path: Path, array: np.ndarray, complaint: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=complaint):
        read_array(tmp_path / "a.npy")


def test_nothing_there(tmp_path: Path) -> None:
    assert missing_paired(tmp_path) == ["split.csv beside folders of classes, or train/CLASS and test/CLASS"]
    with pytest.raises(DataError, match=r"missing split\.csv"):
        load_paired(tmp_path, OPTIONS)
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
    with pytest.raises(DataError, match="no pictures and sounds in train/CLASS"):
        load_paired(tmp_path, OPTIONS)


def test_incomplete_samples_are_named(tmp_path: Path) -> None:
    write_table(tmp_path)
    (tmp_path / "cat" / "1.wav").unlink()
    (tmp_path / "dog" / "1.png").unlink()
    write_picture(tmp_path / "dog" / "2.jpg")
    with pytest.raises(
        DataError, match=r"cat/1: 0 sounds.*; dog/1: 0 pictures.*; dog/2: 2 pictures, must be one"
    ):
        load_paired(tmp_path, OPTIONS)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (TABLE.replace("cat/1,train\n", ""), r"cat/1: not in split\.csv"),
        (TABLE + "cow/1,test\n", r"cow/1: in split\.csv, but there is no file"),
        (TABLE + "cat/1,test\n", "cat/1: both train and test"),
        (TABLE.replace("1,train", "1,dev"), "2 unusable: cat/1: split 'dev', must be train or test; dog/1"),
        (TABLE.replace("dog/2,test", "dog/2,train"), "no test clip of dog"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, table: str, complaint: str) -> None:
    write_table(tmp_path, table)
    with pytest.raises(DataError, match=complaint):
        load_paired(tmp_path, OPTIONS)


def test_all_bad_files_are_named(tmp_path: Path) -> None:
    write_table(tmp_path)
    (tmp_path / "cat" / "1.png").write_bytes(LFS)
    (tmp_path / "dog" / "2.wav").write_bytes(b"x")
    with pytest.raises(DataError, match=r"2 unusable: .*1.png: a Git-LFS pointer.*; .*2.wav: unreadable"):
        load_paired(tmp_path, OPTIONS)
