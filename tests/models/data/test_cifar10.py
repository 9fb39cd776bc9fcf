"""CIFAR-10 from pickles, from binary files and from the archive of JPEGs, and every way they can be wrong."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avnir.errors import DataError
from avnir.models.data.cifar10 import decoded, load_cifar10, missing_cifar10, read_pickle

NAMES = [*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"]
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


def batch(place: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(place)
    return rng.integers(0, 256, (4, 3072)).astype(np.uint8), rng.integers(0, 10, 4).tolist()


def pickled(pixels: object, labels: object) -> bytes:
    return pickle.dumps({b"batch_label": b"a batch", b"data": pixels, b"labels": labels}, protocol=2)


def write_pickles(folder: Path, inside: str = "cifar-10-batches-py") -> None:
    (folder / inside).mkdir(exist_ok=True)
    for place, name in enumerate(NAMES):
        (folder / inside / name).write_bytes(pickled(*batch(place)))


def write_flat(folder: Path) -> None:
    write_pickles(folder, ".")


def write_python_2(folder: Path) -> None:
    """As the published files: by Python 2, with its names and its strings."""
    write_pickles(folder)
    for place, name in enumerate(NAMES):
        pixels, labels = batch(place)
        (folder / "cifar-10-batches-py" / name).write_bytes(python_2_pickle(pixels, labels))


def python_2_pickle(pixels: np.ndarray, labels: list[int]) -> bytes:
    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value  # SHORT_BINSTRING

    raw = pixels.tobytes()
    return b"".join(
        [
            b"\x80\x02}(",
            text(b"data"),
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85",
            text(b"b"),
            b"\x87R(K\x01K" + bytes([len(pixels)]) + b"M\x00\x0c\x86cnumpy\ndtype\n",
            text(b"u1") + b"K\x00K\x01\x87R(K\x03",
            text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"T" + len(raw).to_bytes(4, "little") + raw + b"tb",
            text(b"labels") + b"]("
            + b"".join(b"K" + bytes([label]) for label in labels)
            + b"eu.",
        ]
    )  # fmt: skip


def write_binaries(folder: Path) -> None:
    (folder / "cifar-10-batches-bin").mkdir()
    for place, name in enumerate(NAMES):
        pixels, labels = batch(place)
        rows = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)
        (folder / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(rows.tobytes())


@pytest.mark.parametrize("write", [write_pickles, write_flat, write_python_2, write_binaries])
def test_every_lossless_format_gives_the_same(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    train, test = load_cifar10(tmp_path)
    pixels = np.concatenate([batch(place)[0] for place in range(5)])
    assert np.array_equal(train.values, pixels.reshape(20, 3, 32, 32).astype(np.float32) / np.float32(255))
    assert train.labels.tolist() == [label for place in range(5) for label in batch(place)[1]]
    assert np.array_equal(test.values.ravel(), batch(5)[0].ravel().astype(np.float32) / np.float32(255))


def test_another_size_is_made(tmp_path: Path) -> None:
    write_binaries(tmp_path)
    train, _ = load_cifar10(tmp_path, size=16)
    blocks = batch(0)[0][0].reshape(3, 16, 2, 16, 2).mean(axis=(2, 4)) / 255
    assert train.values[0] == pytest.approx(blocks, abs=1e-6)


def jpegs() -> tuple[bytes, list[bytes], list[np.ndarray]]:
    """The header that all share, the rest of each, and what each shows."""
    files = []
    for place in range(6):
        file = io.BytesIO()
        Image.fromarray(batch(place)[0][0].reshape(32, 32, 3)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    shown = [np.asarray(Image.open(io.BytesIO(file))).transpose(2, 0, 1) for file in files]
    shared = min(
        next(i for i, (a, b) in enumerate(zip(files[0], f, strict=False)) if a != b) for f in files[1:]
    )
    return files[0][:shared], [file[shared:] for file in files], shown


def archive_arrays() -> dict[str, np.ndarray]:
    header, rests, _ = jpegs()
    return {
        "header": np.frombuffer(header, np.uint8),
        "payload": np.frombuffer(b"".join(rests), np.uint8),
        "offsets": np.cumsum([0, *map(len, rests)]).astype(np.int32),
        "label": np.arange(6, dtype=np.uint8),
        "is_test": np.array([False, False, False, False, True, True]),
    }


def test_the_archive_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "cifar10_jpeg.npz", **archive_arrays())
    train, test = load_cifar10(tmp_path)
    shown = np.stack(jpegs()[2]).astype(np.float32) / np.float32(255)
    assert np.array_equal(train.values, shown[:4])
    assert np.array_equal(test.values, shown[4:])
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 2, 3], [4, 5])


def test_lossless_forms_go_before_the_archive(tmp_path: Path) -> None:
    write_binaries(tmp_path)
    (tmp_path / "cifar10_jpeg.npz").write_bytes(b"damaged")
    assert len(load_cifar10(tmp_path)[0].labels) == 20


class Run:
    """A pickle of this runs a command when it is read as pickles usually are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_a_pickle_runs_no_code(tmp_path: Path) -> None:
    path, touched = tmp_path / "batch", tmp_path / "touched"
    path.write_bytes(pickled(Run(touched), [1]))
    with pytest.raises(DataError, match=r"the pickle asks for .*; only arrays of bytes are read"):
        read_pickle(path)
    assert not touched.exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (LFS, "Git-LFS pointer"),
        (b"", "not a batch of CIFAR-10"),
        (pickled(*batch(0))[:-40], "not a batch of CIFAR-10"),
        (pickle.dumps([1, 2]), "not a batch of CIFAR-10"),
        (pickled(np.zeros((1, 3072), np.float32), [1]), "only bytes"),
        (pickled(np.zeros((1, 3071), np.uint8), [1]), r"must be \[N, 3072\] and \[N\]"),
        (pickled(np.zeros((2, 3072), np.uint8), [1]), r"labels \(1,\)"),
        (pickled(np.zeros((1, 3072), np.uint8), [10]), "must lie in 0 to 9"),
        (pickled(5, [1]), "not a batch of CIFAR-10"),
        (pickled(np.array([{}]), [1]), "only bytes"),
        (pickled(np.zeros((1, 3072), np.uint8), ["one"]), "not a batch of CIFAR-10"),
    ],
)
def test_a_bad_pickle_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "batch"
    path.write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        read_pickle(path)


