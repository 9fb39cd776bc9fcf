"""How every kernel is compiled: exact, free of the interpreter's lock, kept on disk where possible."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(function: Kernel) -> Kernel:
    """The function as machine code, made at its first call.

    The code is kept beside the source or in the user's cache folder (`NUMBA_CACHE_DIR`), so that only
    the first use after an installation waits. Where neither can be written, or the disk is full, it is
    made anew in each process. Numba notices a change of the kernel's own file only: what a kernel calls
    stands in the same file.
    """
    try:
        kernel = numba.njit(function, cache=True, nogil=True)
    except RuntimeError:  # numba: "cannot cache function ...: no locator available"
        return numba.njit(function, nogil=True)
    _keep_if_possible(kernel._cache)
    return kernel


def _keep_if_possible(cache: Any) -> None:
    """Numba lets a full disk stop the computation when it keeps the code; the code is good without."""
    save = cache.save_overload

    def save_if_possible(signature: Any, data: Any) -> None:
        with suppress(OSError):
            save(signature, data)

    cache.save_overload = save_if_possible
