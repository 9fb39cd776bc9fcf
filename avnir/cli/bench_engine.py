"""`avnir bench engine`: how fast the engine is, beside Lava, snnTorch and other simulators."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.output import emit, json_option, table
from avnir.cli.progress import counted, stage

if TYPE_CHECKING:
    from avnir.speed.contest import Contestant, Entry
    from avnir.speed.machine import Machine
    from avnir.speed.results import Result
    from avnir.speed.sweeps import Point, Sweep

SYSTEM = "s-cmrl"
PROGRAMS = ("dense", "conv", "layer", "single", SYSTEM)
SWEEPS = ("density", "batch", "steps", "neurons", "synapses")
QUICK = (2, 8)
"""Samples and steps of `--quick`."""


@click.command("engine")
@click.option("--program", "programs", multiple=True, type=click.Choice(PROGRAMS), help="These alone.")
@click.option(
    "--beside", multiple=True, metavar="NAME", help="Only these beside the engine; none for nobody."
)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Rounds.")
@click.option("--sweep", multiple=True, type=click.Choice([*SWEEPS, "all"]), help="How time grows, besides.")
@click.option(
    "--setup", "peers", multiple=True, metavar="NAME", help="Make a simulator's environment, or all."
)
@click.option("--readme", type=click.Path(path_type=Path), help="Put the table between its marks in FILE.")
@click.option("--quick", is_flag=True, help=f"{QUICK[0]} samples x {QUICK[1]} steps: to try it, not to time.")
@json_option
def command(
    programs: tuple[str, ...],
    beside: tuple[str, ...],
    repeats: int,
    sweep: tuple[str, ...],
    peers: tuple[str, ...],
    readme: Path | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Time the CPU engine on fixed programs, and in the same run others on the same programs.

    Others are Lava's runtime and Lava in one process, snnTorch, and each of SpikingJelly, norse, SANA-FE,
    nengo-loihi and Brian2Loihi whose environment was made with --setup. Everybody has a turn in each round;
    what is given is the median, with the quartiles. Each spike of the engine in each timed run is compared
    with the integer interpreter's: where one differs there is no table, and the exit status is 1.

    NAMEs are lava-runtime, lava, snntorch, spikingjelly, norse, sana-fe, nengo-loihi, brian2loihi;
    avnir-events for the engine without products of tiles (AMX), as it is on other processors; ceiling-cache
    and ceiling-memory for a kernel that only adds rows of weights, ceiling-tiles for one of products alone.
    """
    if peers:
        _set_up(peers, as_json)
        return
    from avnir.speed.machine import this_machine
    from avnir.speed.table import check_marks, markdown, write

    if readme is not None:
        check_marks(readme)
    machine = this_machine()
    wanted = _wanted(beside)
    found = [_result(name, wanted, repeats, quick) for name in PROGRAMS if name in programs or not programs]
    results = [replace(result, full=not quick) for result in found]
    names = [name for name in SWEEPS if name in sweep or "all" in sweep]
    sweeps = [sweep for name in names for sweep in _swept(name, repeats, quick)]
    if as_json:
        emit(_record(machine, results, sweeps, repeats))
    else:
        _show(machine, results, sweeps, repeats)
    if readme is not None:
        write(readme, markdown(machine, results, repeats))


def _set_up(names: tuple[str, ...], as_json: bool) -> None:
    """Make the environments, one after the other; who cannot be set up does not keep the others from it."""
    from avnir.errors import BackendError
    from avnir.hardware.peers.install import setup
    from avnir.hardware.peers.registry import peers

    made: dict[str, str] = {}
    failed: dict[str, str] = {}
    for peer in peers(names):
        try:
            with stage(f"setting up {peer.title}"):
                made[peer.name] = str(setup(peer))
        except BackendError as error:
            failed[peer.name] = str(error)
    if as_json:
        emit({"environments": made, "failed": failed})
    else:
        for name, folder in made.items():
            click.echo(f"{name} is ready in {folder}")
    if failed:
        raise BackendError("\n".join(f"{name}: {why}" for name, why in failed.items()))


