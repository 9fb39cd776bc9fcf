"""A simulator that has a program open: it is run, timed by itself, and asked for its spikes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from avnir.files import read_npz
from avnir.hardware.child import Child
from avnir.hardware.peers.registry import Peer
from avnir.ir.operation import Array
from avnir.speed.programs import Case, dense_layers

SERVE = Path(__file__).with_name("workers") / "serve.py"
LIMIT_SECONDS = 600.0
WAITING = "OMP_WAIT_POLICY"
"""avnir sets it for itself; a simulator gets the default, as where it is run alone."""


@dataclass(frozen=True)
class PeerSession:
    """A worker with a program open, the `versions` of its packages, and its `threads`, None if unknown."""

    child: Child
    versions: Mapping[str, str]
    threads: int | None

    def run(self) -> tuple[float, int]:
        """Run once; the seconds of the steps, and how many steps of a sample there were."""
        done = self.child.ask({"do": "run"}, LIMIT_SECONDS)
        return float(done["seconds"]), int(done["steps"])

    def use(self, threads: int) -> None:
        """Compute with so many threads from now on."""
        self.child.ask({"do": "use", "threads": threads}, LIMIT_SECONDS)

    def spikes(self) -> dict[str, Array]:
        """The spikes of every layer of one more run, uint8 `[T, B, n]`."""
        file = self.child.folder / "spikes.npz"
        self.child.ask({"do": "record", "spikes": str(file)}, LIMIT_SECONDS)
        return read_npz(file)


@contextmanager
def session(peer: Peer, case: Case, python: Path) -> Iterator[PeerSession]:
    """Open a program in a simulator's environment; leaving the context ends its process.

    Raises BackendError where the simulator fails.
    """
    with TemporaryDirectory(prefix="avnir-peer-") as folder:
        arrays = Path(folder) / "arrays.npz"
        given: dict[str, Any] = {**case.arrays(), **({} if peer.batched else case.synapses())}
        np.savez(arrays, **given)
        variables = {name: value for name, value in os.environ.items() if name != WAITING}
        command = (str(python), "-I", str(SERVE), peer.worker)
        with Child(command, Path(folder), peer.title, variables=variables) as child:
            job = {"do": "open", "case": case.record(), "arrays": str(arrays)}
            opened = child.ask(job, LIMIT_SECONDS)
            yield PeerSession(child, opened["versions"], opened["threads"])


def smoke(peer: Peer, python: Path) -> None:
    """Run a few neurons; BackendError where the simulator fails."""
    case = Case("smoke", "8-4", (8,), dense_layers((8, 4)), batch=1, steps=4, density=0.5)
    with session(peer, case, python) as opened:
        opened.run()
