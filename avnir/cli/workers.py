"""The options `--workers` and `--scheduler`: where a command's work is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.progress import counted, stage

if TYPE_CHECKING:
    from distributed import Client

    from avnir.ir.operation import Array
    from avnir.program import Program
    from avnir.trace import Trace


@dataclass(frozen=True)
class Where:
    """In this process, on `workers` processes of this machine, or at the Dask scheduler `scheduler`."""

    workers: int | None = None
    scheduler: str | None = None

    @property
    def elsewhere(self) -> bool:
        """Whether other processes do it."""
        return self.workers is not None or self.scheduler is not None


HERE = Where()


def worker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--workers` and `--scheduler`, handed over as one `where`."""

    @wraps(command)
    def packed(workers: int | None, scheduler: str | None, **rest: Any) -> Any:
        if workers is not None and scheduler is not None:
            raise click.UsageError(
                "--workers starts processes here, --scheduler has its own; give one of them"
            )
        return command(where=Where(workers, scheduler), **rest)

    options = (
        click.option("--workers", type=click.IntRange(1), help="Spread the work over N processes here."),
        click.option("--scheduler", metavar="ADDRESS", help="Spread it over a Dask scheduler's workers."),
    )
    made: Callable[..., Any] = packed
    for option in reversed(options):
        made = option(made)
    return made


@contextmanager
def opened(where: Where) -> Iterator[Client | None]:
    """The client of the workers, once one of them is there; None where the work is done in this process.

    BackendError where no scheduler answers, or it or a worker has not this version of avnir.
    """
    from avnir.many.clusters import check, on_machines, on_this_machine

    if where.scheduler is not None:
        with on_machines(where.scheduler) as client:
            _wait(client, where.scheduler)
            check(client)
            yield client
    elif where.workers is not None:
        with on_this_machine(where.workers) as client:
            yield client
    else:
        yield None


def _wait(client: Client, address: str) -> None:
    """Wait for the first worker; a queue may hold it back for hours."""
    from avnir.many.clusters import threads

    if threads(client) == 0:
        click.echo(f"no worker has joined {address} yet: waiting for the first", err=True)
        with stage("waiting for a worker"):
            client.wait_for_workers(1)


def timed_run(
    where: Where, program: Program, backend: str, inputs: Mapping[str, Array], states: bool = False
) -> tuple[Trace, float]:
    """The trace of a run on a backend, wherever that is done, and the seconds that it took once started."""
    from avnir.backend import find
    from avnir.many.samples import cut, run_part, traces

    if not where.elsewhere:
        with find(backend).session(program) as session, stage(backend):
            start = time.perf_counter()
            return session.run(inputs, states=states), time.perf_counter() - start
    with opened(where) as client:
        parts = cut(backend, inputs, client, states)
        with counted(backend, len(parts)) as done:
            start = time.perf_counter()
            trace = traces(client, run_part, program, parts, done)[backend]
            return trace, time.perf_counter() - start
