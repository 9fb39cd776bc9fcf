"""`avnir lava`: the environment in which Lava runs."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group()
def command() -> None:
    """Set up the environment in which Lava runs.

    Lava needs Python 3.10 and numpy below 2, so it gets an environment of its own: in the folder named by
    AVNIR_LAVA_ENV, else in the user's cache. Yours is left as it is.
    """


@command.command()
@click.option(
    "--python", type=click.Path(dir_okay=False, path_type=Path), help="The Python 3.10 to build on."
)
@click.option("--force", is_flag=True, help="Make it anew even if it is there.")
@click.option("--netx", is_flag=True, help="Add lava-dl too (68 MB), which reads the netx.net of an export.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def setup(python: Path | None, force: bool, netx: bool, as_json: bool) -> None:
    """Make the environment once; about a minute."""
    from rich.console import Console
    from rich.markup import escape

    from avnir.hardware.lava.install import setup as make

    console = Console(stderr=True)
    with console.status("looking for Python") as shown:
        folder = make(lambda line: shown.update(escape(line[: console.width - 4])), python, force, netx)
    click.echo(json.dumps({"environment": str(folder)}) if as_json else f"Lava is ready in {folder}")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(as_json: bool) -> None:
    """Say where the environment is, or what is missing."""
    from avnir.hardware.lava.environment import LAVA_VERSION, find, why_missing

    environment, missing = find(), why_missing()
    if as_json:
        found = {"environment": str(environment.folder), "lava": LAVA_VERSION} if environment else {}
        click.echo(json.dumps({"ready": environment is not None, "missing": missing, **found}))
    else:
        click.echo(f"lava-nc {LAVA_VERSION} in {environment.folder}" if environment else missing)
    if environment is None:
        raise click.exceptions.Exit(2)
