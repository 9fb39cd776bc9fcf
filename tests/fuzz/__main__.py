"""`python -m tests.fuzz --files 10000`: damaged files of every kind that avnir reads."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser

from tests.fuzz.harness import fuzz
from tests.fuzz.kinds import KINDS


def main() -> int:
    """Print how many were refused, equal, another or bad; status 1 if any was bad."""
    parser = ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    options = parser.parse_args()
    begin = time.perf_counter()
    result = fuzz(options.files, options.seed, options.workers, tuple(options.kind or KINDS))
    for kind, index, outcome in result.bad:
        print(f"{kind} {index}: {outcome}")
    for (kind, outcome), count in sorted(result.counts.items()):
        print(f"{kind:11} {outcome:8} {count:6}")
    print(f"{result.counts.total()} files in {time.perf_counter() - begin:.0f} s, {len(result.bad)} bad")
    return 1 if result.bad else 0


if __name__ == "__main__":
    sys.exit(main())
