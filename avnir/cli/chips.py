"""The options that say how many chips there are and how many of their cores can be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def chip_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--chips` and `--cores`, as `avnir.place.place` takes them."""
    options = (
        click.option(
            "--chips", type=click.IntRange(1), default=1, show_default=True, help="Chips there are."
        ),
        click.option(
            "--cores", type=click.IntRange(1), help="Usable cores of a chip [default: what the target says]."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
