"""What Dask loads in each worker process of this machine when it starts (a preload module of Dask's)."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the command: it ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
