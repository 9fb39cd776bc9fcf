"""The list of data sets: every one can be asked what it needs, and refuses a folder without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from avnir.errors import DataError
from avnir.models.data.registry import DATASETS, DataSet, Options, describe, load

NAMES = [
    *("generator", "mnist-fsdd", "nmnist-fsdd", "mnistdvs-ntidigits", "cifar10-esc10", "cifar10-us8k"),
    *("us8k", "us8k-av", "crema-d", "ravdess", "ave", "paired", "shd"),
]


def test_the_sets_are_these() -> None:
    assert list(DATASETS) == NAMES
    assert all(one.name == name for name, one in DATASETS.items())


@pytest.mark.parametrize("found", DATASETS.values(), ids=DATASETS)
def test_every_set_says_what_it_is(found: DataSet) -> None:
    assert all((found.summary, found.licence, found.source, found.split))
    assert found.modalities in (("image", "audio"), ("audio",))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "generator"])
def test_an_empty_folder_is_refused_with_all_that_it_lacks(tmp_path: Path, name: str) -> None:
    needs = describe(name).needs
    assert needs
    with pytest.raises(DataError, match=f"{name} is not whole in .*: missing") as refusal:
        load(name, tmp_path)
    assert all(one in str(refusal.value) for one in needs)
    with pytest.raises(DataError):
        describe(name).load(tmp_path, Options())


def test_the_generator_needs_nothing(tmp_path: Path) -> None:
    assert describe("generator").needs == []


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(DataError, match="there is no data set 'imagenet'; known are generator, mnist-fsdd"):
        describe("imagenet")


def test_all_bad_options_are_named() -> None:
    with pytest.raises(DataError) as refusal:
        Options(steps=0, audio_size=-1, split="mine")
    assert str(refusal.value) == (
        "steps is 0, must be 1 or more; audio_size is -1, must be 1 or more; "
        "split is 'mine', must be one of official, authors"
    )