def _wanted(beside: tuple[str, ...]) -> Collection[str]:
    """Who may take part; BackendError where a name is unknown."""
    from avnir.errors import BackendError
    from avnir.hardware.contestants import NAMES

    if beside == ("none",):
        return ()
    if unknown := [name for name in beside if name not in NAMES]:
        raise BackendError(f"nobody is called {unknown[0]!r}; there are {', '.join(NAMES)}, and none")
    return beside or NAMES


def _result(name: str, wanted: Collection[str], repeats: int, quick: bool) -> Result:
    """One program, timed beside everybody who is here."""
    if name == SYSTEM:
        return _system(wanted, repeats, quick)
    from avnir.hardware.contestants import entered
    from avnir.speed.programs import CASES

    case = CASES[name]()
    if quick:
        case = case.resized(min(case.batch, QUICK[0]), QUICK[1])
    with ExitStack() as stack:
        with stage(f"{name}: opening it everywhere"):
            others, absent = entered(case, wanted, stack)
        return _contest(case.entry, others, absent, repeats)


def _system(wanted: Collection[str], repeats: int, quick: bool) -> Result:
    """S-CMRL, which needs torch."""
    from importlib.util import find_spec

    from avnir.speed.results import Result

    title = "S-CMRL, C=32, events of 28x28"
    if not find_spec("snntorch"):
        why = 'it needs snntorch, which is not installed; run: pip install "avnir[torch]"'
        return Result(SYSTEM, title, 0, 0, {}, (), {SYSTEM: why})
    from avnir.cli.bench_system import system

    with stage(f"{SYSTEM}: tracing and compiling it"):
        entry, eager = system(SYSTEM, title, QUICK[0] if quick else None)
    return _contest(entry, [eager] if eager.name in wanted else [], {}, repeats)


def _contest(entry: Entry, others: list[Contestant], absent: dict[str, str], repeats: int) -> Result:
    from avnir.backend import find
    from avnir.speed.contest import contest

    with (
        find("cpu").session(entry.program) as session,
        counted(entry.name, repeats * (1 + len(others))) as told,
    ):
        return contest(entry, session, others, absent, repeats, told)


def _swept(name: str, repeats: int, quick: bool) -> list[Sweep]:
    """One sweep of the engine, and of the engine event by event where it need not go so."""
    from avnir.hardware.contestants import entered
    from avnir.speed.results import EVENTS
    from avnir.speed.sweeps import cases, fitted, point

    points: dict[str, list[Point]] = {}
    for size, case in cases(name)[:3] if quick else cases(name):
        with ExitStack() as stack:
            others, _ = entered(case, (EVENTS,), stack)
            found = _contest(case.entry, others, {}, repeats)
        for timing in found.timings:
            way = f"{name}, event by event" if timing.name == EVENTS else name
            points.setdefault(way, []).append(point(size, case, timing.seconds))
    return [fitted(way, made) for way, made in points.items()]


def _record(machine: Machine, results: list[Result], sweeps: list[Sweep], repeats: int) -> dict[str, Any]:
    return {
        "machine": machine.record(),
        "warning": machine.warning,
        "repeats": repeats,
        "programs": [result.record() for result in results],
        "sweeps": [sweep.record() for sweep in sweeps],
    }


def _show(machine: Machine, results: list[Result], sweeps: list[Sweep], repeats: int) -> None:
    from avnir.speed import sweeps as swept
    from avnir.speed.table import HEAD, activity, conditions, distances, left_out, rows

    table("the engine and others on the same programs", HEAD, rows(results))
    for line in [*distances(results), *activity(results), *conditions(machine, repeats), *left_out(results)]:
        click.echo(line)
    for sweep in sweeps:
        table(sweep.name, (sweep.name, *swept.HEAD[1:]), swept.rows(sweep))
        click.echo(sweep.summary)
    if machine.warning:
        click.echo(f"avnir: {machine.warning}", err=True)
