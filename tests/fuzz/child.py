"""A process that reads damaged files one after the other and says what came of each.

It may take 1 GB on top of what it begins with. A file that nobody may open is a pipe without a writer:
who opens it hangs, and is noticed. Files opened by Python itself are seen by an audit hook.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.kinds import KINDS, Kind

MEMORY = 1 << 30
SECONDS = 5.0
ANOTHER = {False: "another", True: "sealed, but read as another"}
"""What was read is sound, but not what was written."""


def outcome(kind: Kind, sound: Path, wanted: Any, place: Path, dice: Random, watch: Watch) -> str:
    """`refused`, `equal`, `another`, or what went wrong."""
    kind.damage(sound, place, dice, watch.forbidden)
    files = sorted(place.iterdir())
    watch.opened.clear()
    watch.active = True
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = "equal" if kind.read(place) == wanted else ANOTHER[kind.sealed]
    except kind.error as error:
        text = str(error).lower()
        result = "too much memory" if "memoryerror" in text or "unable to allocate" in text else "refused"
    except Exception as error:
        result = f"{type(error).__name__}: {str(error)[:200]!r}"
    finally:
        watch.active = False
    took = time.perf_counter() - begin
    if took > SECONDS:
        return f"{took:.1f} s"
    if watch.opened or sorted(place.iterdir()) != files:
        return f"touched other files: {watch.opened}"
    return result


class Watch:
    """What Python opens while `active`, other than to read in `place` or code."""

    def __init__(self, place: Path, forbidden: Path) -> None:
        self.place, self.forbidden, self.opened, self.active = str(place), forbidden, [], False
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by Python at each event; keeps suspicious openings."""
        if not self.active or event != "open" or isinstance(arguments[0], int):
            return
        path, mode = str(arguments[0]), str(arguments[1] or "r")
        code = path.endswith((".py", ".pyc", ".so", ".json", ".dylib"))
        if set(mode) & set("wax+") or not (path.startswith((self.place, "/proc/")) or code):
            self.opened.append(path)


def limit_memory() -> None:
    """At most `MEMORY` more address space than now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(name: str, sound: Path, forbidden: Path, seed: int, first: int, last: int) -> None:
    """Read files `first` to `last - 1` of a kind; a line for each, before it and after it."""
    kind = KINDS[name]
    wanted = kind.read(sound)
    limit_memory()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        watch = Watch(place, forbidden)
        for index in range(first, last):
            print(f"begin {index}", flush=True)
            told = outcome(kind, sound, wanted, place, Random(f"{name} {seed} {index}"), watch)
            print(f"end {index} {told}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:7]))
