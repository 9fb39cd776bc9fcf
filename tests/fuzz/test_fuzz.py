"""Damaged files: refused with the reader's own error, or read as the same network."""

from __future__ import annotations

from tests.fuzz.harness import fuzz
from tests.fuzz.kinds import KINDS


def test_damaged_files_are_refused_or_equal() -> None:
    result = fuzz(files=150, seed=1, workers=1)
    assert result.bad == []
    assert result.counts.total() == 150
    assert all(result.counts[kind, "refused"] > 10 for kind in KINDS)
