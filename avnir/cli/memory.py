"""The option `--memory`: how much memory a command may take, and the run in pieces that keeps to it."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from avnir.cli.progress import stage
from avnir.cli.workers import Where, timed_run

if TYPE_CHECKING:
    from avnir.ir.operation import Array
    from avnir.pieces import Piece, Totals
    from avnir.program import Program

    Take = Callable[[Piece], object]

Result = TypeVar("Result")

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SHARE = 0.5
"""Of the memory that the machine has free, what a run may take unless the user says otherwise."""
SPARE = 256 << 20
"""Kept for compiled kernels and small arrays: compiling the kernels was measured to add 120 MiB."""
GRAIN = 64 << 20
"""A budget that is told is rounded up to it, so that the same command fits it the next time."""
MEMORY_INFO = Path("/proc/meminfo")
PROCESS_PAGES = Path("/proc/self/statm")
_GROUP = Path("/sys/fs/cgroup")
_OLD = _GROUP / "memory"
GROUPS = (
    (_GROUP / "memory.max", _GROUP / "memory.current", _GROUP / "memory.stat", "inactive_file"),
    (
        _OLD / "memory.limit_in_bytes",
        _OLD / "memory.usage_in_bytes",
        _OLD / "memory.stat",
        "total_inactive_file",
    ),
)
"""Limit and use of the control group of this process, in the second and the first version of Linux's."""


class Size(click.ParamType):  # type: ignore[type-arg]
    """Bytes as a number with a unit of 1024: 512M, 4G, 1.5G."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B)?", str(value).strip(), re.IGNORECASE)
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is no size; give a number and K, M, G or T, such as 4G or 512M", param, ctx)
        return int(float(found[1]) * UNITS[found[2].upper()])


def memory_option(command: Callable[..., Any], beside: str = "") -> Callable[..., Any]:
    """`--memory`, handed over as `memory` in bytes or None; `beside` says what is not in it."""
    text = f"Memory that this process may take{beside}, such as 4G or 512M [default: half of what is free]."
    return click.option("--memory", type=Size(), help=text)(command)


def check_alone(where: Where, memory: int | None) -> None:
    """UserError where a budget is given for work that other processes do."""
    from avnir.errors import UserError

    if where.elsewhere and memory is not None:
        raise UserError(
            "--memory is for one process, which takes some samples after others; leave out --workers and "
            "--scheduler, or use fewer --samples"
        )


def counted_run(
    where: Where,
    program: Program,
    backend: str,
    inputs: Mapping[str, Array],
    states: bool,
    memory: int | None,
    write: Take,
) -> tuple[Totals, float]:
    """What a run sends in all, and its seconds; `write` is given the trace in pieces.

    `memory`: bytes that the process may take in all, None for SHARE of what is free. Raises UserError with
    the least that works where that is more, and where the run does not go in pieces.
    """
    from avnir.backend import Piecewise, find
    from avnir.pieces import Totals

    steps, batch = next(iter(inputs.values())).shape[:2]
    totals, spent = Totals(program.graph, steps, batch), [0.0]

    def take(piece: Piece) -> None:
        begin = time.perf_counter()
        totals.add(piece)
        write(piece)
        spent[0] += time.perf_counter() - begin

    if where.elsewhere:
        return totals, _whole(where, program, backend, inputs, states, memory, take)
    with find(backend).session(program) as session:
        if not isinstance(session, Piecewise):
            return totals, _whole(where, program, backend, inputs, states, memory, take)
        with stage(backend):
            begin = time.perf_counter()
            run = partial(session.run_in_pieces, inputs, take, states)
            in_room(memory, totals.size, "one step of one sample", run)
            return totals, time.perf_counter() - begin - spent[0]


def _whole(
    where: Where,
    program: Program,
    backend: str,
    inputs: Mapping[str, Array],
    states: bool,
    memory: int | None,
    take: Take,
) -> float:
    """Run at once, hand the trace to `take`, and say how long the run took."""
    from avnir.errors import UserError
    from avnir.pieces import pieces_of

    if memory is not None:
        raise UserError(
            "--memory is for the backend cpu in one process, which runs in pieces; use fewer --samples here"
        )
    trace, seconds = timed_run(where, program, backend, inputs, states)
    for piece in pieces_of(trace):
        take(piece)
    return seconds


def in_room(
    memory: int | None, kept: int, least: str, work: Callable[[int], Result], remedy: str = ""
) -> Result:
    """What `work` gives, told the bytes that it may take; `kept` are those that it keeps besides.

    `memory`: bytes that the process may take in all, None for SHARE of what is free. Where `work` raises
    MemoryLimitError, UserError with what is enough: for `least`, or by a further `remedy`.
    """
    from avnir.errors import MemoryLimitError, UserError

    budget = int(SHARE * free()) + resident() if memory is None else memory
    taken = resident() + kept + SPARE
    try:
        return work(budget - taken)
    except MemoryLimitError as error:
        enough = math.ceil((taken + error.needed) / GRAIN) * GRAIN >> 20
        raise UserError(
            f"{budget >> 20}M of memory are too little: this process with the program, its inputs and "
            f"{least} takes {enough}M; give --memory {enough}M or more{remedy}"
        ) from error


def resident() -> int:
    """Bytes of memory that this process has now."""
    import resource

    return int(PROCESS_PAGES.read_text().split()[1]) * resource.getpagesize()


def free() -> int:
    """Bytes of memory that the machine has free, or the control group of this process, if that is less."""
    fields = dict(line.split(":", 1) for line in MEMORY_INFO.read_text().splitlines())
    machine = int(fields["MemAvailable"].split()[0]) << 10
    return min([machine, *(max(0, left) for names in GROUPS for left in _left(*names))])


def _left(limit: Path, used: Path, account: Path, cached: str) -> Iterator[int]:
    """What a control group has left, files that are only cached included; nothing where it has no limit."""
    try:
        fields = dict(line.split(" ", 1) for line in account.read_text().splitlines())
        yield int(limit.read_text()) - int(used.read_text()) + int(fields[cached])
    except (OSError, ValueError, KeyError):  # there is no such group, or its limit is "max"
        return
