"""ESC-10 from ESC-50's folder and from the archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.audio import from_mu_law, log_mel, log_stft
from avnir.models.data.esc10 import CATEGORIES, load_esc10, missing_esc10
from avnir.models.data.registry import DataLeakWarning
from tests.models.data.files import LFS, write_sound

HEADER = "filename,fold,target,category,esc10,src_file,take\n"


def names() -> list[tuple[str, int, str]]:
    """Name, fold and category: of each class a clip in every fold, those of folds 4 and 5 of one source."""
    return [
        (f"{fold}-{min(fold, 4)}{index}-A-{index}.wav", fold, category)
        for index, category in enumerate(CATEGORIES)
        for fold in range(1, 6)
    ]


def write_folder(folder: Path) -> None:
    """The ten classes as tones, and a clip of ESC-50 that is none of them and has no file."""
    rows = [f"{n},{f},0,{c},True,{n.split('-')[1]},A\n" for n, f, c in names()]
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "esc50.csv").write_text(HEADER + "1-1-A-9.wav,1,9,crow,False,1,A\n" + "".join(rows))
    for name, _, category in names():
        write_sound(folder / "audio" / name, 200 + 150 * CATEGORIES.index(category), 44_100, 0.2)


def write_archive(folder: Path, **change: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "wave_mulaw": rng.integers(-127, 128, (50, 800)).astype(np.int8),
        "label": np.repeat(np.arange(10, dtype=np.uint8), 5),
        "fold": np.tile(np.arange(1, 6, dtype=np.uint8), 10),
        "clip": np.array([f"{f}-{min(f, 4)}{i:05}-A" for i in range(10) for f in range(1, 6)]).astype("<U10"),
        "sample_rate": np.int32(8000),
    }
    np.savez(folder / "esc10.npz", **{**arrays, **change})


def test_the_folder(tmp_path: Path) -> None:
    write_folder(tmp_path)
    train, test = load_esc10(tmp_path, 16)
    assert (train.values.shape, test.values.shape) == ((40, 1, 16, 16), (10, 1, 16, 16))
    assert list(test.labels) == list(range(10))
    loudest = test.values[:, 0].mean(axis=2).argmax(axis=1)
    assert (np.diff(loudest) >= 0).all()
    assert loudest[-1] > loudest[0]


def test_the_archive(tmp_path: Path) -> None:
    write_archive(tmp_path)
    train, test = load_esc10(tmp_path, 8, fold=2, feature=log_stft)
    waves = np.load(tmp_path / "esc10.npz")["wave_mulaw"]
    assert np.array_equal(test.values[3, 0], log_stft(from_mu_law(waves[16]), 8000, 8))
    assert np.array_equal(train.values[0], load_esc10(tmp_path, 8, fold=1, feature=log_stft)[1].values[0])


def test_original_files_go_before_the_archive(tmp_path: Path) -> None:
    write_archive(tmp_path)
    archived = load_esc10(tmp_path, 8)[1].values
    write_folder(tmp_path)
    assert not np.array_equal(load_esc10(tmp_path, 8)[1].values, archived)


@pytest.mark.parametrize("write", [write_folder, write_archive])
def test_a_random_split_warns(tmp_path: Path, write) -> None:
    write(tmp_path)
    with pytest.warns(DataLeakWarning, match="of 10 test clips .* share a source recording"):
        train, test = load_esc10(tmp_path, 8, split="authors")
    assert (len(train.labels), list(test.labels)) == (40, list(range(10)))


def test_nothing_there(tmp_path: Path) -> None:
    assert missing_esc10(tmp_path) == ["esc10.npz, or meta/esc50.csv and audio/*.wav of ESC-50"]
    with pytest.raises(DataError, match=r"missing esc10\.npz, or meta"):
        load_esc10(tmp_path)


def test_all_bad_sounds_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    sounds = [tmp_path / "audio" / name for name, *_ in names()[:3]]
    sounds[0].unlink()
    sounds[1].write_bytes(LFS)
    sounds[2].write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"3 unusable: .*0\.wav: missing; .*Git-LFS pointer.*; .*unreadable"):
        load_esc10(tmp_path, 8)


def test_all_bad_rows_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    rows = "a.wav,6,0,dog,True,1,A\nb.wav,1,0,wolf,True,1,A\n"
    (tmp_path / "meta" / "esc50.csv").write_text(HEADER + rows)
    with pytest.raises(DataError, match=r"a.wav: fold '6', must be 1 to 5; b.wav: category 'wolf'"):
        load_esc10(tmp_path, 8)


def test_an_absent_class_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    table = tmp_path / "meta" / "esc50.csv"
    table.write_text("\n".join(line for line in table.read_text().splitlines() if ",rain," not in line))
    with pytest.raises(DataError, match="no training clip of rain; no test clip of rain"):
        load_esc10(tmp_path, 8)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"label": np.full(50, 10, np.uint8)}, "label 10, must be 0 to 9"),
        ({"fold": np.zeros(49, np.uint8)}, "50 clips, 50 labels, 49 folds and 50 names do not agree"),
        ({"clip": np.full(50, "xx", "<U10")}, "clip name 'xx'"),
    ],
)
def test_a_bad_archive_is_refused(tmp_path: Path, change: dict[str, np.ndarray], complaint: str) -> None:
    write_archive(tmp_path, **change)
    with pytest.raises(DataError, match=complaint):
        load_esc10(tmp_path, 8)


@pytest.mark.parametrize(
    ("option", "complaint"), [({"fold": 6}, "fold 6 is not there"), ({"split": "x"}, "'x'")]
)
def test_an_unknown_option_is_refused(tmp_path: Path, option, complaint: str) -> None:
    write_archive(tmp_path)
    with pytest.raises(DataError, match=complaint):
        load_esc10(tmp_path, 8, **option)


@pytest.mark.data
def test_the_real_clips_keep_their_folds(data_dir: Path) -> None:
    if missing_esc10(data_dir):
        pytest.skip(f"no ESC-10 in {data_dir}")
    train, test = load_esc10(data_dir, 8, feature=log_mel)
    assert (np.bincount(train.labels) == 32).all()
    assert (np.bincount(test.labels) == 8).all()
