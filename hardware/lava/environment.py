"""Where Lava's own environment is.

Lava declares Python 3.10 and numpy below 2, so it never enters the user's environment: it has one of its
own, made once by `avnir lava setup` (`avnir.hardware.lava.install`), in which a worker process runs.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from avnir.errors import BackendError
from avnir.hardware import environments

LAVA_VERSION = "0.10.0"
PYTHONS = ("3.10", "3.11", "3.12")
"""Versions on which lava-nc 0.10.0 passes its own tests, the declared one first. numpy below 2 has no
wheel for 3.13."""
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
VARIABLE = "AVNIR_LAVA_ENV"
REMEDY = "run `avnir lava setup`"


class Environment(environments.Environment):
    """A virtual environment that holds Lava."""

    @property
    def complete(self) -> bool:
        """Whether it holds an interpreter and Lava in the version that avnir was checked against."""
        return self.holds("lava_nc", LAVA_VERSION)


def place(python: str) -> Path:
    """Where the environment for a Python version such as "3.10" belongs.

    `$AVNIR_LAVA_ENV`, else a folder in the user's cache, named by what is installed in it.
    """
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser().absolute()
    name = hashlib.sha256(REQUIREMENTS.read_bytes() + python.encode()).hexdigest()[:12]
    return environments.cache() / f"lava-{name}"


def find() -> Environment | None:
    """The environment, if it was set up; nothing is started."""
    places = (Environment(place(python)) for python in PYTHONS)
    return next((environment for environment in places if environment.complete), None)


def why_missing() -> str | None:
    """What is missing and the remedy, or None where the environment is there."""
    if find() is not None:
        return None
    if os.environ.get(VARIABLE):
        return f"{VARIABLE}={os.environ[VARIABLE]} holds no environment with lava-nc {LAVA_VERSION}; {REMEDY}"
    return f"Lava's environment is not set up; {REMEDY}"


def require() -> Environment:
    """The environment; BackendError with the remedy where there is none."""
    environment = find()
    if environment is None:
        raise BackendError(str(why_missing()))
    return environment
