"""Verdicts in Markdown, for the page of a CI run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from avnir.errors import UserError
from avnir.verify.gate import COLUMNS, Verdict
from avnir.verify.stages import layer_table


def summary(verdicts: Mapping[str, Verdict], refused: Mapping[str, str]) -> str:
    """The verdict, a table of all models, what was not kept, and a table of each model's layers."""
    passed = not refused and all(verdict.passed for verdict in verdicts.values())
    rows = [verdict.row() for verdict in verdicts.values()]
    rows += [(name, "NOT VERIFIED", *["-"] * (len(COLUMNS) - 2)) for name in refused]
    lines = [f"## avnir verify: {'passed' if passed else 'failed'}", "", *markdown_table(COLUMNS, rows), ""]
    for name, problem in refused.items():
        lines += [f"**{_cell(name)}** could not be verified:", "", "```", problem, "```", ""]
    for verdict in verdicts.values():
        lines += _problems(verdict)
        lines += _details(verdict)
    return "\n".join(lines)


def append(path: Path, text: str) -> None:
    """Add to a file what a step has to say; UserError where that cannot be written."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror})") from error


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table's lines."""
    yield _row(head)
    yield _row(["---"] * len(head))
    yield from (_row(row) for row in rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """Text that means nothing in Markdown."""
    escaped = re.sub(r"([\\|_*<`])", r"\\\1", text)
    return " ".join(escaped.split())


def _problems(verdict: Verdict) -> list[str]:
    if verdict.passed:
        return []
    return [f"**{_cell(verdict.model)}**", "", *(f"- {problem}" for problem in verdict.problems), ""]


def _details(verdict: Verdict) -> list[str]:
    """Gates and layers, folded away."""
    found = verdict.verification
    exact = (f"{c.first} = {c.second}" for c in found.exact)
    quantised = f"{found.quantisation.first} ~ {found.quantisation.second}"
    columns = ("layer", *exact, quantised, "spikes, float", "spikes, integer")
    gates = list(markdown_table(("gate", "value", "limit", "verdict"), (c.row() for c in verdict.gates)))
    return [
        "<details>",
        f"<summary>{verdict.model} on {verdict.target}, program {verdict.program[:12]}</summary>",
        "",
        *([*gates, ""] if verdict.gates else []),
        *markdown_table(columns, layer_table(found)),
        "",
        "</details>",
        "",
    ]
