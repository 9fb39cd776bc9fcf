"""A program onto the cores of chips, or the reasons why it does not fit and what would make it fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from avnir.errors import LimitError, TargetError
from avnir.ir.operation import Array
from avnir.place.memory import RULES
from avnir.place.network import network_of
from avnir.place.partition import TooLargeError
from avnir.place.placement import Piece, Placement
from avnir.place.plan import Plan, plan
from avnir.place.problem import Problem
from avnir.place.remedies import beyond_the_chip, too_large, too_many
from avnir.place.resources import capacity
from avnir.place.work import Spikes, means, spikes_of
from avnir.program import Program
from avnir.target import Target
from avnir.trace import Trace


def place(
    program: Program,
    target: Target,
    *,
    chips: int = 1,
    cores: int | None = None,
    run: tuple[Mapping[str, Array], Trace] | None = None,
    mean: Spikes | None = None,
) -> Placement:
    """Where every neuron of `program` runs on at most `chips` chips of `target`.

    cores: usable cores of a chip, by default what the target says (sources dispute it).
    run: inputs `[T, B, *shape]` and the trace they gave; the work of a piece is then measured, not worst.
    mean: the same where no such trace is held, as `avnir.place.work.means` gives it.

    Raises LimitError with every limit that binds and the remedies that were tried, UnsupportedError where
    the program cannot be cut, TargetError where the options are none of the chip's.
    """
    usable = _usable(target, chips, cores)
    if findings := list(beyond_the_chip(program, target)):
        raise LimitError(f"the program does not fit {target.title}", findings)
    network = network_of(program.graph, target.limits.delay_steps.value.bit_length())
    if run is not None:
        mean = means(spikes_of(network, *run))
    problem = Problem(network, RULES[target.core_memory], capacity(target.limits), mean)
    try:
        made = plan(problem)
    except TooLargeError as error:
        finding = too_large(problem, network.layers[error.layer])
        raise LimitError(f"the program does not fit {target.title}", [finding]) from error
    if made.used > chips * usable:
        reasons = too_many(problem, made, usable, chips)
        raise LimitError(f"the program does not fit {target.title}", reasons)
    pieces = tuple(_pieces(made, usable))
    return Placement(target.name, program.digest, chips, usable, mean is not None, pieces)


def _usable(target: Target, chips: int, cores: int | None) -> int:
    limits = target.limits
    there = limits.mesh_columns.value * limits.mesh_rows.value * limits.cores_per_tile.value
    usable = limits.cores.value if cores is None else cores
    if chips < 1:
        raise TargetError(f"{chips} chips are none; give at least 1")
    if not 1 <= usable <= there:
        raise TargetError(
            f"{target.title} has {there} cores; {usable} usable ones cannot be; give 1 to {there}"
        )
    return usable


def _pieces(made: Plan, usable: int) -> Iterator[Piece]:
    names = [(name, box) for name, grid in made.grids.items() for box in grid.boxes()]
    for (name, (channels, rows, columns)), core, counts, work in zip(
        names, made.cores, made.cuts.counts, made.cuts.work, strict=True
    ):
        chip, number = divmod(int(core), usable)
        taken = tuple(int(count) for count in counts)
        yield Piece(name, channels, rows, columns, chip, number, taken, float(work))
