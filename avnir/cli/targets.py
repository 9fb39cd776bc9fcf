"""`avnir targets`: the chips, their limits and costs, each figure with its source."""

from __future__ import annotations

import click

from avnir.cli.output import emit, json_option, table


@click.command("targets")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the chips avnir knows; with NAME, every figure of one with its grade and source."""
    from avnir import target

    chosen = [target.load(one) for one in ([name] if name else target.names())]
    if as_json:
        emit({one.name: one.model_dump() for one in chosen})
        return
    if not name:
        rows = [(t.name, t.title, _reset(t.programmable), str(t.limits.cores.value)) for t in chosen]
        table("targets", ("name", "chip", "resets", "cores"), rows)
        return
    for one in chosen:
        limits = [(n, str(v["value"]), v["grade"], v["source"]) for n, v in one.limits.model_dump().items()]
        costs = [(n, _price(c.value, c.unit), c.grade, c.source) for n, c in one.costs.items()]
        table(one.title, ("figure", "value", "grade", "source"), [*limits, *costs])
        for note in one.notes:
            click.echo(f"- {note}")


def _reset(programmable: bool) -> str:
    return "all (microcode)" if programmable else "to zero only"


def _price(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:g} {unit}"
