"""Makes a simulator's environment: whole or not at all."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from avnir.errors import BackendError
from avnir.hardware import environments
from avnir.hardware.environments import INSTALL, Environment, Progress
from avnir.hardware.peers.registry import READY, Peer
from avnir.hardware.peers.session import smoke

BORROWED = "behind-its-own.pth"
"""Names the running interpreter's packages; a path in such a file comes after the environment's own."""


def _silent(line: str) -> None:
    """Tell nobody."""


def setup(peer: Peer, progress: Progress = _silent) -> Path:
    """Make the environment unless it is there, check it by a run, and return its folder.

    `progress` is told each step in words. Several set-ups at once wait for one another. Raises BackendError
    where there is nothing to set up, no fitting Python is found, or installing or the run fails.
    """
    if not peer.own:
        raise BackendError(f'{peer.name} runs in your own environment; run: pip install "avnir[torch]"')
    executable, version = _interpreter(peer)
    folder = peer.place(version)
    with environments.alone(folder, "set XDG_CACHE_HOME", progress):
        if (folder / READY).is_file():
            progress(f"{folder} is there already")
        else:
            progress(f"making an environment of Python {version}")
            environments.make(
                folder, executable, lambda made: _fill(peer, Environment(made), progress), progress
            )
    progress(f"{folder} is ready")
    return folder


def _interpreter(peer: Peer) -> tuple[Path, str]:
    if peer.pythons:
        return environments.interpreter(peer.pythons, peer.title)
    return environments.interpreter(peer.versions, peer.title, Path(sys.executable))


def _fill(peer: Peer, made: Environment, progress: Progress) -> None:
    environments.run([made.python, *INSTALL, *peer.packages], progress)
    if not peer.pythons:
        (site,) = made.folder.glob("lib/python3.*/site-packages")
        (site / BORROWED).write_text(sysconfig.get_path("purelib") + "\n")
    progress("running a few neurons in it")
    smoke(peer, made.python)
    (made.folder / READY).touch()
