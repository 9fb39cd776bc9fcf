"""Who is timed beside the engine: itself event by event, Lava, other simulators, and its ceilings."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from avnir.errors import BackendError
from avnir.hardware.ceiling import adder, multiplier
from avnir.hardware.cpu import CpuBackend
from avnir.hardware.lava import in_process, runtime
from avnir.hardware.lava.backend import LavaBackend
from avnir.hardware.lava.environment import LAVA_VERSION
from avnir.hardware.peers.registry import PEERS, Peer
from avnir.hardware.peers.session import PeerSession, session
from avnir.ir.operation import Array
from avnir.speed.contest import Contestant
from avnir.speed.programs import Case
from avnir.speed.results import CEILINGS, EVENTS, ROWS, size_text

LAVAS = {runtime.name: "Lava's runtime", in_process.name: "Lava, in one process"}
SIMULATORS = (*LAVAS, *(peer.name for peer in PEERS))
NAMES = (EVENTS, *SIMULATORS, *CEILINGS)
"""Everybody, in the order of the table."""
BESIDE: Mapping[str, tuple[str, ...]] = {
    "dense": (EVENTS, *SIMULATORS),
    "conv": (EVENTS, *SIMULATORS),
    "layer": (EVENTS, *CEILINGS),
    "sweep": (EVENTS,),
    "single": tuple(peer.name for peer in PEERS if peer.batched),
}
"""Who runs which program. Who takes samples one by one has run one of `dense`, which is `single`."""
ONE_BY_ONE_STEPS = 50
"""Steps of those who take samples one by one, which are enough for a time a step."""
LAVA_START = 4
"""Steps of a short run, which is taken off a longer one: what remains holds no start of Lava."""
LAVA_WINDOWS = {runtime.name: 4, in_process.name: 1}
"""How many windows the longer run is longer by: the runtime's start takes long, and never equally long."""

Opened = AbstractContextManager[Contestant]


def entered(case: Case, wanted: Collection[str], stack: ExitStack) -> tuple[list[Contestant], dict[str, str]]:
    """Those of `wanted` who run this program, open until `stack` ends, and who cannot, with the reason."""
    found: list[Contestant] = []
    absent: dict[str, str] = {}
    for name, (missing, opened) in _makers(case).items():
        if name not in wanted or name not in BESIDE[case.name]:
            continue
        if why := missing():
            absent[name] = why
            continue
        try:
            found.append(stack.enter_context(opened()))
        except BackendError as error:
            absent[name] = _reason(error)
    return found, absent


def _reason(error: BackendError) -> str:
    """The first line, and the last where that says more: of a worker that died it is the cause."""
    lines = str(error).splitlines()
    return lines[0] if lines[-1] in lines[0] else f"{lines[0]} {lines[-1]}"


def _makers(case: Case) -> dict[str, tuple[Callable[[], str | None], Callable[[], Opened]]]:
    """By name: what tells why somebody cannot take part, and what opens the program for him."""
    lavas = {
        backend.name: (backend.missing, partial(lava, backend, case)) for backend in (runtime, in_process)
    }
    simulators = {peer.name: (peer.missing, partial(simulator, peer, case)) for peer in PEERS}
    itself = {EVENTS: (_no_tiles, partial(by_events, case))}
    ceilings = {
        name: (_no_tiles if name == "ceiling-tiles" else _nothing, partial(ceiling, name, case))
        for name in CEILINGS
    }
    return {**itself, **lavas, **simulators, **ceilings}


def _nothing() -> None:
    """What is missing for a kernel of avnir's own."""


def _no_tiles() -> str | None:
    """What is missing where nothing can be done by products of tiles."""
    from avnir.hardware.cpu.tiles import available

    return None if available() else "this processor has no products of tiles, so the engine does without"


@contextmanager
def by_events(case: Case) -> Iterator[Contestant]:
    """The engine as it is on other processors."""
    with CpuBackend(tiles=False).session(case.program) as opened:

        def run() -> tuple[float, int]:
            started = time.perf_counter()
            opened.run(case.inputs)
            return time.perf_counter() - started, case.steps * case.batch

        def spikes() -> Mapping[str, Array]:
            return opened.run(case.inputs).spikes

        how = size_text(case.batch, case.steps)
        yield Contestant(EVENTS, "avnir, event by event", run, how, case.inputs, spikes, True)


@contextmanager
def lava(backend: LavaBackend, case: Case) -> Iterator[Contestant]:
    """Lava over one sample: what a long run takes longer than a short one."""
    steps = LAVA_WINDOWS[backend.name] * case.steps
    long = case.resized(1, LAVA_START + steps).inputs
    short = case.resized(1, LAVA_START).inputs
    with backend.session(case.program) as opened:

        def run() -> tuple[float, int]:
            return opened.timed(long)[1] - opened.timed(short)[1], steps

        def spikes() -> Mapping[str, Array]:
            return opened.run(long).spikes

        opened.run(short)
        how = f"1 sample, {LAVA_START + steps} steps less {LAVA_START}"
        versions = {"lava-nc": LAVA_VERSION}
        yield Contestant(backend.name, LAVAS[backend.name], run, how, long, spikes, True, versions)


@contextmanager
def simulator(peer: Peer, whole: Case) -> Iterator[Contestant]:
    """A simulator, over the batch or over one sample."""
    case = whole if peer.batched else whole.resized(1, min(whole.steps, ONE_BY_ONE_STEPS))
    with session(peer, case, peer.python()) as opened:
        opened.run()
        how = f"{size_text(case.batch, case.steps)}, {_threads_text(faster_threads(opened))}"
        yield Contestant(
            peer.name, peer.title, opened.run, how, case.inputs, opened.spikes, peer.exact, opened.versions
        )


def faster_threads(opened: PeerSession) -> int | None:
    """Have it use one thread where that is faster than as many as it takes by default; how many it has."""
    if opened.threads is None or opened.threads == 1:
        return opened.threads
    by_default = opened.run()[0]
    opened.use(1)
    if opened.run()[0] < by_default:
        return 1
    opened.use(opened.threads)
    return opened.threads


def _threads_text(threads: int | None) -> str:
    return {None: "its own number of threads", 1: "1 thread"}.get(threads, f"{threads} threads")


@contextmanager
def ceiling(name: str, case: Case) -> Iterator[Contestant]:
    """The additions or the products of a program of one dense layer, and nothing else."""
    spikes, weight = case.spikes.reshape(case.steps * case.batch, -1), case.layers[0].weight
    work = f"{int(spikes.sum()):,} rows" if name in ROWS else f"{spikes.size * len(weight):,} products"
    run = (
        adder(spikes, weight, in_memory=name == "ceiling-memory")
        if name in ROWS
        else multiplier(spikes, weight)
    )
    how = f"{size_text(case.batch, case.steps)}, {work}"
    yield Contestant(name, CEILINGS[name], lambda: (run(), len(spikes)), how)
