"""The corpus as Markdown: a row for each theme in the README, a row for each model in TABLE.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.corpus.examine import THEMES
from tests.corpus.model import EXACT, Entry
from tests.corpus.peer import DIFFERS, FAILS

ROOT = Path(__file__).resolve().parent.parent.parent
README, TABLE = ROOT / "README.md", Path(__file__).parent / "TABLE.md"
BEGIN, END = "<!-- corpus: made by `python -m tests.corpus --write` -->\n\n", "\n<!-- end of corpus -->\n"
REFUSED = "refused"

Peers = Mapping[str, str]
"""What `tests.corpus.peer` found, by the entry's name."""

_HEAD = """\
| what the models show | models \
| avnir to NIR and back: exact / refused / wrong \
| avnir to the chip's integers: exact / refused / wrong \
| snnTorch to NIR and back: exact / silently different / fails |
|---|---|---|---|---|
"""

_COLUMNS = """\
| model | what it is | avnir: NIR | avnir: chip | snnTorch |
|---|---|---|---|---|
"""

_INTRODUCTION = """\
# The corpus, model by model

Made by `python -m tests.corpus --write`, held by `tests/corpus/test_corpus.py`. Each model runs 200 steps
on 8 samples.

- **avnir: NIR**: traced, written to NIR and read again. *exact*: the traced graph and the file's give every
  spike of the model. *refused* names a part of the message.
- **avnir: chip**: compiled to Loihi 2's integers. *exact*: the CPU engine gives every spike and state of
  the integers' definition, over the first 40 steps of 2 samples, or all steps where it sums over them.
- **snnTorch**: its own export to NIR and its import (snntorch 1.0.0, nirtorch 2.6). *exact*: the first output
  is equal in every entry.
"""


def readme(peers: Peers) -> str:
    """The README with its table made anew; ValueError where its marks are missing."""
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + summary(peers) + END + after


def summary(peers: Peers) -> str:
    """A row for each theme, and one for all of them.

    avnir's columns are what the entries expect, which `unexpected` holds; none can expect to be wrong.
    """
    every = [entry for entries in THEMES.values() for entry in entries]
    rows = [_counted(theme, entries, peers) for theme, entries in THEMES.items()]
    return _HEAD + "".join(rows) + _counted("**all**", every, peers)


def _counted(theme: str, entries: Sequence[Entry], peers: Peers) -> str:
    columns = (
        ([_nir(entry) for entry in entries], (EXACT, REFUSED, "wrong")),
        ([_chip(entry) for entry in entries], (EXACT, REFUSED, "wrong")),
        ([peers[entry.name] for entry in entries], (EXACT, DIFFERS, FAILS)),
    )
    cells = (
        " / ".join(str(sum(cell.startswith(kind) for cell in column)) for kind in kinds)
        for column, kinds in columns
    )
    return f"| {theme} | {len(entries)} | {' | '.join(cells)} |\n"


def details(peers: Peers) -> str:
    """A table for each theme, a row for each model."""
    return _INTRODUCTION + "".join(_theme(theme, entries, peers) for theme, entries in THEMES.items())


def _theme(theme: str, entries: Sequence[Entry], peers: Peers) -> str:
    rows = "".join(_row(entry, _kind(peers[entry.name])) for entry in entries)
    return f"\n## {theme[0].upper()}{theme[1:]}\n\n{_COLUMNS}{rows}"


def _row(entry: Entry, peer: str) -> str:
    return f"| {entry.name} | {entry.shows} | {_nir(entry)} | {_chip(entry)} | {peer} |\n"


def _nir(entry: Entry) -> str:
    return EXACT if entry.graph == EXACT else f"{REFUSED}: {entry.graph}"


def _chip(entry: Entry) -> str:
    if entry.on_chip == EXACT:
        return EXACT
    return f"{REFUSED}: {entry.chip}" if entry.chip else REFUSED


def _kind(peer: str) -> str:
    """Without the share and the type of the error, which another version may change."""
    kind = peer.partition(":")[0]
    return "silently different" if kind == DIFFERS else kind
