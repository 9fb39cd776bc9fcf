"""Where the work is done: worker processes of this machine, or those of a Dask scheduler anywhere."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from avnir import __version__
from avnir.errors import BackendError

if TYPE_CHECKING:
    from distributed import Client

ANSWER = "10s"
"""How long a scheduler has to answer before it counts as not there."""
CONFIG = {
    "distributed.admin.large-graph-warning-threshold": "4 GiB",
    "distributed.scheduler.allowed-failures": 3,
}
"""A network and its inputs travel with the work, so that it can be done again wherever a worker is lost. A
piece of work that ends four workers is given up: it is what ends them."""
GONE = ("closing", "closing_gracefully", "closed", "failed")
"""What Dask calls the state of one that restarts a worker no more."""
LEAKED = ("MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that Dask sets for its workers in this process too."""


@contextmanager
def on_this_machine(workers: int) -> Iterator[Client]:
    """As many worker processes here, each with its share of the processors; all end with the context."""
    import dask
    from distributed import Client, LocalCluster

    share = max(1, len(os.sched_getaffinity(0)) // workers)
    options = {
        "n_workers": workers,
        "threads_per_worker": 1,
        "memory_limit": None,
        "dashboard_address": "127.0.0.1:0",
        "worker_dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
        "preload": ["avnir.many.worker"],
        "env": {"NUMBA_NUM_THREADS": str(share)},
    }
    with (
        dask.config.set(CONFIG),
        _environment_kept(),
        LocalCluster(**options) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def on_machines(address: str) -> Iterator[Client]:
    """The workers of the scheduler at `address`; BackendError where none answers there."""
    import dask
    from distributed import Client

    with dask.config.set(CONFIG), _quiet():
        problem = ""
        try:
            client = Client(address, timeout=ANSWER)
        except (OSError, ValueError, TypeError) as error:
            problem = f"({error})"
        if problem:
            gc.collect()  # half a client, found while another's loop starts, would lock both
            raise BackendError(
                f"no Dask scheduler answers at {address!r} {problem}; give the address that `dask scheduler` "
                "prints, as tcp://host:8786"
            )
        with client:
            yield client


def check(client: Client) -> None:
    """Raise BackendError where the scheduler or a worker that is there has no avnir, or another version.

    A worker without it would end at its first piece of work, and nothing would ever come back.
    """
    asked = resolve_name, "avnir:__version__"
    try:
        found = {"the scheduler": client.run_on_scheduler(*asked)}
    except ModuleNotFoundError as error:
        found = {"the scheduler": error}
    found |= client.run(*asked, on_error="return")
    wrong = [f"{place} has {_told(what)}" for place, what in found.items() if what != __version__]
    if wrong:
        raise BackendError(
            f"this is avnir {__version__}, but {', '.join(wrong)}; install the same version there"
        )


def _told(found: object) -> str:
    return "none" if isinstance(found, ModuleNotFoundError) else str(found)


def threads(client: Client) -> int:
    """How many pieces of work the workers that are there do at the same time; 0 before the first has come."""
    return sum(client.nthreads().values())


def all_gone(client: Client) -> bool:
    """Whether no worker of this machine is left or will come back; False where they are a scheduler's."""
    cluster = client.cluster
    return cluster is not None and all(nanny.status.name in GONE for nanny in cluster.workers.values())


@contextmanager
def _environment_kept() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in LEAKED}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own account of lost connections left out: what follows from them is told in one message."""
    handlers = logging.getLogger("distributed").handlers
    before = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in zip(handlers, before, strict=True):
            handler.setLevel(level)
