"""The exporter is lossless or refuses, on every model of the corpus; the README's table says so."""

from __future__ import annotations

import pytest

from tests.corpus import peer, table
from tests.corpus.examine import ENTRIES, unexpected
from tests.corpus.model import Entry


@pytest.mark.filterwarnings(
    "ignore:Inhibition is an unstable feature", "ignore:Using padding='same' with even"
)
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_lossless_or_refused(entry: Entry) -> None:
    assert not unexpected(entry)


def test_names_are_different() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES) >= 60
    assert all(entry.shows.endswith((".", "`")) for entry in ENTRIES)


def test_the_tables_are_the_corpus() -> None:
    """Every entry is examined above, so the expectations are avnir's results; snnTorch runs here."""
    pytest.importorskip("nirtorch", reason="snnTorch's own round trip needs nirtorch")
    peers = peer.verdicts()
    stale = "the corpus has changed: run `python -m tests.corpus --write`"
    assert table.README.read_text() == table.readme(peers), stale
    assert table.TABLE.read_text() == table.details(peers), stale
