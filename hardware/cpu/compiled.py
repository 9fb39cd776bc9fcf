"""How every kernel is compiled: exact, free of the interpreter's lock, kept on disk where possible."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

OPTIONS: Any = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
"""Kernels divide by nothing that can be 0, and index nothing that they were not laid out for."""
INLINED: Any = {**OPTIONS, "forceinline": True, "_nrt": False}
"""A piece of a kernel holds no array of its own, so it counts no references to those that it is given."""

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(function: Kernel) -> Kernel:
    """The function as machine code, made at its first call.

    The code is kept beside the source or in the user's cache folder (`NUMBA_CACHE_DIR`), so that only
    the first use after an installation waits. Where neither can be written, or the disk is full, it is
    made anew in each process. It is made anew, too, when any file of this folder changes.
    """
    try:
        kernel = numba.njit(function, cache=True, **OPTIONS)
    except RuntimeError:  # numba: "cannot cache function ...: no locator available"
        return numba.njit(function, **OPTIONS)
    _keep_if_possible(kernel._cache)
    return kernel


def inlined(function: Kernel) -> Kernel:
    """A piece of kernels, compiled into each of them: constants of the kernel are constants of the piece."""
    piece: Kernel = numba.njit(function, **INLINED)
    return piece


def _keep_if_possible(kept: Any) -> None:
    """Numba lets a full disk stop the computation when it keeps the code; the code is good without.

    It also compares the time of the kernel's own file only, and a kernel is made of pieces from others.
    """
    save = kept.save_overload
    kept._cache_file._source_stamp = _stamp()

    def save_if_possible(signature: Any, data: Any) -> None:
        with suppress(OSError):
            save(signature, data)

    kept.save_overload = save_if_possible


@cache
def _stamp() -> tuple[tuple[str, float, int], ...]:
    """Name, time and size of every file that a kernel can be made of."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((file.name, file.stat().st_mtime, file.stat().st_size) for file in files)
