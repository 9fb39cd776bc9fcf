"""Measure what the cards report, and fill them.

    python -m examples.systems run --data-dir DATA --workers 2     rows to models/cards/results.jsonl
    python -m examples.systems cards                               the tables of models/cards/*.md
    python -m examples.systems pretrained                          their sections Pretrained
    python -m examples.systems linear --data-dir DATA              what a linear model reaches on RAVDESS

A row that is there is not measured again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

from examples.systems.cards import CARDS, RESULTS, filled, rows
from examples.systems.cases import BUDGETS, SEEDS, Case, cases
from examples.systems.linear import linear
from examples.systems.measure import measured_before
from examples.systems.pretrained import pretrained


@click.group()
def main() -> None:
    """What the cards of the three systems report."""


main.add_command(pretrained)
main.add_command(linear)


@main.command()
@click.option("--data-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--only", "only", multiple=True, type=click.Choice(list(BUDGETS)), help="May be repeated.")
@click.option("--minutes", type=click.FloatRange(0), help="Begin nothing new after this long.")
def run(data_dir: Path, workers: int, only: tuple[str, ...], minutes: float | None) -> None:
    """Measure what is missing, each training on one thread."""
    deadline = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    missing = list(_missing(only or tuple(BUDGETS)))
    click.echo(f"{len(missing)} rows to measure")
    os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {
            pool.submit(measured_before, case, seed, data_dir, deadline): case.key(seed)
            for case, seed in missing
        }
        for done in as_completed(waiting):
            _kept(waiting[done], done.exception(), None if done.exception() else done.result())


def _missing(budgets: tuple[str, ...]) -> Iterator[tuple[Case, int]]:
    there = {row["case"] for row in rows()}
    for seed in SEEDS:
        wanted = (case for case in cases(budgets) if seed in case.seeds)
        yield from ((case, seed) for case in wanted if case.key(seed) not in there)


def _kept(key: str, failed: BaseException | None, row: dict[str, Any] | None) -> None:
    if failed is not None:
        click.echo(f"{key}: {type(failed).__name__}: {failed}", err=True)
    elif row is not None:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, sort_keys=True) + "\n")
        click.echo(f"{key}: {100 * row['accuracy']:.2f} % in {row['training_seconds']} s")


@main.command("cards")
@click.option("--check", is_flag=True, help="Write nothing; fail where a card is out of date.")
def cards_(check: bool) -> None:
    """Fill the cards' tables from the rows."""
    stale = [card for card in CARDS if filled(card) != card.read_text(encoding="utf-8")]
    for card in stale:
        if not check:
            card.write_text(filled(card), encoding="utf-8")
        click.echo(f"{card.name}: {'out of date' if check else 'written'}")
    if check and stale:
        sys.exit(1)


if __name__ == "__main__":
    main()
