"""`avnir data`: the list of sets, and what a check says of a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from avnir.cli import main
from avnir.models.data.registry import DATASETS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `avnir data ARGUMENTS` in this process: exit status, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = 0
        try:
            main(["data", *arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return call


def write_shd(folder: Path) -> None:
    """Two recordings to train and one to test, by one speaker."""
    for split, labels in (("train", [0, 19]), ("test", [3])):
        with h5py.File(folder / f"shd_{split}.h5", "w") as file:
            for name, kind in (("times", np.float16), ("units", np.uint16)):
                rows = file.create_dataset(f"spikes/{name}", (len(labels),), h5py.vlen_dtype(kind))
                for place, label in enumerate(labels):
                    rows[place] = np.arange(1 + label).astype(kind)
            file["labels"] = np.array(labels, dtype=np.uint16)
            file["extra/speaker"] = np.zeros(len(labels), np.uint16)


def test_the_list_names_every_set(run: Run) -> None:
    status, out, _ = run("list")
    assert status == 0
    assert all(name in out for name in DATASETS)
    status, out, _ = run("list", "--json")
    told = json.loads(out)
    assert list(told) == list(DATASETS)
    assert told["shd"]["needs"] == ["shd_train.h5 or shd_train.h5.gz", "shd_test.h5 or shd_test.h5.gz"]
    assert told["shd"]["modalities"] == ["audio"]
    assert told["generator"]["needs"] == []


def test_a_check_counts_and_names_who_is_in_both(run: Run, tmp_path: Path) -> None:
    write_shd(tmp_path)
    status, out, _ = run("check", "shd", "--data-dir", str(tmp_path), "--steps", "3", "--json")
    assert status == 0
    told = json.loads(out)
    assert told["splits"]["train"]["samples"] == 2
    assert told["splits"]["train"]["classes"]["neun"] == 1
    assert told["splits"]["test"]["inputs"]["audio"]["shape"] == [3, 1, 28, 28]
    assert told["shared"]["speaker"] == {"in_both": 1, "of_test": 1, "test_samples": 1}


def test_a_check_is_told_in_tables(run: Run, tmp_path: Path) -> None:
    write_shd(tmp_path)
    status, out, _ = run("check", "shd", "--data-dir", str(tmp_path))
    assert status == 0
    for said in ("zero", "4x1x28x28", "uint8", "speaker", "equal audio"):
        assert said in out


def test_all_that_is_missing_is_named(run: Run, tmp_path: Path) -> None:
    status, out, err = run("check", "shd", "--data-dir", str(tmp_path), "--json")
    assert status == 2
    assert json.loads(out)["exit_status"] == 2
    assert "missing shd_train.h5 or shd_train.h5.gz; and shd_test.h5 or shd_test.h5.gz" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "imagenet", "--data-dir", "."), "there is no data set 'imagenet'"),
        (("check", "shd"), "shd is read from files: say where with --data-dir"),
        (("check", "shd", "--data-dir", ".", "--steps", "0"), "steps is 0, must be 1 or more"),
        (("check", "shd", "--data-dir", ".", "--split", "mine"), "split is 'mine'"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(run: Run, arguments: tuple[str, ...], message: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
