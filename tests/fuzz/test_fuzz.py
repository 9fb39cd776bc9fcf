"""Damaged files: refused with the reader's own error, or read as the same network."""

from __future__ import annotations

from tests.fuzz.harness import fuzz
from tests.fuzz.kinds import KINDS


def test_damaged_files_are_refused_or_equal() -> None:
    files = 22 * len(KINDS)
    result = fuzz(files, seed=1, workers=1)
    assert result.bad == []
    assert result.counts.total() == files
    assert all(result.counts[kind, "refused"] > 10 for kind in KINDS)
