"""How commands talk: a table for people, JSON for programs; results to stdout, progress to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

WIDE = 240
"""Characters a line may have where no terminal limits it."""

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def emit(record: dict[str, Any]) -> None:
    """Print one JSON object."""
    click.echo(json.dumps(record, indent=1))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, columns of numbers to the right; at its full width where no terminal limits it."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    listed = list(rows)
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numbers = all(row[index].lstrip("+-")[:1].isdigit() or row[index] == "-" for row in listed)
        made.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in listed:
        made.add_row(*row)
    terminal = Console()
    (terminal if terminal.is_terminal else Console(width=WIDE)).print(made)
