"""`avnir data`: the data sets that avnir reads, and what is there of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.output import emit, json_option, table

if TYPE_CHECKING:
    from avnir.models.data.registry import DataSet

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """List the data sets that avnir reads, and check what a folder holds of one."""


@command.command("list")
@json_option
def list_sets(as_json: bool) -> None:
    """Name every set: its modalities, licence, split, and the files that it needs."""
    from avnir.models.data.registry import DATASETS

    listed = {name: _about(one) for name, one in DATASETS.items()}
    if as_json:
        emit(listed)
        return
    columns = ("name", "modalities", "licence", "split", "needs")
    table("data sets", columns, [(n, *(_cell(one[c]) for c in columns[1:])) for n, one in listed.items()])


def _about(found: DataSet) -> dict[str, Any]:
    told = {key: getattr(found, key) for key in ("summary", "licence", "source", "split", "needs")}
    return {**told, "modalities": list(found.modalities)}


def _cell(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "; ".join(value) or "nothing"


@command.command("check")
@click.argument("name")
@click.option("--data-dir", type=FOLDER, help="The folder of its files.")
@click.option("--split", default="official", show_default=True, help="Or: authors, the split of the papers.")
@click.option("--fold", type=int, help="The fold that tests, where a set has folds.")
@click.option("--steps", type=int, default=4, show_default=True, help="Time bins of event data.")
@click.option("--image-size", type=int, default=28, show_default=True, help="Side of the pictures.")
@click.option("--audio-size", type=int, default=28, show_default=True, help="Side of the sounds' pictures.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws pairs and random splits.")
@json_option
def check(name: str, data_dir: Path | None, as_json: bool, **options: Any) -> None:
    """Load the set NAME and say what it holds: samples by class, shapes, ranges, what both splits share.

    Missing and damaged files are all named, with exit status 2.
    """
    from avnir.models.data.inspection import inspect
    from avnir.models.data.registry import Options, describe

    if data_dir is None and describe(name).needs:
        raise click.UsageError(f"{name} is read from files: say where with --data-dir")
    found = inspect(name, data_dir or Path(), Options(**options))
    if as_json:
        emit(found)
        return
    _print(found)


def _print(found: dict[str, Any]) -> None:
    splits = found["splits"]
    counts = [
        (kind, *(str(part["classes"][kind]) for part in splits.values()))
        for kind in splits["train"]["classes"]
    ]
    totals = ("all", *(str(part["samples"]) for part in splits.values()))
    table(found["name"], ("class", "training", "test"), [*counts, totals])
    columns = ("input", "split", "shape", "type", "range", "distinct")
    table(
        "inputs", columns, [_input(part, name, one) for part in splits for name, one in _inputs(splits[part])]
    )
    shared = [(kind, *(str(count) for count in one.values())) for kind, one in found["shared"].items()]
    table("in both splits", ("what", "in both", "of the test's", "test samples"), shared)
    for warning in found["warnings"]:
        click.echo(f"warning: {warning}")


def _inputs(split: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(split["inputs"].items())


def _input(part: str, name: str, one: dict[str, Any]) -> tuple[str, ...]:
    low, high = one["range"]
    shape = "x".join(str(side) for side in one["shape"])
    return (name, part, shape, one["type"], f"{low:g} to {high:g}", str(one["distinct"]))
