"""Makes Lava's environment: whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from avnir.errors import BackendError
from avnir.files import atomic_folder
from avnir.hardware.lava.environment import PYTHONS, REQUIREMENTS, Environment, place
from avnir.hardware.lava.smoke import smoke

Progress = Callable[[str], None]

VERSION = "import sys; print(sys.executable); print('%d.%d' % sys.version_info[:2])"
INSTALL = ("-m", "pip", "install", "--no-deps", "--ignore-requires-python", "--disable-pip-version-check")
"""Every version is pinned, so nothing is resolved; lava-nc refuses Python 3.11 and 3.12, on which it runs."""

LAVA_DL_VERSION = "0.6.0"
NETX = (f"lava-dl=={LAVA_DL_VERSION}", "h5py==3.14.0")
"""What reads netx files. lava-dl is 68 MB, most of it examples; torch, which it declares, is not needed."""


def setup(progress: Progress, python: Path | None = None, force: bool = False, netx: bool = False) -> Path:
    """Make the environment unless it is there, check it by a run, and return its folder.

    With `netx` lava-dl is added, also to one that is there. `progress` is told each step in words. Several
    set-ups at once wait for one another. Raises BackendError where no fitting Python is found, or where
    installing or the run fails.
    """
    executable, version = interpreter(python)
    folder = place(version)
    with _alone(folder, progress):
        if Environment(folder).complete and not force:
            progress(f"{folder} is there already")
        else:
            _make(folder, executable, version, progress)
        if netx and not has_netx(Environment(folder)):
            progress(f"adding lava-dl {LAVA_DL_VERSION}")
            _run([Environment(folder).python, *INSTALL, *NETX], progress)
    progress(f"{folder} is ready")
    return folder


def has_netx(environment: Environment) -> bool:
    """Whether it holds lava-dl in the version that avnir was checked against."""
    found = environment.folder.glob(f"lib/python3.*/site-packages/lava_dl-{LAVA_DL_VERSION}.dist-info")
    return any(found)


def _make(folder: Path, executable: Path, version: str, progress: Progress) -> None:
    for leftover in folder.parent.glob(f".{folder.name}.*/"):
        shutil.rmtree(leftover, ignore_errors=True)
    with atomic_folder(folder, "pyvenv.cfg") as made:
        progress(f"making an environment of Python {version}")
        _run([executable, "-m", "venv", made], progress)
        _run([Environment(made).python, *INSTALL, "-r", REQUIREMENTS], progress)
        progress("running one neuron layer in it")
        smoke(Environment(made))


def interpreter(python: Path | None) -> tuple[Path, str]:
    """An interpreter to build on and its version; the one that was asked for, or the first found."""
    if python is not None:
        found = _version(python)
        if found is None or found[1] not in PYTHONS:
            what = f"is Python {found[1]}" if found else "does not run"
            raise BackendError(
                f"{python} {what}, but Lava needs Python {', '.join(PYTHONS)}; name one of those"
            )
        return found
    for version in PYTHONS:
        for candidate in _candidates(version):
            found = _version(candidate)
            if found is not None and found[1] == version:
                return found
    raise BackendError(
        f"no Python {', '.join(PYTHONS)} was found, and Lava needs one; "
        "install it (`uv python install 3.10` or `pyenv install 3.10`) or name it with --python"
    )


def _candidates(version: str) -> Iterator[Path]:
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


def _run(command: Sequence[Path | str], progress: Progress) -> None:
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
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock beside the folder."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f".{folder.name}.lock").open("w")
    except OSError as error:
        raise BackendError(
            f"{folder.parent} cannot be written ({error.strerror}); set AVNIR_LAVA_ENV"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another set-up to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
