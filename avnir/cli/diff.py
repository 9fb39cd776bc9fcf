"""`avnir diff`: what changed between two exported folders, or two verifications, for a review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.export import PLACEMENT
from avnir.cli.output import json_option, table
from avnir.cli.progress import stage
from avnir.cli.verdict import emit_with

if TYPE_CHECKING:
    from avnir.ir.operation import Array
    from avnir.report.changes import Section
    from avnir.verify.diff import Side


@click.command("diff")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--inputs", type=click.Path(path_type=Path), help="An .npz, [T, B, ...] per input, and labels.")
@click.option("--model", type=click.Path(path_type=Path), help="A model.pt whose examples are the inputs.")
@click.option("--samples", type=click.IntRange(1), help="Use the first N samples only.")
@click.option(
    "--max-growth",
    type=click.FloatRange(0),
    help="Fail where cores, stored SynOps, latency or energy grow by more than this share: 0.05 is 5 %.",
)
@click.option(
    "--max-accuracy-drop",
    type=click.FloatRange(0, 1),
    help="Fail where AFTER loses more accuracy than this: 0.01 is a point.",
)
@click.option("--markdown", is_flag=True, help="Print Markdown, for a pull request.")
@json_option
def command(
    before: Path,
    after: Path,
    inputs: Path | None,
    model: Path | None,
    samples: int | None,
    max_growth: float | None,
    max_accuracy_drop: float | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Say what changed from BEFORE to AFTER, two folders that `avnir export` wrote.

    Layers and their integers are compared by name. With --inputs, or the examples of --model, both programs
    run on the CPU engine, and spikes, SynOps, latency, energy and accuracy are compared too. A difference is
    no failure; limits are (exit status 1).

    BEFORE and AFTER may also be two files that `avnir verify --json` printed: figures alone are compared.
    """
    from avnir.errors import GateError, UserError
    from avnir.report.changes import changes_markdown

    if inputs is not None and model is not None:
        raise UserError("--inputs and --model both give inputs; leave one out")
    if markdown and as_json:
        raise UserError("--markdown and --json are two forms of one answer; leave one out")
    limits = max_growth, max_accuracy_drop
    if before.is_file() and after.is_file():
        if inputs is not None or model is not None or samples is not None:
            raise UserError("two files are compared as they are: leave out --inputs, --model and --samples")
        found = _files(before, after, limits)
    else:
        found = _folders(before, after, _inputs(inputs, model), samples, limits)
    error = GateError("\n".join(["the change costs too much:", *(f"  - {line}" for line in found.failed)]))
    if as_json:
        emit_with(found.record, error if found.failed else None)
    elif markdown:
        click.echo(changes_markdown(f"{before} to {after}", found.lines, found.sections), nl=False)
    else:
        _show(found)
    if found.failed and not as_json:
        raise error


@dataclass(frozen=True)
class _Answer:
    """What to print: lines, tables, JSON values; `failed`: a line for each limit that was passed."""

    lines: Sequence[str]
    sections: Sequence[Section]
    record: dict[str, Any]
    failed: Sequence[str]


_Shown = tuple[Mapping[str, "Array"], "Array | None"]
"""Inputs `[T, B, *shape]` by name, and labels `[B]`."""
_Limits = tuple[float | None, float | None]
"""Of growth and of lost accuracy."""


def _files(before: Path, after: Path, limits: _Limits) -> _Answer:
    """Two files of `avnir verify --json`."""
    from avnir.report.changes import record_headlines, record_sections
    from avnir.verify.diff_records import read_records, verified_twice
    from avnir.verify.growth import too_much

    both, single = verified_twice(read_records(before), read_records(after))
    failed = [f"{found.model}: {line}" for found in both for line in too_much(found.figures, *limits)]
    record = {"models": {found.model: found.record() for found in both}, "only_in_one": list(single)}
    return _Answer(list(record_headlines(both, single)), list(record_sections(both)), record, failed)


def _folders(
    before: Path, after: Path, shown: _Shown | None, samples: int | None, limits: _Limits
) -> _Answer:
    """Two exported folders."""
    from avnir.report.changes import headlines, sections
    from avnir.verify.diff import difference
    from avnir.verify.growth import too_much

    found = difference(_side(before, shown, samples), _side(after, shown, samples))
    failed = too_much(found.figures, *limits)
    return _Answer(list(headlines(found)), list(sections(found)), found.record(), failed)


def _inputs(inputs: Path | None, model: Path | None) -> _Shown | None:
    """What both programs are run on; None where nothing was given."""
    from avnir.cli.inputs import read_inputs
    from avnir.cli.source import Request, open_source
    from avnir.errors import DataError

    if inputs is not None:
        return read_inputs(inputs)
    if model is None:
        return None
    source = open_source(Request(str(model)))
    if source.inputs is None:
        raise DataError(f"{model} holds no example inputs; give --inputs FILE.npz")
    return source.inputs, source.labels


def _side(folder: Path, shown: _Shown | None, samples: int | None) -> Side:
    """A folder's program and placement, and its run over the first samples of what is shown."""
    from avnir import target
    from avnir.backend import find
    from avnir.cli.inputs import checked_labels, first_samples
    from avnir.errors import ProgramError
    from avnir.place import Placement
    from avnir.program import Program
    from avnir.trace import checked_inputs
    from avnir.verify.diff import Run, Side

    program = Program.load(folder / "program")
    chip = target.load(program.target)
    try:
        placement = Placement.from_json((folder / PLACEMENT).read_text(encoding="utf-8"), chip)
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramError(f"{folder / PLACEMENT} cannot be read ({error}); export it again") from error
    if shown is None:
        return Side(str(folder), program, placement)
    inputs = checked_inputs(program.graph, shown[0])
    labels = checked_labels(shown[1], next(iter(inputs.values())).shape[1])
    inputs, labels = first_samples(inputs, labels, samples)
    with stage(f"cpu, {folder}"), find("cpu").session(program) as session:
        trace = session.run(inputs, states=True)
    return Side(str(folder), program, placement, Run.of(program, placement, chip, inputs, labels, trace))


def _show(found: _Answer) -> None:
    for line in found.lines:
        click.echo(line)
    for section in found.sections:
        table(section.title, section.columns, section.rows)
