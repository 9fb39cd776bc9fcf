"""What `avnir verify` is asked: options of the command line over a budget's file, as one budget a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from avnir.cli.bits import weight_bits_option
from avnir.cli.calibration import calibrate_option
from avnir.cli.chips import chip_options
from avnir.cli.source import FUNCTION, Request, names_of

if TYPE_CHECKING:
    from avnir.verify.budget import Budget

_OF_ONE = ("inputs", "weights", "time", "dt", "outputs", "golden")
"""Options that mean one model, and so need MODEL."""


def _duration(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A time as seconds."""
    from avnir.verify.budget import seconds

    try:
        found = None if value is None else float(seconds(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if found is not None and not 0 <= found < float("inf"):
        raise click.BadParameter(f"{value} is no time from 0 on")
    return found


@dataclass(frozen=True)
class Asked:
    """The options of one call: `defaults` and those `given`, by the fields of a budget, and the file."""

    defaults: Mapping[str, Any]
    given: Mapping[str, Any]
    file: Path | None


@dataclass(frozen=True)
class Job:
    """One model to verify, as it is called, and what it must reach."""

    request: Request
    budget: Budget


_share = click.FloatRange(0, 1)
_OPTIONS = (
    click.option("--target", default="loihi2", show_default=True, help="Chip; see `avnir targets`."),
    click.option(
        "--backend",
        "backends",
        multiple=True,
        default=("cpu",),
        show_default=True,
        help="May be repeated.",
    ),
    click.option("--samples", type=click.IntRange(1), help="Use the first N samples only."),
    weight_bits_option,
    calibrate_option,
    chip_options,
    click.option("--min-agreement", type=_share, help="Fail below this share of equal spike slots."),
    click.option("--min-accuracy", type=_share, help="Fail below this accuracy of the integers."),
    click.option(
        "--max-accuracy-drop",
        type=click.FloatRange(-1, 1),
        help="Fail where the integers lose more of the float reference's accuracy: 0.01 is a point.",
    ),
    click.option("--max-cores", type=click.IntRange(1), help="Fail above this many cores."),
    click.option(
        "--max-synops", type=click.FloatRange(0), help="Fail above this many stored SynOps a sample."
    ),
    click.option(
        "--max-latency",
        metavar="TIME",
        callback=_duration,
        help="Fail where a window takes longer, on average: seconds, or with a unit, as 500us or 2ms.",
    ),
    click.option(
        "--golden",
        type=click.Path(path_type=Path),
        help="Fail unless every spike is that of this trace, which --record wrote.",
    ),
    click.option(
        "--budget",
        "budget",
        type=click.Path(path_type=Path),
        help="The file of budgets [default: avnir.toml in the current folder, if there is one].",
    ),
)


def gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How to run the stages and the limits, handed over as one `asked`."""

    @wraps(command)
    def packed(budget: Path | None, **rest: Any) -> Any:
        said = click.get_current_context().get_parameter_source
        options = {name: rest.pop(name) for name in _FIELDS}
        given = {name for name in options if said(name) is not ParameterSource.DEFAULT}
        asked = Asked(
            {name: value for name, value in options.items() if name not in given},
            {name: value for name, value in options.items() if name in given},
            budget,
        )
        return command(asked=asked, **rest)

    made: Callable[..., Any] = packed
    for option in reversed(_OPTIONS):
        made = option(made)
    return made


_FIELDS = (
    *("target", "backends", "samples", "weight_bits", "calibrate", "chips", "cores", "golden"),
    *("min_agreement", "min_accuracy", "max_accuracy_drop", "max_cores", "max_synops", "max_latency"),
)
"""The options that are fields of a budget (`avnir.verify.budget.Budget`)."""


def jobs(request: Request, asked: Asked) -> tuple[Job, ...]:
    """The model that was named, under its budget if the file has one; without a model all that are in it.

    Raises DataError where the file is wrong, UserError where neither says what to verify.
    """
    from avnir.errors import UserError
    from avnir.verify.budget import NAME, read_budgets

    file = asked.file or (Path(NAME) if Path(NAME).is_file() else None)
    listed = {} if file is None else read_budgets(file)
    if request.model:
        table = next((t for name, t in listed.items() if _same(name, request.model, file)), None)
        if table is None and asked.file is not None:
            raise UserError(f"{asked.file} has no budget for {request.model}; it has {', '.join(listed)}")
        if table is None and file is not None:
            click.echo(f"{file} has no budget for {request.model}", err=True)
        return (_job(request, asked, table),)
    if file is None:
        raise UserError(f"nothing to verify: give MODEL, or list models in {NAME}")
    if one := sorted(_of_one(request, asked)):
        raise UserError(f"{', '.join(one)} mean one model; name it, or say it in {file}")
    return tuple(_job(Request(_place(name, file)), asked, table) for name, table in listed.items())


def _job(request: Request, asked: Asked, table: Mapping[str, Any] | None) -> Job:
    from avnir.verify.budget import budget_of

    budget = budget_of(asked.defaults, table or {}, asked.given)
    kept = None if budget.outputs is None else names_of(budget.outputs)
    told = Request(request.model, budget.weights, budget.inputs, budget.time, budget.dt, kept)
    stated = {name: value for name, value in vars(request).items() if value is not None}
    return Job(replace(told, **stated), budget)


def _of_one(request: Request, asked: Asked) -> Iterator[str]:
    given = {name for name, value in vars(request).items() if value is not None} | asked.given.keys()
    return (f"--{name}" for name in given & set(_OF_ONE))


def _place(name: str, file: Path) -> str:
    """A model of a file by its place from here."""
    return name if FUNCTION.match(name) else str(file.parent / name)


def _same(name: str, model: str, file: Path | None) -> bool:
    if file is None or FUNCTION.match(name):
        return name == model
    return (file.parent / name).resolve() == Path(model).resolve()
