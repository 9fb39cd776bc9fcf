"""Children that read damaged files, watched: a crash or a hang costs one file, and is told."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO

from tests.fuzz.kinds import KINDS

GOOD = ("refused", "equal", "another")
PATIENCE = 30.0
"""Seconds without a word after which a child is ended; it may be slow to start."""
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Result:
    """How often each outcome came, and what was not good: kind, index, outcome."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    bad: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, kind: str, index: int, outcome: str) -> None:
        self.counts[kind, outcome if outcome in GOOD else "bad"] += 1
        if outcome not in GOOD:
            self.bad.append((kind, index, outcome))


def fuzz(files: int, seed: int = 0, workers: int = 1, kinds: tuple[str, ...] = tuple(KINDS)) -> Result:
    """Read `files` damaged files, shared among the kinds; the same seed damages them the same way."""
    result = Result()
    share = -(-files // len(kinds))
    part = -(-share // workers)
    with tempfile.TemporaryDirectory() as folder:
        forbidden = Path(folder) / "forbidden"
        os.mkfifo(forbidden)
        for name in kinds:
            sound = Path(folder) / name
            sound.mkdir()
            KINDS[name].make(sound)
            spans = [(first, min(first + part, share)) for first in range(0, share, part)]
            with ThreadPoolExecutor(workers) as pool:
                jobs = [pool.submit(_span, name, sound, forbidden, seed, *span) for span in spans]
                for job in jobs:
                    for index, outcome in job.result():
                        result.add(name, index, outcome)
    return result


def _span(name: str, sound: Path, forbidden: Path, seed: int, first: int, last: int) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    while first < last:
        found += _one_child(name, sound, forbidden, seed, first, last)
        first = found[-1][0] + 1
    return found


def _one_child(
    name: str, sound: Path, forbidden: Path, seed: int, first: int, last: int
) -> list[tuple[int, str]]:
    """What a child told, up to the file that ended it."""
    arguments = [name, str(sound), str(forbidden), str(seed), str(first), str(last)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.child", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as child:
        assert child.stdout is not None
        found: list[tuple[int, str]] = []
        current, hung = first, False
        for line in _lines(child.stdout):
            if line is None:
                hung = True
                child.kill()
                break
            word, index, *outcome = line.rstrip("\n").split(" ", 2)
            current = int(index)
            if word == "end":
                found.append((current, outcome[0]))
        status = child.wait()
    if len(found) < last - first:
        found.append((current, f"no answer in {PATIENCE:.0f} s" if hung else f"ended with status {status}"))
    return found


def _lines(stream: IO[str]) -> Iterator[str | None]:
    """The lines, until the stream ends; None, and no more, where it is silent for too long."""
    queue: Queue[str | None] = Queue()

    def pump() -> None:
        for line in stream:
            queue.put(line)
        queue.put(None)

    Thread(target=pump, daemon=True).start()
    while True:
        try:
            line = queue.get(timeout=PATIENCE)
        except Empty:
            yield None
            return
        if line is None:
            return
        yield line
