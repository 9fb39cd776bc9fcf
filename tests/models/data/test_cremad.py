"""CREMA-D: names, actors apart, sound repeated to 3 s, the middle frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.audio import log_stft
from avnir.models.data.cremad import CLASSES, EMOTIONS, load_cremad, missing_cremad
from avnir.models.data.media import read_sound
from avnir.models.data.registry import DataLeakWarning, Options
from tests.models.data.files import LFS, write_sound, write_video

OPTIONS = Options(image_size=4, audio_size=8)
ACTORS = range(1001, 1007)


def write_clips(folder: Path) -> None:
    """Every emotion by six actors; the middle frame of the actor's own grey."""
    for actor in ACTORS:
        for index, emotion in enumerate(EMOTIONS):
            name = f"{actor}_DFA_{emotion}_XX"
            write_sound(folder / "AudioWAV" / f"{name}.wav", 300 + 100 * index, 16_000, 1.2)
            write_video(folder / "VideoFlash" / f"{name}.flv", (0, 30 * (actor - 1000), 255), codec="flv")


def test_actors_are_apart(tmp_path: Path) -> None:
    write_clips(tmp_path)
    data = load_cremad(tmp_path, OPTIONS)
    assert data.class_names == CLASSES
    assert data.train.inputs["image"].shape == (24, 3, 4, 4)
    assert data.test.inputs["audio"].shape == (12, 1, 8, 8)
    greys = 255 * data.test.inputs["image"].mean(axis=(1, 2, 3))
    assert greys == pytest.approx(np.repeat([30, 180], 6), abs=12)
    assert list(data.test.labels[:6]) == [EMOTIONS.index(e) for e in sorted(EMOTIONS)]


def test_another_fold_tests_other_actors(tmp_path: Path) -> None:
    write_clips(tmp_path)
    data = load_cremad(tmp_path, Options(image_size=4, audio_size=8, fold=3))
    assert 255 * data.test.inputs["image"].mean(axis=(1, 2, 3)) == pytest.approx(np.full(6, 120), abs=12)
    with pytest.raises(DataError, match="fold 5 is not there; the data have 0, 1, 2, 3, 4"):
        load_cremad(tmp_path, Options(fold=5))


def test_the_sound_is_repeated_to_three_seconds(tmp_path: Path) -> None:
    write_clips(tmp_path)
    sound = read_sound(tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav").samples
    tiled = np.concatenate([sound] * 3)[: 3 * 16_000]
    found = load_cremad(tmp_path, OPTIONS).test.inputs["audio"][0, 0]
    assert np.array_equal(found, log_stft(tiled, 16_000, 8))


def test_the_authors_split_warns(tmp_path: Path) -> None:
    write_clips(tmp_path)
    with pytest.warns(DataLeakWarning, match=r"6 of 6 test clips \(100 %\) share a speaker with training"):
        data = load_cremad(tmp_path, Options(image_size=4, audio_size=8, split="authors"))
    assert (len(data.train), len(data.test)) == (30, 6)


def test_a_clip_without_its_other_half_is_left_out_and_counted(tmp_path: Path) -> None:
    write_clips(tmp_path)
    (tmp_path / "VideoFlash" / "1002_DFA_SAD_XX.flv").unlink()
    data = load_cremad(tmp_path, OPTIONS)
    assert len(data.train) == 23
    assert data.provenance["left out, sound or video missing"] == 1


def test_all_findings_at_once(tmp_path: Path) -> None:
    write_clips(tmp_path)
    (tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav").write_bytes(LFS)
    (tmp_path / "VideoFlash" / "1003_DFA_HAP_XX.flv").write_bytes(b"FLV")
    with pytest.raises(
        DataError, match=r"2 unusable: .*HAP_XX.flv: unreadable.*ANG_XX.wav: a Git-LFS pointer"
    ):
        load_cremad(tmp_path, OPTIONS)


def test_names_that_do_not_parse(tmp_path: Path) -> None:
    write_clips(tmp_path)
    for name in ("1001_DFA_XXX_XX", "notes"):
        write_sound(tmp_path / "AudioWAV" / f"{name}.wav")
    with pytest.raises(DataError, match=r"2 unusable: 1001_DFA_XXX_XX: not a name like .*; notes: not"):
        load_cremad(tmp_path, OPTIONS)


def test_nothing_there_and_nothing_in_common(tmp_path: Path) -> None:
    assert missing_cremad(tmp_path) == ["AudioWAV/*.wav", "VideoFlash/*.flv"]
    with pytest.raises(DataError, match=r"missing AudioWAV/\*\.wav and VideoFlash"):
        load_cremad(tmp_path, OPTIONS)
    write_sound(tmp_path / "AudioWAV" / "1001_DFA_ANG_XX.wav")
    write_video(tmp_path / "VideoFlash" / "1001_DFA_SAD_XX.flv", codec="flv")
    with pytest.raises(DataError, match="no clip has its sound"):
        load_cremad(tmp_path, OPTIONS)


def test_absent_emotions_are_named(tmp_path: Path) -> None:
    write_clips(tmp_path)
    for path in tmp_path.rglob("*_SAD_XX.*"):
        path.unlink()
    with pytest.raises(DataError, match="no training clip of sad; no test clip of sad"):
        load_cremad(tmp_path, OPTIONS)
