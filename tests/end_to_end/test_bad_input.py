"""Bad input: one clear error, exit status 2, nothing half-written."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.conftest import Avnir


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """One message on stderr that holds these parts, and no traceback."""
    assert done.stderr.startswith("avnir: ")
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr
    assert not done.stdout


class Payload:
    """A pickle that would leave a file behind if it were run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("command", ["export", "verify"])
def test_models_that_are_none(avnir: Avnir, model: Path, tmp_path: Path, command: str) -> None:
    import torch

    broken = {
        "missing.pt": None,
        "empty.pt": b"",
        "truncated.pt": model.read_bytes()[:-1000],
        "text.pt": b"not a model at all",
        "pickle.pt": pickle.dumps(Payload(tmp_path / "executed")),
    }
    for name, content in broken.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    torch.save({"weight": torch.ones(3)}, tmp_path / "foreign.pt")
    torch.save(Payload(tmp_path / "executed"), tmp_path / "malicious.pt")
    before = sorted(tmp_path.iterdir())
    for name in (*broken, "foreign.pt", "malicious.pt"):
        out = ["--out", tmp_path / "out"] if command == "export" else []
        done = avnir(command, tmp_path / name, "--target", "loihi2", *out, status=2)
        refused(done, name)
    assert sorted(tmp_path.iterdir()) == before
    assert not (tmp_path / "executed").exists()


def test_a_folder_as_model(avnir: Avnir, tmp_path: Path) -> None:
    refused(avnir("verify", tmp_path, status=2), str(tmp_path))


def test_unknown_names(avnir: Avnir, model: Path) -> None:
    refused(avnir("verify", model, "--target", "loihi3", status=2), "'loihi3'", "known are loihi1, loihi2")
    refused(
        avnir("verify", model, "--backend", "tpu", status=2), "'tpu'", "installed are cpu, gpu, interpreter"
    )


def test_wrong_inputs(avnir: Avnir, model: Path, tmp_path: Path) -> None:
    good = {"image": np.zeros((8, 2, 1, 16, 16), np.uint8), "audio": np.zeros((8, 2, 1, 16, 16), np.uint8)}
    wrong = {
        "shape": ({**good, "audio": good["audio"][..., :5]}, "'audio' has shape (8, 2, 1, 16, 5)"),
        "name": ({"image": good["image"], "sound": good["audio"]}, "no input 'sound'"),
        "steps": ({**good, "audio": good["audio"][:3]}, "different [T, B]"),
        "value": ({**good, "audio": good["audio"] + 0.5}, "must be spikes (0 or 1)"),
        "empty": ({**good, "audio": good["audio"][:, :0]}, "'audio' has shape (8, 0, 1, 16, 16)"),
        "labels": ({**good, "labels": np.zeros(3, np.int64)}, "one for each of 2 samples"),
    }
    for name, (arrays, message) in wrong.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, **arrays)
        refused(avnir("verify", model, "--inputs", path, status=2), message)
    np.save(tmp_path / "single.npy", good["image"])
    refused(avnir("verify", model, "--inputs", tmp_path / "single.npy", status=2), "numpy.savez")
    np.savez(tmp_path / "objects.npz", image=np.array([object()]))
    refused(
        avnir("verify", model, "--inputs", tmp_path / "objects.npz", status=2), "objects.npz cannot be read"
    )
    refused(
        avnir("verify", model, "--inputs", tmp_path / "nothing.npz", status=2), "nothing.npz cannot be read"
    )


def test_lava_that_is_not_set_up(avnir: Avnir, model: Path, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    done = avnir("verify", model, "--samples", 1, "--backend", "lava", status=2, AVNIR_LAVA_ENV=nowhere)
    refused(done, "avnir lava setup")


def test_loihi2_without_the_chip(avnir: Avnir, model: Path) -> None:
    refused(avnir("verify", model, "--samples", 1, "--backend", "loihi2", status=2), "Loihi 2")


def test_places_that_cannot_be_written(avnir: Avnir, model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = avnir("export", model, "--target", "loihi2", "--out", tmp_path / "file" / "inside", status=2)
    refused(done, "cannot be written")
    done = avnir("export", model, "--target", "loihi2", "--out", tmp_path / "file", status=2)
    refused(done, "was not written by avnir")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    done = avnir("export", model, "--target", "loihi2", "--out", tmp_path / "thesis", status=2)
    refused(done, "was not written by avnir")
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "precious"


@pytest.mark.parametrize("room", [20_000, 300_000])
def test_a_full_disk_in_the_middle_of_writing(model: Path, tmp_path: Path, room: int) -> None:
    """No file may grow beyond `room` bytes: the export of 0.5 MB fails half-way, and leaves nothing."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "avnir",
            "export",
            str(model),
            "--target",
            "loihi2",
            "--out",
            str(tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        timeout=300,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path.parent / "cache")},
    )
    assert done.returncode == 2, done.stderr
    refused(done, "could not be written", "nothing was left")
    assert not list(tmp_path.iterdir())
