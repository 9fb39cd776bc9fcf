"""Environments for what must not enter the user's: made once, whole or not at all, in the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from avnir.errors import BackendError
from avnir.files import atomic_folder

Progress = Callable[[str], None]

MARKER = "pyvenv.cfg"
VERSION = "import sys; print(sys.executable); print('%d.%d' % sys.version_info[:2])"
INSTALL = ("-m", "pip", "install", "--no-deps", "--ignore-requires-python", "--disable-pip-version-check")
"""Every version is pinned, so nothing is resolved, and a package may run where it says that it does not."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment in a folder."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def holds(self, distribution: str, version: str) -> bool:
        """Whether it has an interpreter and a distribution, by its name in file names, in this version."""
        name = f"{distribution}-{version}.dist-info"
        return self.python.is_file() and any(self.folder.glob(f"lib/python3.*/site-packages/{name}"))


def cache() -> Path:
    """The folder of avnir's environments, in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avnir"


def make(folder: Path, executable: Path, fill: Callable[[Path], None], progress: Progress) -> None:
    """Make an environment on an interpreter, and have `fill` install what belongs in it and try it.

    `fill` gets a temporary folder, which becomes `folder` when it returns; nothing is left where it raises.
    """
    for leftover in folder.parent.glob(f".{folder.name}.*/"):
        shutil.rmtree(leftover, ignore_errors=True)
    with atomic_folder(folder, MARKER) as made:
        run([executable, "-m", "venv", made], progress)
        fill(made)


def interpreter(pythons: Sequence[str], whose: str, asked: Path | None = None) -> tuple[Path, str]:
    """An interpreter of one of the versions `pythons` and which: the one asked for, or the first found.

    BackendError where there is none; `whose` names what needs it.
    """
    if asked is not None:
        found = _version(asked)
        if found is None or found[1] not in pythons:
            what = f"is Python {found[1]}" if found else "does not run"
            raise BackendError(
                f"{asked} {what}, but {whose} needs Python {', '.join(pythons)}; name one of those"
            )
        return found
    for version in pythons:
        for candidate in candidates(version):
            found = _version(candidate)
            if found is not None and found[1] == version:
                return found
    raise BackendError(
        f"no Python {', '.join(pythons)} was found, and {whose} needs one; "
        f"install it (`uv python install {pythons[0]}` or `pyenv install {pythons[0]}`) "
        "or name it with --python"
    )


def candidates(version: str) -> Iterator[Path]:
    """Where an interpreter of this version may be: on the path, of pyenv, of uv."""
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from _newest_first(pyenv.glob(f"versions/{version}.*/bin/python"))
    uv = shutil.which("uv")
    if uv:
        answer = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    def patch(path: Path) -> int:
        digits = path.parts[-3].split(".")[-1]
        return int(digits) if digits.isdigit() else -1

    return sorted(paths, key=patch, reverse=True)


def _version(python: Path) -> tuple[Path, str] | None:
    """The real path and version of an interpreter, or None where it does not run."""
    try:
        answer = subprocess.run(
            [python, "-c", VERSION], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    path, version = answer.stdout.splitlines()
    return Path(path), version


def run(command: Sequence[Path | str], progress: Progress) -> None:
    """Run a command, telling its output line by line; BackendError with the end of it on failure."""
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip())
            progress(said[-1])
    if process.returncode != 0:
        shown = " ".join(map(str, command))
        raise BackendError("\n".join([f"`{shown}` failed; nothing was set up:", *said[-15:]]))


@contextmanager
def alone(folder: Path, remedy: str, progress: Progress) -> Iterator[None]:
    """Hold the lock beside a folder; BackendError with the remedy where nothing can be written there."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f".{folder.name}.lock").open("w")
    except OSError as error:
        raise BackendError(f"{folder.parent} cannot be written ({error.strerror}); {remedy}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another set-up to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
