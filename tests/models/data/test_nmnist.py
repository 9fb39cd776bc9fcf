"""N-MNIST from its .bin files and from the archive, and every way they can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.events import CameraEvents, camera_frames
from avnir.models.data.nmnist import archived_events, load_nmnist, missing_nmnist, read_bin

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


def recording(seed: int, count: int = 50) -> CameraEvents:
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.integers(0, 9000, count))
    x, y, on = (rng.integers(0, limit, count) for limit in (34, 34, 2))
    return CameraEvents(time, x, y, on)


def bin_bytes(events: CameraEvents) -> bytes:
    """Each event as x, y, and 24 bits big-endian: polarity, then time."""
    columns = zip(events.x, events.y, events.on, events.time, strict=True)
    return b"".join(bytes([x, y]) + int(on << 23 | t).to_bytes(3, "big") for x, y, on, t in columns)


def write_files(folder: Path) -> None:
    """Two training recordings and one for the test of every digit; the seed is digit * 10 + number."""
    for split, numbers in (("Train", (1, 2)), ("Test", (3,))):
        for digit in range(10):
            place = folder / split / str(digit)
            place.mkdir(parents=True)
            for number in numbers:
                (place / f"{number:05d}.bin").write_bytes(bin_bytes(recording(digit * 10 + number)))


def archive_arrays() -> dict[str, np.ndarray]:
    clips = [(digit, number) for digit in range(10) for number in (1, 2, 3)]
    made = [recording(digit * 10 + number) for digit, number in clips]
    return {
        "x": np.concatenate([one.x for one in made]).astype(np.uint8),
        "y": np.concatenate([one.y for one in made]).astype(np.uint8),
        "p": np.concatenate([one.on for one in made]).astype(np.uint8),
        "dt_us": np.concatenate([np.diff(one.time, prepend=0) for one in made]).astype(np.uint16),
        "offsets": np.arange(31) * 50,
        "label": np.array([digit for digit, _ in clips], dtype=np.uint8),
        "is_test": np.array([number == 3 for _, number in clips]),
    }


def write_archive(folder: Path) -> None:
    np.savez(folder / "nmnist_small.npz", **archive_arrays())


def write_nested(folder: Path) -> None:
    write_files(folder / "N-MNIST")


@pytest.mark.parametrize("write", [write_files, write_nested, write_archive])
@pytest.mark.parametrize("size", [34, 28])
def test_every_format_gives_the_same_frames(tmp_path: Path, write, size: int) -> None:
    write(tmp_path)
    train, test = load_nmnist(tmp_path, steps=4, size=size)
    assert train.labels.tolist() == [digit for digit in range(10) for _ in range(2)]
    assert test.labels.tolist() == list(range(10))
    for samples, numbers in ((train, (1, 2)), (test, (3,))):
        seeds = [digit * 10 + number for digit in range(10) for number in numbers]
        assert np.array_equal(
            samples.values, np.stack([camera_frames(recording(s), 34, 4, size) for s in seeds])
        )


def test_an_event_is_read_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "one.bin"
    path.write_bytes(bytes([3, 33, 0b1000_0001, 2, 3, 4, 5, 0b0111_1111, 255, 255]))
    events = read_bin(path)
    assert (events.x.tolist(), events.y.tolist(), events.on.tolist()) == ([3, 4], [33, 5], [1, 0])
    assert events.time.tolist() == [0x010203, 0x7FFFFF]


def test_a_clock_that_ran_over_delays_what_follows(tmp_path: Path) -> None:
    path = tmp_path / "one.bin"
    path.write_bytes(bytes([1, 1, 0, 0, 9, 0, 240, 0, 0, 0, 2, 2, 0, 0, 1]))
    events = read_bin(path)
    assert (events.time.tolist(), events.x.tolist()) == ([9, 8193], [1, 2])


def test_recordings_go_before_the_archive(tmp_path: Path) -> None:
    write_files(tmp_path)
    (tmp_path / "nmnist_small.npz").write_bytes(b"damaged")
    assert len(load_nmnist(tmp_path)[0].labels) == 20


def test_every_missing_folder_is_named(tmp_path: Path) -> None:
    assert missing_nmnist(tmp_path) == ["nmnist_small.npz, or Train/0 to Test/9 with .bin files"]
    write_files(tmp_path)
    (tmp_path / "Train/4/00001.bin").unlink()
    (tmp_path / "Train/4/00002.bin").unlink()
    (tmp_path / "Test/9/00003.bin").unlink()
    with pytest.raises(DataError, match=r"missing Train/4 with \.bin files, Test/9 with \.bin files"):
        load_nmnist(tmp_path)


def test_all_unusable_recordings_are_named(tmp_path: Path) -> None:
    write_files(tmp_path)
    wrong = {"0/00001": LFS, "1/00001": bytes(4), "2/00001": b"", "3/00001": bytes([34, 0, 0, 0, 0])}
    for name, content in wrong.items():
        (tmp_path / "Train" / f"{name}.bin").write_bytes(content)
    with pytest.raises(DataError, match="4 unusable files") as refusal:
        load_nmnist(tmp_path)
    for said in ("Git-LFS pointer", "4 bytes, must be a multiple of 5", "0 bytes", "pixel beyond 34x34"):
        assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"offsets": np.arange(31) * 49}, "offsets must rise from 0 to 1500, one more than the 30 labels"),
        ({"offsets": np.arange(30) * 50}, "offsets must rise"),
        ({"offsets": np.zeros(0, np.int64)}, "offsets must rise"),
        ({"x": np.zeros(1499, np.uint8)}, "x, y, p and dt_us must have one length"),
        ({"is_test": np.zeros(30, np.bool_)}, "is_test must have 30 entries, of both kinds"),
        ({"is_test": np.ones(3, np.bool_)}, "is_test must have 30 entries"),
        ({"y": np.full(1500, 34, np.uint8)}, "x and y lie in 0 to 33, p in 0 to 1, label in 0 to 9"),
        ({"p": np.full(1500, 2, np.uint8)}, "p in 0 to 1"),
        ({"label": np.full(30, 10, np.uint8)}, "label in 0 to 9"),
    ],
)
def test_a_bad_archive_is_refused(tmp_path: Path, change: dict[str, np.ndarray], complaint: str) -> None:
    np.savez(tmp_path / "nmnist_small.npz", **{**archive_arrays(), **change})
    with pytest.raises(DataError, match=complaint):
        load_nmnist(tmp_path)


@pytest.mark.data
def test_the_real_archive_has_its_events(data_dir: Path) -> None:
    events = list(archived_events(data_dir / "nmnist_small.npz"))
    assert len(events) == 1100
    assert sum(one.time.size for one in events) == 4_518_827
    for one in events[:40]:
        assert 290_000 < one.time[-1] < 320_000
        frames = camera_frames(one, 34, 4, 28)
        assert frames.sum() == one.time.size
