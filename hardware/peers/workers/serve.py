"""Answers a parent that speaks JSON lines: `python -I serve.py WORKER`.

| job | reply |
|---|---|
| `{"do": "open", "case": {...}, "arrays": file}` | `{"versions": {...}, "threads": n or null}` |
| `{"do": "use", "threads": n}` | `{}`; only where there were more than one |
| `{"do": "run"}` | `{"seconds": s, "steps": n}` |
| `{"do": "record", "spikes": file}` | `{}`, and the spikes of every layer in the file |

Where a job fails: `{"error": text}`. Whatever a simulator prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Any


class Server:
    """One simulator, and the network that it has open."""

    def __init__(self, worker: Any) -> None:
        self.worker = worker
        self.network: Any = None

    def open(self, case: dict[str, Any], arrays: str) -> dict[str, Any]:
        import numpy as np

        with np.load(arrays, allow_pickle=False) as file:
            self.network = self.worker.prepare(case, {name: file[name] for name in file.files})
        versions = {name: version(name) for name in self.worker.PACKAGES}
        return {"versions": versions, "threads": self.worker.threads()}

    def use(self, threads: int) -> dict[str, Any]:
        self.worker.use(threads)
        return {}

    def run(self) -> dict[str, Any]:
        seconds, steps, _ = self.network(False)
        return {"seconds": seconds, "steps": steps}

    def record(self, spikes: str) -> dict[str, Any]:
        import numpy as np

        _, _, layers = self.network(True)
        named: dict[str, Any] = {f"layer{number}": array for number, array in enumerate(layers, start=1)}
        np.savez(spikes, **named)
        return {}


def serve() -> None:
    """Answer jobs until the input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    sys.path.append(str(Path(__file__).resolve().parent))
    server = Server(importlib.import_module(sys.argv[1]))
    for line in sys.stdin:
        job = json.loads(line)
        try:
            reply = getattr(server, job.pop("do"))(**job)
        except Exception:
            reply = {"error": traceback.format_exc()}
        replies.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    serve()
