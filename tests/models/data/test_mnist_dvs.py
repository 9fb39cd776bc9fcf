"""MNIST-DVS from AEDAT 2.0 recordings, and every way they can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.events import CameraEvents, camera_frames
from avnir.models.data.mnist_dvs import load_mnist_dvs, missing_mnist_dvs, read_aedat, recordings

HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# created Wed Dec 11 12:00:00 2013\r\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


def words(*values: int) -> bytes:
    return np.array(values, ">u4").tobytes()


def recording(seed: int, count: int = 40) -> tuple[bytes, CameraEvents]:
    """The bytes behind the header, and the events that they say."""
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.integers(0, 90_000, count))
    x, y, off = (rng.integers(0, limit, count) for limit in (128, 128, 2))
    pairs = np.stack([y << 8 | x << 1 | off, time], axis=1)
    return words(*pairs.ravel()), CameraEvents(time, 127 - x, y, 1 - off)


def seed_of(digit: int, scale: int, number: int) -> int:
    return digit * 100_000 + scale * 1000 + number


def write(folder: Path, scales: tuple[int, ...] = (4, 16), numbers: tuple[int, ...] = (1, 900, 901)) -> None:
    for digit in range(10):
        for scale in scales:
            place = folder / f"grabbed_data{digit}" / f"scale{scale}"
            place.mkdir(parents=True)
            for number in numbers:
                data, _ = recording(seed_of(digit, scale, number))
                (place / f"mnist_{digit}_scale{scale:02d}_{number:04d}.aedat").write_bytes(HEADER + data)


def frames(digit: int, scale: int, number: int, size: int) -> np.ndarray:
    return camera_frames(recording(seed_of(digit, scale, number))[1], 128, 4, size)


def test_digits_above_900_test_at_every_size(tmp_path: Path) -> None:
    write(tmp_path)
    train, test = load_mnist_dvs(tmp_path, steps=4, size=32)
    wanted = [(digit, scale, number) for digit in range(10) for scale in (4, 16) for number in (1, 900)]
    assert np.array_equal(train.values, np.stack([frames(*one, 32) for one in wanted]))
    assert train.labels.tolist() == [digit for digit, *_ in wanted]
    assert np.array_equal(
        test.values, np.stack([frames(digit, scale, 901, 32) for digit in range(10) for scale in (4, 16)])
    )


def test_the_authors_take_one_size(tmp_path: Path) -> None:
    write(tmp_path / "MNIST-DVS", scales=(8, 16))
    train, test = load_mnist_dvs(tmp_path, size=28, split="authors")
    assert np.array_equal(test.values, np.stack([frames(digit, 8, 901, 28) for digit in range(10)]))
    assert len(train.labels) == 20


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, scales=(4,))
    (tmp_path / "grabbed_data0/scale4/notes.aedat").write_bytes(b"")
    assert len(recordings(tmp_path)) == 30


def test_an_event_is_read_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "one.aedat"
    path.write_bytes(HEADER + words(0x0503, 7, 0x7FFE, 0xFFFFFFFF, 0x8000, 9))
    events = read_aedat(path)
    assert (events.x.tolist(), events.y.tolist()) == ([126, 0], [5, 127])
    assert (events.on.tolist(), events.time.tolist()) == ([0, 1], [7, 0xFFFFFFFF])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert missing_mnist_dvs(tmp_path)[0].startswith("grabbed_data0/scale4/mnist_0_scale04_0001.aedat")
    write(tmp_path, scales=(4,), numbers=(1, 901))
    (tmp_path / "grabbed_data3/scale4/mnist_3_scale04_0901.aedat").unlink()
    (tmp_path / "grabbed_data7/scale4/mnist_7_scale04_0001.aedat").unlink()
    with pytest.raises(
        DataError, match=r"digit 3 with a number above 0900, .*digit 7 with a number up to 0900"
    ):
        load_mnist_dvs(tmp_path)


def test_all_unusable_recordings_are_named(tmp_path: Path) -> None:
    write(tmp_path, scales=(4,))
    wrong = {
        0: (LFS, "Git-LFS pointer"),
        1: (b"#!AER-DAT3.1\r\n", "AEDAT 2.0 is read, no other format"),
        2: (HEADER, "0 bytes of events"),
        3: (HEADER + bytes(12), "12 bytes of events, must be a multiple of 8"),
        4: (HEADER + words(0x10000, 0), "address 65536 is not one of a DVS128"),
        5: (b"#!AER-DAT2.0", "0 bytes of events"),
    }
    for digit, (content, _) in wrong.items():
        (tmp_path / f"grabbed_data{digit}/scale4/mnist_{digit}_scale04_0001.aedat").write_bytes(content)
    with pytest.raises(DataError, match="6 unusable files") as refusal:
        load_mnist_dvs(tmp_path)
    for _, complaint in wrong.values():
        assert complaint in str(refusal.value)
