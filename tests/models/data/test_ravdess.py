"""RAVDESS from its files, with OpenFace's tables or videos or neither, and from the archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.ravdess import (
    ACTION_UNITS,
    CLASSES,
    EMOTIONS,
    load_ravdess,
    missing_ravdess,
    read_action_units,
)
from avnir.models.data.registry import Options
from tests.models.data.files import LFS, write_sound, write_video

OPTIONS = Options(image_size=4, audio_size=8)
ACTORS = (1, 2, 21)


def takes() -> list[tuple[int, str]]:
    """Emotion and the name behind the modality: the six emotions, and surprise, by three actors."""
    return [
        (index, f"01-{emotion}-01-02-01-{actor:02}")
        for actor in ACTORS
        for index, emotion in enumerate((*EMOTIONS, "08"))
    ]


def write_sounds(folder: Path) -> None:
    for index, take in takes():
        path = folder / "Audio_Speech_Actors_01-24" / f"Actor_{take[-2:]}" / f"03-{take}.wav"
        write_sound(path, 300 + 100 * index, 48_000)


def write_tables(folder: Path) -> None:
    """Two frames each; unit i has the mean i + actor + emotion, but the last is always 0."""
    (folder / "FacialTracking").mkdir()
    for index, take in takes():
        mean = np.arange(len(ACTION_UNITS)) + int(take[-2:]) + index
        mean[-1] = 0
        lines = [", ".join(["frame", "success", *ACTION_UNITS])]
        lines += [", ".join(map(str, [0, 1, *(mean + change)])) for change in (-0.5, 0.5)]
        (folder / "FacialTracking" / f"01-{take}.csv").write_text("\n".join(lines))


def write_archive(folder: Path, **change: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "wave_mulaw": rng.integers(-127, 128, 18 * 700).astype(np.int8),
        "offsets": np.arange(19) * 700,
        "au": rng.uniform(0, 5, (18, 35)).astype(np.float32),
        "emotion": np.tile(np.arange(6, dtype=np.uint8), 3),
        "actor": np.repeat(np.array(ACTORS, dtype=np.uint8), 6),
        "sample_rate": np.int32(8000),
    }
    np.savez(folder / "ravdess_av.npz", **{**arrays, **change})


def test_action_units_are_35_in_openface_order() -> None:
    assert len(ACTION_UNITS) == 35
    assert (ACTION_UNITS[0], ACTION_UNITS[16], ACTION_UNITS[17], ACTION_UNITS[-2]) == (
        *("AU01_r", "AU45_r", "AU01_c", "AU28_c"),
    )


def test_tables_of_action_units(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    write_tables(tmp_path)
    data = load_ravdess(tmp_path, OPTIONS)
    assert (len(data.train), len(data.test)) == (12, 6)
    assert data.class_names == CLASSES
    assert sorted(data.test.labels) == list(range(6))
    image = data.train.inputs["image"]
    assert image.shape == (12, 35, 1, 1)
    actor = np.tile([0, 1], 6)
    assert image[:, 3, 0, 0] == pytest.approx((actor + data.train.labels) / 6)
    assert (data.test.inputs["image"][:, :-1] == 1).all()
    assert not image[:, -1].any()


def test_videos(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    for index, take in takes():
        write_video(tmp_path / "Video" / f"01-{take}.mp4", (0, 40 * index, 255))
    data = load_ravdess(tmp_path, OPTIONS)
    greys = 255 * data.test.inputs["image"].mean(axis=(1, 2, 3))
    assert greys == pytest.approx(40 * data.test.labels, abs=12)
    assert data.provenance["image"] == "middle frame of the video"


def test_sounds_alone(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    data = load_ravdess(tmp_path, OPTIONS)
    assert list(data.train.inputs) == ["audio"]
    assert data.test.inputs["audio"].shape == (6, 1, 8, 8)
    assert data.provenance["image"] == "none"


def test_the_archive(tmp_path: Path) -> None:
    write_archive(tmp_path)
    data = load_ravdess(tmp_path, OPTIONS)
    assert data.provenance["split"] == "by actor: 21 to 24 test"
    image = data.train.inputs["image"]
    assert image.shape == (12, 35, 1, 1)
    assert (image.min(axis=0) == 0).all()
    assert (image.max(axis=0) == 1).all()
    test = data.test.inputs["image"]
    assert 0 <= test.min() <= test.max() <= 1
    other = load_ravdess(tmp_path, Options(fold=0))
    assert (len(other.train), len(other.test)) == (6, 12)


def test_a_take_without_its_table_is_left_out_and_counted(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    write_tables(tmp_path)
    next(tmp_path.rglob("01-01-05-*-01.csv")).unlink()
    data = load_ravdess(tmp_path, OPTIONS)
    assert len(data.train) == 11
    assert data.provenance["left out, sound or picture missing"] == 1


def test_all_findings_at_once(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    write_tables(tmp_path)
    next(tmp_path.rglob("03-01-05-*-01.wav")).write_bytes(LFS)
    next(tmp_path.rglob("01-01-07-*-02.csv")).write_text("frame, AU01_r\n1, 2\n")
    next(tmp_path.rglob("01-01-06-*-02.csv")).write_text(", ".join(ACTION_UNITS) + "\n")
    with pytest.raises(DataError, match="3 unusable: ") as refusal:
        load_ravdess(tmp_path, OPTIONS)
    for complaint in ("Git-LFS pointer", "no column AU02_r, AU04_r", "no frames in it"):
        assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (LFS, "Git-LFS"),
        (b"", "no column AU01_r"),
        (",".join(ACTION_UNITS).encode() + b"\nx", "not a table of"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        read_action_units(tmp_path / "a.csv")


def test_names_that_do_not_parse(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    for name in ("03-01-09-01-02-01-01", "03-01-05-01-02-01-25"):
        write_sound(tmp_path / "Audio_Speech_Actors_01-24" / "Actor_01" / f"{name}.wav")
    with pytest.raises(DataError, match=r"2 unusable: 03-01-05-01-02-01-25.wav: not a name.*; 03-01-09"):
        load_ravdess(tmp_path, OPTIONS)


def test_nothing_there(tmp_path: Path) -> None:
    assert missing_ravdess(tmp_path) == ["ravdess_av.npz, or Audio_Speech_Actors_01-24/Actor_XX/*.wav"]
    with pytest.raises(DataError, match=r"missing ravdess_av\.npz"):
        load_ravdess(tmp_path, OPTIONS)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"au": np.zeros((18, 34), np.float32)}, "35 action units do not agree"),
        ({"actor": np.zeros(17, np.uint8)}, "do not agree"),
        ({"emotion": np.full(18, 6, np.uint8)}, "emotions must be 0 to 5"),
        ({"au": np.full((18, 35), np.nan, np.float32)}, "action units finite"),
        ({"actor": np.full(18, 1, np.uint8)}, "no test clip of angry"),
    ],
)
def test_a_bad_archive_is_refused(tmp_path: Path, change: dict[str, np.ndarray], complaint: str) -> None:
    write_archive(tmp_path, **change)
    with pytest.raises(DataError, match=complaint):
        load_ravdess(tmp_path, OPTIONS)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(Options(split="authors"), "RAVDESS has no split of authors"), (Options(fold=6), "fold 6 is not there")],
)
def test_what_there_is_not_is_refused(tmp_path: Path, options: Options, complaint: str) -> None:
    write_archive(tmp_path)
    with pytest.raises(DataError, match=complaint):
        load_ravdess(tmp_path, options)


@pytest.mark.data
def test_the_real_actors_are_apart(data_dir: Path) -> None:
    if missing_ravdess(data_dir):
        pytest.skip(f"no RAVDESS in {data_dir}")
    data = load_ravdess(data_dir, OPTIONS)
    assert (len(data.train), len(data.test)) == (880, 176)
    assert data.train.inputs["image"].shape == (880, 35, 1, 1)
