"""MNIST and FSDD from their original formats and from the archives, and every way they can be wrong."""

from __future__ import annotations

import gzip
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.fsdd import load_fsdd
from avnir.models.data.mnist import IDX_FILES, load_mnist, shrink
from avnir.models.data.mnist_fsdd import load_mnist_fsdd
from avnir.models.data.spectrogram import log_mel

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
Folder = Callable[[Path], None]


def mnist_arrays() -> dict[str, np.ndarray]:
    """Two training images and one test image of every digit."""
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (20, 28, 28)).astype(np.uint8),
        "y_train": np.repeat(np.arange(10, dtype=np.uint8), 2),
        "x_test": rng.integers(0, 256, (10, 28, 28)).astype(np.uint8),
        "y_test": np.arange(10, dtype=np.uint8),
    }


def clips() -> list[tuple[int, str, int, np.ndarray]]:
    """Digit, speaker, index and samples: of each digit one test and two training clips."""
    rng = np.random.default_rng(1)
    return [
        (digit, "theo", index, rng.integers(-9000, 9000, 500 + 40 * digit + index).astype(np.int16))
        for digit in range(10)
        for index in (4, 5, 49)
    ]


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_idx(folder: Path) -> None:
    for name, array in zip(IDX_FILES, mnist_arrays().values(), strict=True):
        (folder / name).write_bytes(idx_bytes(array))


def write_idx_gz(folder: Path) -> None:
    for name, array in zip(IDX_FILES, mnist_arrays().values(), strict=True):
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))


def write_mnist_npz(folder: Path) -> None:
    np.savez(folder / "mnist.npz", **mnist_arrays())


def write_wav(path: Path, samples: np.ndarray, rate: int = 8000, channels: int = 1, width: int = 2) -> None:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        file.writeframes(samples.tobytes())


def write_recordings(folder: Path) -> None:
    for digit, speaker, index, samples in clips():
        write_wav(folder / "recordings" / f"{digit}_{speaker}_{index}.wav", samples)


def fsdd_arrays() -> dict[str, np.ndarray]:
    waves = [samples for *_, samples in clips()]
    return {
        "wave": np.concatenate(waves),
        "offsets": np.cumsum([0, *map(len, waves)]),
        "digit": np.array([digit for digit, *_ in clips()], dtype=np.uint8),
        "index": np.array([index for _, _, index, _ in clips()], dtype=np.uint8),
        "sample_rate": np.int32(8000),
    }


def write_fsdd_npz(folder: Path) -> None:
    np.savez(folder / "fsdd.npz", **fsdd_arrays())


@pytest.mark.parametrize("write", [write_idx, write_idx_gz, write_mnist_npz])
def test_mnist_from_every_format(tmp_path: Path, write: Folder) -> None:
    write(tmp_path)
    train, test = load_mnist(tmp_path)
    arrays = mnist_arrays()
    assert np.array_equal(train.values, shrink(arrays["x_train"]))
    assert np.array_equal(test.values, shrink(arrays["x_test"]))
    assert np.array_equal(train.labels, arrays["y_train"])
    assert np.array_equal(test.labels, arrays["y_test"])


def test_shrinking_pads_and_averages() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 0, 0] = 255
    image[0, 26:, 26:] = 255
    small = shrink(image)[0, 0]
    assert small.shape == (16, 16)
    assert small[1, 1] == 0.25
    assert small[14, 14] == 1
    assert small.sum() == 1.25


@pytest.mark.parametrize("write", [write_recordings, write_fsdd_npz])
def test_fsdd_from_every_format(tmp_path: Path, write: Folder) -> None:
    write(tmp_path)
    train, test = load_fsdd(tmp_path)
    spectra = {(digit, index): log_mel(samples, 8000) for digit, _, index, samples in clips()}
    assert sorted(train.labels) == sorted([*range(10), *range(10)])
    assert list(test.labels) == list(range(10))
    assert np.array_equal(test.values[:, 0], np.stack([spectra[digit, 4] for digit in range(10)]))
    assert {picture.tobytes() for picture in train.values} == {
        spectra[digit, index].tobytes() for digit in range(10) for index in (5, 49)
    }


def test_pairs_stay_within_their_split(tmp_path: Path) -> None:
    write_idx(tmp_path)
    write_recordings(tmp_path)
    data = load_mnist_fsdd(tmp_path)
    spectra = {log_mel(samples, 8000).tobytes(): (digit, index) for digit, _, index, samples in clips()}
    for split, indices in ((data.train, {5, 49}), (data.test, {4})):
        said = [spectra[picture.tobytes()] for picture in split.inputs["audio"]]
        assert [digit for digit, _ in said] == list(split.labels)
        assert {index for _, index in said} == indices
    assert (len(data.train), len(data.test)) == (20, 10)


def test_everything_missing_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / IDX_FILES[1]).unlink()
    (tmp_path / IDX_FILES[2]).unlink()
    with pytest.raises(DataError) as refusal:
        load_mnist_fsdd(tmp_path)
    for name in ("mnist.npz", IDX_FILES[1], IDX_FILES[2], "fsdd.npz", "recordings/0_george_0.wav"):
        assert name in str(refusal.value)
    assert IDX_FILES[0] not in str(refusal.value)


