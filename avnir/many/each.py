"""Hand out pieces of work and give their results as they come; a lost worker's are done again.

What a piece needs travels with it and stays at the scheduler until its result is here, so a worker can be
lost at any moment. Functions are pure: done twice, a piece gives the same result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from avnir import __version__
from avnir.errors import BackendError
from avnir.many.clusters import all_gone
from avnir.many.packing import packed, unpacked

if TYPE_CHECKING:
    from distributed import Client, Future

REMEDY = "perhaps they have too little memory: use fewer samples (--samples), or fewer workers on one machine"
PATIENCE = 2.0
"""Seconds without a result after which it is seen whether there are workers at all."""
AHEAD = 256
"""Pieces that are handed out before the first of them is back: what bounds the memory of the scheduler."""

Common = TypeVar("Common")
Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    client: Client | None,
    function: Callable[[Common, Item], Result],
    common: Common,
    items: Iterable[Item],
) -> Iterator[tuple[int, Result]]:
    """`function(common, item)` of every item: its place among the items, and the result.

    Without a client in this process and in order; else on the client's workers, in the order in which they
    come. `function` is one of a module's. Raises what it raises; BackendError where a piece of work ends
    every worker that takes it, where the scheduler is lost, or where a worker has another avnir.
    """
    if client is None:
        return ((place, function(common, item)) for place, item in enumerate(items))
    return _spread(client, function, common, items)


def _spread(
    client: Client, function: Callable[..., Result], common: object, items: Iterable[object]
) -> Iterator[tuple[int, Result]]:
    job = f"avnir-{uuid4().hex}"
    shared = client.submit(_itself, packed(common), key=f"{job}-common")
    waiting = enumerate(items)
    places: dict[Future[Any], int] = {}
    finished: SimpleQueue[Future[Any]] = SimpleQueue()

    def hand_out(count: int) -> None:
        for place, item in islice(waiting, count):
            future = client.submit(_done, __version__, shared, function, item, key=f"{job}-{place}")
            places[future] = place
            future.add_done_callback(finished.put)

    try:
        hand_out(AHEAD)
        while places:
            future = _next(client, finished)
            result = _result(future)
            yield places.pop(future), result
            hand_out(1)
    finally:
        client.cancel([*places, shared])


def _itself(content: bytes) -> bytes:
    return content


def _done(version: str, shared: bytes, function: Callable[[Any, Any], Result], item: object) -> Result:
    """On a worker. One that was started elsewhere runs as many pieces as it has threads, each in one."""
    if version != __version__:
        raise BackendError(
            f"a worker has avnir {__version__}, but this is {version}; install the same version there"
        )
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # read when numba is loaded
    return function(unpacked(shared), item)


def _next(client: Client, finished: SimpleQueue[Future[Any]]) -> Future[Any]:
    """The next that is finished. A worker that ends again while it is restarted is given up by Dask."""
    while True:
        try:
            return finished.get(timeout=PATIENCE)
        except Empty:
            if all_gone(client):
                raise BackendError(f"the work ended every worker; {REMEDY}") from None


def _result(future: Future[Any]) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        ended = error.allowed_failures + 1
        raise BackendError(f"a piece of work ended {ended} workers, one after another; {REMEDY}") from error
    except CancelledError as error:
        raise BackendError("the Dask scheduler was lost; start it and its workers again") from error
