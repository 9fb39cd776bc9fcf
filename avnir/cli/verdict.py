"""What `avnir verify` leaves: gates in the terminal, reports in files, one verdict and exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.output import emit, table

if TYPE_CHECKING:
    from avnir.errors import AvnirError
    from avnir.verify.gate import Verdict

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The file that GitHub shows on the page of a run, in its runners' environment."""


@dataclass(frozen=True)
class Reports:
    """Files to write."""

    junit: Path | None
    summary: Path | None


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--junit` and `--summary`, handed over as `reports`."""

    @wraps(command)
    def packed(junit: Path | None, summary: Path | None, **rest: Any) -> Any:
        return command(reports=Reports(junit, summary), **rest)

    path = click.Path(path_type=Path)
    options = (
        click.option(
            "--junit", type=path, help="Write JUnit XML: a test for each layer compared and each gate."
        ),
        click.option(
            "--summary",
            type=path,
            help=f"Write the verdict in Markdown; where ${STEP_SUMMARY} is set, it is appended there too.",
        ),
    )
    made: Callable[..., Any] = packed
    for option in reversed(options):
        made = option(made)
    return made


def show_gates(verdict: Verdict) -> None:
    """Print the gates that were asked for."""
    if verdict.gates:
        table("gates", ("gate", "value", "limit", "verdict"), [check.row() for check in verdict.gates])


def finish(
    verdicts: Mapping[str, Verdict],
    refused: Mapping[str, AvnirError],
    reports: Reports,
    as_json: bool,
    several: bool,
) -> None:
    """Write the reports, print the verdict, and raise what decides the exit status.

    `refused` are the models that could not be verified, by name. Raises their error, or one of all, with what
    failed besides; else GateError naming every demand that was not kept.
    """
    _write(verdicts, {name: str(error) for name, error in refused.items()}, reports)
    error = _error(verdicts, refused, several)
    if several and not as_json:
        _show_verdicts(verdicts, refused)
    if as_json and (several or verdicts):
        emit_with(_record(verdicts, refused, several), error)
    elif error is not None:
        raise error


def _write(verdicts: Mapping[str, Verdict], refused: Mapping[str, str], reports: Reports) -> None:
    from avnir.files import atomic_path
    from avnir.report.junit import junit
    from avnir.report.summary import append, summary

    for path, text in ((reports.junit, junit), (reports.summary, summary)):
        if path is not None:
            with atomic_path(path) as temporary:
                temporary.write_text(text(verdicts, refused), encoding="utf-8")
    if shown := os.environ.get(STEP_SUMMARY):
        append(Path(shown), summary(verdicts, refused))


def _error(
    verdicts: Mapping[str, Verdict], refused: Mapping[str, AvnirError], several: bool
) -> AvnirError | None:
    """What decides the exit status: wrong input comes before gates that failed."""
    from avnir.errors import GateError, UserError
    from avnir.verify.gate import failures

    failed = failures(verdicts, named=several)
    if not several and refused:
        return next(iter(refused.values()))
    if not refused:
        return GateError("\n".join(["verification failed:", *failed])) if failed else None
    head = f"{len(refused)} of {len(refused) + len(verdicts)} models could not be verified:"
    listed = [f"  - {name}: {error}" for name, error in refused.items()]
    wrong = any(isinstance(error, UserError) for error in refused.values())
    lines = [head, *listed, *(["and others failed:", *failed] if failed else [])]
    return (UserError if wrong else GateError)("\n".join(lines))


def _show_verdicts(verdicts: Mapping[str, Verdict], refused: Mapping[str, AvnirError]) -> None:
    from avnir.verify.gate import COLUMNS

    rows = [verdict.row() for verdict in verdicts.values()]
    rows += [(name, "NOT VERIFIED", *["-"] * (len(COLUMNS) - 2)) for name in refused]
    table("verdict", COLUMNS, rows)


def _record(
    verdicts: Mapping[str, Verdict], refused: Mapping[str, AvnirError], several: bool
) -> dict[str, Any]:
    records = {name: verdict.record() for name, verdict in verdicts.items()}
    if not several:
        return next(iter(records.values()))
    return {
        "passed": not refused and all(verdict.passed for verdict in verdicts.values()),
        "models": records,
        "refused": {name: str(error) for name, error in refused.items()},
    }


def emit_with(record: dict[str, Any], error: AvnirError | None) -> None:
    """Print one JSON object; with an error, which is then in it, the command ends here with its status."""
    from avnir.errors import UserError

    if error is None:
        emit(record)
        return
    status = 2 if isinstance(error, UserError) else 1
    emit({**record, "error": str(error), "exit_status": status})
    click.echo(f"avnir: {error}", err=True)
    sys.exit(status)
