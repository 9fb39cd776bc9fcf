"""`python -m tests.corpus`: run the corpus and print its tables; `--write` puts them into their files."""

from __future__ import annotations

import sys
import warnings
from argparse import ArgumentParser

from tests.corpus import peer, table
from tests.corpus.examine import ENTRIES, unexpected


def main() -> int:
    """Status 1, and nothing written, where an entry is not what it expects."""
    parser = ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into README.md and tests/corpus/TABLE.md")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problems = [problem for entry in ENTRIES if (problem := unexpected(entry))]
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    peers = peer.verdicts()
    if options.write:
        table.README.write_text(table.readme(peers))
        table.TABLE.write_text(table.details(peers))
    else:
        print(table.details(peers), table.summary(peers), sep="\n", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
