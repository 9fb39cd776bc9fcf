"""`python -m tests.corpus`: the corpus as a table, avnir beside snnTorch's own exporter."""

from __future__ import annotations

import warnings
from collections import Counter

from tests.corpus.examine import ENTRIES, WRONG, examine
from tests.corpus.model import EXACT, Entry
from tests.corpus.peer import round_trip


def main() -> None:
    """Print the table in Markdown, a row for each model, and how many of each."""
    print("| model | avnir: NIR | avnir: chip | snnTorch to NIR and back |\n|---|---|---|---|")
    columns: tuple[Counter[str], ...] = (Counter(), Counter(), Counter())
    for entry in ENTRIES:
        cells = (*_avnir(entry), round_trip(entry))
        for column, cell in zip(columns, cells, strict=True):
            column["fails" if " fails" in cell else cell.partition(":")[0]] += 1
        print(f"| {entry.name} | {' | '.join(cells)} |", flush=True)
    print(
        f"\n{len(ENTRIES)} models. "
        + " ".join(f"{n}: {_told(c)}." for n, c in zip(_NAMES, columns, strict=True))
    )


_NAMES = ("avnir to NIR", "avnir to the chip's integers", "snnTorch to NIR and back")


def _avnir(entry: Entry) -> tuple[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict = examine(entry)
    return _short(verdict.graph), _short(verdict.chip) if verdict.chip else "refused"


def _short(verdict: str) -> str:
    """The verdict without the text of a refusal."""
    return verdict if verdict.startswith((EXACT, WRONG)) else "refused"


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())


if __name__ == "__main__":
    main()
