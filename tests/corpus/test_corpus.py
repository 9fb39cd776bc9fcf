"""The exporter is lossless or refuses, on every model of the corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.examine import ENTRIES, examine
from tests.corpus.model import EXACT, Entry


@pytest.mark.filterwarnings(
    "ignore:Inhibition is an unstable feature", "ignore:Using padding='same' with even"
)
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_lossless_or_refused(entry: Entry) -> None:
    verdict = examine(entry)
    for found, expected in ((verdict.graph, entry.graph), (verdict.chip, entry.chip)):
        assert (found == EXACT) == (expected == EXACT), found
        assert expected in found
        if expected != EXACT:
            break


def test_names_are_different() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES) >= 60


def test_the_readme_counts_what_is_here() -> None:
    """Every entry is examined above, so the expectations are the results."""
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text()
    graph = sum(entry.graph == EXACT for entry in ENTRIES)
    chip = sum(entry.graph == EXACT and entry.chip == EXACT for entry in ENTRIES)
    total = len(ENTRIES)
    assert f"A corpus of {total} small snnTorch models" in readme
    assert f"| avnir, to NIR and back | {graph} | {total - graph} | 0 | 0 |" in readme
    row = f"| avnir, to the chip's integers (CPU engine = definition) | {chip} | {total - chip} | 0 | 0 |"
    assert row in readme