def test_all_bad_batches_are_named(tmp_path: Path) -> None:
    write_binaries(tmp_path)
    folder = tmp_path / "cifar-10-batches-bin"
    (folder / "data_batch_2.bin").write_bytes(LFS)
    (folder / "data_batch_4.bin").write_bytes(bytes(3072))
    (folder / "test_batch.bin").write_bytes(b"\x0a" + bytes(3072))
    with pytest.raises(DataError, match="3 unusable files") as refusal:
        load_cifar10(tmp_path)
    for said in ("Git-LFS pointer", "3072 bytes, must be a multiple of 3073", "labels 10 to 10"):
        assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"is_test": np.zeros(6, np.bool_)}, "need as many is_test, of both kinds"),
        ({"is_test": np.ones(2, np.bool_)}, "6 labels, 0 to 9, need as many is_test"),
        ({"label": np.full(6, 10, np.uint8)}, "labels, 0 to 9"),
        ({"offsets": np.arange(7, dtype=np.int32)}, "offsets must rise from 0 to"),
        ({"header": np.zeros(5, np.uint8)}, "4 unusable files: picture 0: not a JPEG file .*picture 3"),
    ],
)
def test_a_bad_archive_is_refused(tmp_path: Path, change: dict[str, np.ndarray], complaint: str) -> None:
    np.savez(tmp_path / "cifar10_jpeg.npz", **{**archive_arrays(), **change})
    with pytest.raises(DataError, match=complaint):
        load_cifar10(tmp_path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_pickles(tmp_path)
    assert missing_cifar10(tmp_path) == []
    (tmp_path / "cifar-10-batches-py/data_batch_3").unlink()
    with pytest.raises(DataError, match=r"data_batch_1 to 5 and test_batch, or the same as \.bin"):
        load_cifar10(tmp_path)


@pytest.mark.data
def test_the_real_archive_is_read(data_dir: Path) -> None:
    path = data_dir / "cifar10_jpeg.npz"
    with np.load(path) as archive:
        assert (archive["is_test"].sum(), len(archive["label"])) == (10_000, 60_000)
        assert np.bincount(archive["label"][archive["is_test"]]).tolist() == [1000] * 10
    pixels = decoded(path, np.arange(0, 60_000, 600))
    assert 0.4 < pixels.mean() / 255 < 0.55
