"""Spiking Heidelberg Digits from their HDF5 files, and every way these can be wrong."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.events import bin_events
from avnir.models.data.registry import Options
from avnir.models.data.shd import CLASSES, groups_shd, load_shd, read_shd

SPEAKERS = {"train": [0, 1, 0], "test": [1, 4]}
LABELS = {"train": [0, 19, 7], "test": [3, 12]}


def spikes(split: str, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds as float16, as the set has them, and units; of another length for each recording."""
    rng = np.random.default_rng([len(split), place])
    count = 40 + 7 * place
    return np.sort(rng.random(count)).astype(np.float16), rng.integers(0, 700, count).astype(np.int64)


def write(folder: Path) -> None:
    for split, labels in LABELS.items():
        with h5py.File(folder / f"shd_{split}.h5", "w") as file:
            rows = [spikes(split, place) for place in range(len(labels))]
            for column, (name, kind) in enumerate((("times", np.float16), ("units", np.uint16))):
                made = file.create_dataset(f"spikes/{name}", (len(rows),), h5py.vlen_dtype(kind))
                for place, row in enumerate(rows):
                    made[place] = row[column].astype(kind)
            file["labels"] = np.array(labels, dtype=np.uint16)
            file["extra/speaker"] = np.array(SPEAKERS[split], dtype=np.uint16)


def write_gz(folder: Path) -> None:
    write(folder)
    for path in list(folder.glob("*.h5")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize("make", [write, write_gz])
def test_both_formats_give_the_official_split(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    data = load_shd(tmp_path, Options(steps=5, audio_size=28))
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == (LABELS["train"], LABELS["test"])
    assert data.class_names == CLASSES
    assert len(set(CLASSES)) == 20
    for name, split in (("train", data.train), ("test", data.test)):
        assert split.inputs["audio"].shape == (len(split), 5, 1, 28, 28)
        for place, shown in enumerate(split.inputs["audio"]):
            seconds, unit = spikes(name, place)
            time = np.round(seconds.astype(np.float64) * 1e6).astype(np.int64)
            flat = shown.reshape(5, 784)
            assert np.array_equal(flat[:, :700], bin_events(time, unit, 5, 700))
            assert not flat[:, 700:].any()


def test_a_small_picture_lets_neighbours_share_a_cell(tmp_path: Path) -> None:
    write(tmp_path)
    train, _ = read_shd(tmp_path, steps=1, size=10)
    _, unit = spikes("train", 1)
    assert np.array_equal(train.values[1].ravel(), np.bincount(unit // 7, minlength=100))


def test_speakers_are_told(tmp_path: Path) -> None:
    write(tmp_path)
    train, test = groups_shd(tmp_path, Options())["speaker"]
    assert (train.tolist(), test.tolist()) == (SPEAKERS["train"], SPEAKERS["test"])


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"shd_train\.h5 or shd_train\.h5\.gz, shd_test\.h5 or"):
        load_shd(tmp_path, Options())


def few_labels(file: h5py.File) -> None:
    del file["labels"]
    file["labels"] = np.zeros(2, np.uint16)


def high_label(file: h5py.File) -> None:
    file["labels"][0] = 20


def no_units(file: h5py.File) -> None:
    del file["spikes/units"]


def text_units(file: h5py.File) -> None:
    del file["spikes/units"]
    file["spikes/units"] = ["one", "two", "three"]


def one_label(file: h5py.File) -> None:
    del file["labels"]
    file["labels"] = np.uint16(3)


def several(file: h5py.File) -> None:
    file["spikes/units"][0] = np.full(40, 700, np.uint16)
    file["spikes/units"][1] = np.zeros(3, np.uint16)
    file["spikes/times"][2] = np.full(54, np.nan, np.float16)


@pytest.mark.parametrize(
    ("change", "complaints"),
    [
        (few_labels, ["3 times, 3 units and 2 labels disagree"]),
        (high_label, ["labels 7 to 20, must lie in 0 to 19"]),
        (no_units, ["spikes/units: missing"]),
        (text_units, ["spikes/units: object of shape (3,) cannot be used"]),
        (one_label, ["labels: uint16 of shape () cannot be used"]),
        (
            several,
            [
                "3 unusable files",
                "recording 0: units must lie in 0 to 699",
                "recording 1: times (47,) and units (3,)",
                "recording 2: times must lie in 0 to 86400 seconds",
            ],
        ),
    ],
)
def test_a_bad_file_is_refused(
    tmp_path: Path, change: Callable[[h5py.File], None], complaints: list[str]
) -> None:
    write(tmp_path)
    with h5py.File(tmp_path / "shd_train.h5", "a") as file:
        change(file)
    with pytest.raises(DataError) as refusal:
        load_shd(tmp_path, Options())
    for complaint in complaints:
        assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"x" * 99)[:-4], gzip.compress(b"no HDF5")],
    ids=["plain", "cut", "no HDF5"],
)
def test_a_bad_gzip_file_is_refused(tmp_path: Path, content: bytes) -> None:
    write_gz(tmp_path)
    (tmp_path / "shd_train.h5.gz").write_bytes(content)
    with pytest.raises(DataError, match="not a whole HDF5 file"):
        load_shd(tmp_path, Options())
