"""UrbanSound8K-AV: sounds with pictures of their class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.registry import DataLeakWarning, Options
from avnir.models.data.urbansound8k import CLASSES
from avnir.models.data.us8k_av import load_us8k_av, missing_us8k_av
from tests.models.data.files import write_picture, write_sound

OPTIONS = Options(image_size=4, audio_size=8)
FOLDS = (1, 2, 10)


def colour(label: int, index: int) -> tuple[int, int, int]:
    return 20 * label, 50 * index, 200


def write_sounds(folder: Path) -> None:
    """Of each class a slice in the folds 1, 2 and 10."""
    table = ["slice_file_name,fsID,start,end,salience,fold,classID,class\n"]
    for label, name in enumerate(CLASSES):
        for fold in FOLDS:
            stem = f"{fold}{label}-{label}-0-0"
            write_sound(folder / "Dataset_v3_sound" / name / f"{stem}.wav", 300 + 100 * label)
            table.append(f"{stem}.wav,1,0,1,1,{fold},{label},{name}\n")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text("".join(table))


def write_pictures(folder: Path, named: bool) -> None:
    for label, name in enumerate(CLASSES):
        for index, fold in enumerate(FOLDS):
            stem = f"{fold}{label}-{label}-0-0" if named else f"picture{index}"
            write_picture(folder / "Dataset_v3_vision" / name / f"{stem}.png", colour(label, index))


def colours(images: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple((255 * image[:, 0, 0]).round().astype(int).tolist()) for image in images]


def test_pictures_by_the_name_of_the_slice(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    write_pictures(tmp_path, named=True)
    data = load_us8k_av(tmp_path, OPTIONS)
    assert data.train.inputs["image"].shape == (20, 3, 4, 4)
    assert data.test.inputs["audio"].shape == (10, 1, 8, 8)
    assert colours(data.test.inputs["image"]) == [colour(int(label), 2) for label in data.test.labels]


def test_pictures_dealt_by_class_stay_in_their_part(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    write_pictures(tmp_path, named=False)
    data = load_us8k_av(tmp_path, OPTIONS)
    for split in (data.train, data.test):
        seen = colours(split.inputs["image"])
        assert [red // 20 for red, *_ in seen] == list(split.labels)
    train, test = (set(colours(split.inputs["image"])) for split in (data.train, data.test))
    assert not train & test
    assert len(train | test) == 30


def test_the_authors_split_needs_no_table(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    write_pictures(tmp_path, named=True)
    (tmp_path / "metadata" / "UrbanSound8K.csv").unlink()
    with pytest.raises(DataError, match=r'missing metadata.*official folds.*split "authors"'):
        load_us8k_av(tmp_path, OPTIONS)
    with pytest.warns(DataLeakWarning, match="share a recording"):
        data = load_us8k_av(tmp_path, Options(image_size=4, audio_size=8, split="authors"))
    assert (len(data.train), len(data.test)) == (20, 10)
    assert data.provenance["split"] == "random 30 % of each class"


def test_nothing_there(tmp_path: Path) -> None:
    assert missing_us8k_av(tmp_path) == ["Dataset_v3_sound/CLASS/", "Dataset_v3_vision/CLASS/"]
    with pytest.raises(DataError, match="Dataset_v3_sound/CLASS/ and Dataset_v3_vision"):
        load_us8k_av(tmp_path, OPTIONS)


def test_all_bad_names_are_named(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    write_pictures(tmp_path, named=True)
    write_sound(tmp_path / "Dataset_v3_sound" / "siren" / "wail.wav")
    write_sound(tmp_path / "Dataset_v3_sound" / "zoo" / "1-1-0-0.wav")
    with pytest.raises(DataError, match=r"2 unusable: wail.wav: not a name.*; zoo: not a class"):
        load_us8k_av(tmp_path, OPTIONS)


def test_a_slice_without_its_picture_is_named(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    write_pictures(tmp_path, named=True)
    (tmp_path / "Dataset_v3_vision" / "siren" / "18-8-0-0.png").unlink()
    with pytest.raises(DataError, match=r"1 unusable: 18-8-0-0\.wav: no picture of this slice"):
        load_us8k_av(tmp_path, OPTIONS)


def test_a_class_with_one_picture_is_named(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    write_pictures(tmp_path, named=False)
    for index in (1, 2):
        (tmp_path / "Dataset_v3_vision" / "siren" / f"picture{index}.png").unlink()
    with pytest.raises(DataError, match="siren: 1 pictures, must be 2 or more"):
        load_us8k_av(tmp_path, OPTIONS)


def test_a_slice_that_the_table_does_not_know_is_named(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    write_pictures(tmp_path, named=True)
    write_sound(tmp_path / "Dataset_v3_sound" / "siren" / "99-8-0-0.wav")
    with pytest.raises(DataError, match="99-8-0-0: not in the table"):
        load_us8k_av(tmp_path, OPTIONS)
