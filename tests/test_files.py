"""Files appear whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from avnir.errors import UserError
from avnir.files import atomic_folder, atomic_path


def test_a_file_replaces_the_earlier_one_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("one")
        assert not target.exists()
    assert target.read_text() == "one"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("before")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    full = pytest.raises(UserError, match=r"No space left on device.*nothing was left")
    with full, atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_replaced_only_if_it_is_ours(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    with atomic_folder(ours, "mark") as made:
        (made / "mark").write_text("1")
        (made / "old").write_text("1")
    with atomic_folder(ours, "mark") as made:
        (made / "mark").write_text("2")
    assert [p.name for p in ours.iterdir()] == ["mark"]
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="was not written by avnir"), atomic_folder(theirs, "mark"):
        raise AssertionError("must not get here")
    assert (theirs / "thesis.tex").read_text() == "precious"
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UserError, match="was not written by avnir"), atomic_folder(file, "mark"):
        raise AssertionError("must not get here")


def test_a_failed_folder_leaves_the_earlier_one(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    with atomic_folder(ours, "mark") as made:
        (made / "mark").write_text("1")
    with pytest.raises(UserError), atomic_folder(ours, "mark") as made:
        (made / "mark").write_text("2")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (ours / "mark").read_text() == "1"
    assert list(tmp_path.iterdir()) == [ours]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(UserError, match="cannot be written"), atomic_path(blocker / "inside"):
        raise AssertionError("must not get here")
