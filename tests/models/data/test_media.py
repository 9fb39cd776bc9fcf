"""Sounds, pictures and frames from real files, and every way these can be damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avnir.errors import DataError
from avnir.models.data.media import read_all, read_frame, read_picture, read_sound, read_track, resize
from tests.models.data.files import LFS, tone, write_picture, write_sound, write_video


@pytest.mark.parametrize(
    ("name", "subtype", "error"),
    [
        ("a.wav", "PCM_U8", 1 / 127),
        ("a.wav", "PCM_16", 1 / 32767),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "FLOAT", 0),
        ("a.flac", "PCM_16", 1 / 32767),
    ],
)
def test_sounds_of_every_depth(tmp_path: Path, name: str, subtype: str, error: float) -> None:
    wave = tone(300)
    soundfile.write(tmp_path / name, wave, 8000, subtype=subtype)
    sound = read_sound(tmp_path / name)
    assert sound.rate == 8000
    assert sound.samples.dtype == np.float32
    assert np.abs(sound.samples - wave).max() <= error


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.tile([[0.5, 0.25]], (100, 1)), 44_100, subtype="FLOAT")
    sound = read_sound(tmp_path / "a.wav")
    assert (sound.samples == 0.375).all()


@pytest.mark.parametrize(
    "read", [read_sound, read_track, lambda p: read_frame(p, 4), lambda p: read_picture(p, 4)]
)
@pytest.mark.parametrize(
    ("content", "complaint"), [(LFS, "Git-LFS pointer"), (b"RIFFnonsense", "unreadable"), (None, "missing")]
)
def test_a_file_that_is_no_media_is_refused(
    tmp_path: Path, read, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        read(path)


def test_an_empty_or_infinite_sound_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.full(9, np.nan), 8000, subtype="FLOAT")
    with pytest.raises(DataError, match="no sound in it"):
        read_sound(tmp_path / "empty.wav")
    with pytest.raises(DataError, match="not finite"):
        read_sound(tmp_path / "nan.wav")


def test_a_cut_picture_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", side=64)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="unreadable"):
        read_picture(tmp_path / "a.png", 8)


def test_a_picture_is_rgb_in_the_unit_range(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", (255, 0, 51))
    picture = read_picture(tmp_path / "a.png", 4)
    assert picture.shape == (3, 4, 4)
    assert picture.dtype == np.float32
    assert np.array_equal(picture[:, 0, 0], np.float32([1, 0, 0.2]))


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mpeg4"), ("a.flv", "flv")])
@pytest.mark.parametrize(("second", "grey"), [(None, 120), (0, 30), (0.15, 120), (0.2, 220), (9, 220)])
def test_the_frame_of_a_second(
    tmp_path: Path, name: str, codec: str, second: float | None, grey: int
) -> None:
    write_video(tmp_path / name, codec=codec)
    frame = read_frame(tmp_path / name, 8, second)
    assert frame.shape == (3, 8, 8)
    assert abs(255 * frame.mean() - grey) < 12


def test_the_sound_of_a_video(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", sound=tone(1000, 44_100, 0.5))
    sound = read_track(tmp_path / "a.mp4")
    assert sound.rate == 44_100
    spectrum = np.abs(np.fft.rfft(sound.samples))
    assert abs(spectrum.argmax() * sound.rate / sound.samples.size - 1000) < 5


def test_what_a_container_lacks_is_said(tmp_path: Path) -> None:
    write_video(tmp_path / "mute.mp4")
    write_sound(tmp_path / "blind.wav")
    with pytest.raises(DataError, match="a video without sound"):
        read_track(tmp_path / "mute.mp4")
    with pytest.raises(DataError, match="only sound"):
        read_frame(tmp_path / "blind.wav", 8)


def test_resizing_averages_and_keeps_the_range() -> None:
    board = np.float32(np.indices((64, 64)).sum(axis=0) % 2)
    small = resize(board, 8)
    assert small.shape == (8, 8)
    assert np.abs(small - 0.5).max() < 0.02
    assert np.array_equal(resize(board, 64), board)


def test_all_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"22 unusable: .*file 19; and 2 more"):
        read_all(tmp_path, range(22), _refused)


def _refused(index: int) -> np.ndarray:
    raise DataError(f"file {index}")
