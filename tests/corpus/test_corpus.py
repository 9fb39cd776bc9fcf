"""The exporter is lossless or refuses, on every model of the corpus."""

from __future__ import annotations

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
