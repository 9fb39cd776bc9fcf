"""Makes Lava's environment: whole or not at all."""

from __future__ import annotations

from pathlib import Path

from avnir.hardware import environments
from avnir.hardware.environments import INSTALL, Progress
from avnir.hardware.lava.environment import PYTHONS, REQUIREMENTS, VARIABLE, Environment, place
from avnir.hardware.lava.smoke import smoke

LAVA_DL_VERSION = "0.6.0"
NETX = (f"lava-dl=={LAVA_DL_VERSION}", "h5py==3.14.0")
"""What reads netx files. lava-dl is 68 MB, most of it examples; torch, which it declares, is not needed."""


def setup(progress: Progress, python: Path | None = None, force: bool = False, netx: bool = False) -> Path:
    """Make the environment unless it is there, check it by a run, and return its folder.

    With `netx` lava-dl is added, also to one that is there. `progress` is told each step in words. Several
    set-ups at once wait for one another. Raises BackendError where no fitting Python is found, or where
    installing or the run fails.
    """
    executable, version = environments.interpreter(PYTHONS, "Lava", python)
    folder = place(version)
    with environments.alone(folder, f"set {VARIABLE}", progress):
        if Environment(folder).complete and not force:
            progress(f"{folder} is there already")
        else:
            progress(f"making an environment of Python {version}")
            environments.make(folder, executable, lambda made: _fill(Environment(made), progress), progress)
        if netx and not has_netx(Environment(folder)):
            progress(f"adding lava-dl {LAVA_DL_VERSION}")
            environments.run([Environment(folder).python, *INSTALL, *NETX], progress)
    progress(f"{folder} is ready")
    return folder


def has_netx(environment: Environment) -> bool:
    """Whether it holds lava-dl in the version that avnir was checked against."""
    return environment.holds("lava_dl", LAVA_DL_VERSION)


def _fill(made: Environment, progress: Progress) -> None:
    environments.run([made.python, *INSTALL, "-r", REQUIREMENTS], progress)
    progress("running one neuron layer in it")
    smoke(made)