@pytest.mark.parametrize("name", ["mnist.npz", IDX_FILES[0], f"{IDX_FILES[0]}.gz"])
def test_a_git_lfs_pointer_in_mnist_is_recognised(tmp_path: Path, name: str) -> None:
    write_idx(tmp_path)
    (tmp_path / IDX_FILES[0]).unlink()
    (tmp_path / name).write_bytes(LFS)
    with pytest.raises(DataError, match="Git-LFS pointer, not the data; run `git lfs pull`"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("name", ["fsdd.npz", "recordings/3_theo_4.wav"])
def test_a_git_lfs_pointer_in_fsdd_is_recognised(tmp_path: Path, name: str) -> None:
    write_recordings(tmp_path)
    (tmp_path / name).write_bytes(LFS)
    with pytest.raises(DataError, match="Git-LFS pointer"):
        load_fsdd(tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not an idx file of bytes with 3 dimensions"),
        (idx_bytes(np.zeros(4, np.uint8)), "not an idx file of bytes with 3 dimensions"),
        (idx_bytes(np.zeros((2, 28, 28), np.uint8))[:-1], "1583 bytes, but its header says 1584"),
        (idx_bytes(np.zeros((20, 27, 28), np.uint8)), r"images \(20, 27, 28\)"),
        (idx_bytes(np.zeros((19, 28, 28), np.uint8)), r"images \(19, 28, 28\) and labels \(20,\)"),
    ],
)
def test_a_bad_idx_file_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    write_idx(tmp_path)
    (tmp_path / IDX_FILES[0]).write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"plain", gzip.compress(b"x" * 999)[:-9], b"\x1f\x8b\x08" + b"\0" * 30],
    ids=["plain", "cut", "empty"],
)
def test_a_bad_gzip_file_is_refused(tmp_path: Path, content: bytes) -> None:
    write_idx_gz(tmp_path)
    (tmp_path / f"{IDX_FILES[0]}.gz").write_bytes(content)
    with pytest.raises(DataError, match="not a whole gzip file"):
        load_mnist(tmp_path)


def test_a_label_beyond_nine_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", **{**mnist_arrays(), "y_test": np.full(10, 10, np.uint8)})
    with pytest.raises(DataError, match="label 10, must be 0 to 9"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_an_unreadable_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"not a readable \.npz archive"):
        load_mnist(tmp_path)


def test_an_archive_with_pickles_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", **{**mnist_arrays(), "y_test": np.array([{}])})
    with pytest.raises(DataError, match=r"not a readable \.npz archive"):
        load_mnist(tmp_path)


def test_all_faults_of_an_archive_are_named(tmp_path: Path) -> None:
    arrays = mnist_arrays()
    del arrays["y_test"]
    arrays["x_train"] = arrays["x_train"].astype(np.float32)
    np.savez(tmp_path / "mnist.npz", **arrays)
    with pytest.raises(DataError, match=r"'x_train' is float32 .* must be uint8 .*'y_test' is missing"):
        load_mnist(tmp_path)


def test_all_unusable_recordings_are_named(tmp_path: Path) -> None:
    write_recordings(tmp_path)
    folder, samples = tmp_path / "recordings", np.zeros(400, np.int16)
    write_wav(folder / "0_theo_4.wav", samples, rate=16000)
    write_wav(folder / "1_theo_4.wav", samples, channels=2)
    write_wav(folder / "2_theo_4.wav", samples, width=1)
    write_wav(folder / "3_theo_4.wav", samples[:0])
    (folder / "4_theo_4.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="5 unusable files") as refusal:
        load_fsdd(tmp_path)
    message = str(refusal.value)
    assert "0_theo_4.wav: 16000 Hz" in message
    assert "1_theo_4.wav: 8000 Hz, 2 channels" in message
    assert "2_theo_4.wav: 8000 Hz, 1 channels, 8 bit" in message
    assert "3_theo_4.wav: 8000 Hz, 1 channels, 16 bit, 0 samples" in message
    assert "4_theo_4.wav: not a wav file" in message


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sample_rate": np.int32(16000)}, "16000 samples per second, must be 8000"),
        ({"digit": np.zeros(29, np.uint8)}, "29 digits, 30 indices and 31 offsets do not agree"),
        ({"digit": np.full(30, 10, np.uint8)}, "digits lie in 0 to 9"),
        ({"offsets": np.zeros(31, np.int64)}, "offsets must rise from 0"),
        ({"index": np.zeros(30, np.uint8)}, "no training recordings"),
    ],
)
def test_a_bad_recording_archive_is_refused(
    tmp_path: Path, change: dict[str, np.ndarray], complaint: str
) -> None:
    np.savez(tmp_path / "fsdd.npz", **{**fsdd_arrays(), **change})
    with pytest.raises(DataError, match=complaint):
        load_fsdd(tmp_path)


@pytest.mark.data
def test_the_real_data_have_their_official_sizes(data_dir: Path) -> None:
    data = load_mnist_fsdd(data_dir)
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert len({picture.tobytes() for picture in data.train.inputs["audio"]}) == 2700
    assert len({picture.tobytes() for picture in data.test.inputs["audio"]}) == 300
    assert not {p.tobytes() for p in data.train.inputs["audio"]} & {
        p.tobytes() for p in data.test.inputs["audio"]
    }
