"""N-TIDIGITS18 from its HDF5 file, and every way it can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.events import bin_events
from avnir.models.data.n_tidigits import load_n_tidigits, speakers

WORDS = ["z", *"123456789", "o", "12", "3z"]
SPEAKERS = {"train": ["man-ae", "woman-bb"], "test": ["man-zz"]}


def spikes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Times in whole microseconds and channels."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.integers(0, 20_000, 60)), rng.integers(0, 64, 60)


def labels(split: str) -> list[str]:
    return [f"{speaker}-a-{word}" for speaker in SPEAKERS[split] for word in WORDS]


def fixed(listed: list[str]) -> np.ndarray:
    return np.array([label.encode() for label in listed])


def of_any_length(listed: list[str]) -> list[str]:
    return listed


def write(folder: Path, text: Callable[[list[str]], object] = fixed) -> Path:
    path = folder / "n-tidigits.hdf5"
    with h5py.File(path, "w") as file:
        for split in SPEAKERS:
            file[f"{split}_labels"] = text(labels(split))
            for place, label in enumerate(labels(split)):
                time, channel = spikes(place)
                file[f"{split}_timestamps/{label}"] = time / 1e6
                file[f"{split}_addresses/{label}"] = channel.astype(np.float64)
    return path


@pytest.mark.parametrize("text", [fixed, of_any_length])
def test_single_digits_without_oh_are_taken(tmp_path: Path, text: Callable[[list[str]], object]) -> None:
    write(tmp_path, text)
    train, test = load_n_tidigits(tmp_path, steps=4, size=28)
    assert train.labels.tolist() == [*range(10), *range(10)]
    assert test.labels.tolist() == list(range(10))
    assert train.values.shape == (20, 4, 1, 28, 28)


@pytest.mark.parametrize("size", [8, 28, 4])
def test_channels_are_blocks_of_an_8x8_grid(tmp_path: Path, size: int) -> None:
    write(tmp_path)
    train, _ = load_n_tidigits(tmp_path, steps=4, size=size)
    grid = bin_events(*spikes(3), 4, 64).reshape(4, 8, 8)
    for row in range(size):
        for column in range(size):
            shown = train.values[3, :, 0, row, column]
            assert np.array_equal(shown, grid[:, 8 * row // size, 8 * column // size])


def test_no_speaker_is_in_both_splits(tmp_path: Path) -> None:
    write(tmp_path)
    train, test = speakers(tmp_path)
    assert train.tolist() == ["man-ae"] * 10 + ["woman-bb"] * 10
    assert test.tolist() == ["man-zz"] * 10


def lack_test(file: h5py.File) -> None:
    del file["test_labels"], file["test_addresses"]


def only_sequences(file: h5py.File) -> None:
    del file["train_labels"]
    file["train_labels"] = np.array([b"man-ae-a-12"])


def no_text(file: h5py.File) -> None:
    del file["train_labels"]
    file["train_labels"] = np.array([b"\xff-1"])


def several(file: h5py.File) -> None:
    del file["train_timestamps/man-ae-a-1"], file["train_addresses/man-ae-a-2"]
    file["train_addresses/man-ae-a-2"] = np.full(60, 64.0)
    del file["train_addresses/man-ae-a-3"]
    file["train_addresses/man-ae-a-3"] = np.zeros(59)
    del file["train_timestamps/man-ae-a-4"]
    file["train_timestamps/man-ae-a-4"] = h5py.ExternalLink("elsewhere.hdf5", "/x")
    del file["train_timestamps/man-ae-a-5"]
    file["train_timestamps/man-ae-a-5"] = np.array([b"text"])
    file["train_timestamps/man-ae-a-7"][0] = np.inf
    del file["train_timestamps/man-ae-a-6"]
    file.create_dataset("train_timestamps/man-ae-a-6", (60,), "f8", external=[("elsewhere.bin", 0, 480)])


@pytest.mark.parametrize(
    ("change", "complaints"),
    [
        (lack_test, ["test_labels, test_addresses missing"]),
        (no_text, ["train_labels: not text in UTF-8"]),
        (only_sequences, ["train_labels has no single digit among 1 labels"]),
        (
            several,
            [
                "7 unusable",
                "train_timestamps/man-ae-a-1: missing",
                "man-ae-a-2: channels must lie in 0 to 63",
                r"man-ae-a-3: times (60,) and channels (59,), must be [E] and [E]",
                "train_timestamps/man-ae-a-4: missing, or a link to another place",
                "train_timestamps/man-ae-a-5: |S4 of shape (1,) cannot be used",
                "man-ae-a-7: times must lie in 0 to 86400 seconds",
                "train_timestamps/man-ae-a-6: its values lie in another file",
            ],
        ),
    ],
)
def test_a_bad_file_is_refused(
    tmp_path: Path, change: Callable[[h5py.File], None], complaints: list[str]
) -> None:
    with h5py.File(write(tmp_path), "a") as file:
        change(file)
    with pytest.raises(DataError) as refusal:
        load_n_tidigits(tmp_path)
    for complaint in complaints:
        assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "Git-LFS pointer"),
        (b"no HDF5", "not a whole HDF5 file"),
        (None, "cut"),
    ],
)
def test_no_hdf5_file_is_refused(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = write(tmp_path)
    path.write_bytes(content or path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=complaint if content else "not a whole HDF5 file"):
        load_n_tidigits(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing n-tidigits\.hdf5"):
        load_n_tidigits(tmp_path)
