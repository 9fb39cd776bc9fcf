"""The cards say what was measured; what is measured is what there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the measurements train")

from avnir.models import module_of
from avnir.models.data.registry import DATASETS
from examples.systems.cards import CARDS, RESULTS, TABLES, filled, rows
from examples.systems.cases import BUDGETS, SEEDS, cases

EVERY = list(cases(tuple(BUDGETS)))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_cards_hold_the_measured_figures(card: Path) -> None:
    """`python -m examples.systems cards` writes them."""
    assert filled(card) == card.read_text(encoding="utf-8")


def test_each_row_was_measured_once_and_is_still_a_case() -> None:
    measured = [row["case"] for row in rows()]
    assert len(set(measured)) == len(measured)
    assert set(measured) <= {case.key(seed) for case in EVERY for seed in SEEDS}
    assert all(json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines())


def test_cases_are_of_known_systems_and_data() -> None:
    assert len({case.key(0) for case in EVERY}) == len(EVERY)
    assert {budget.data for budget in BUDGETS.values()} <= set(DATASETS)
    for case in EVERY:
        shapes = {name: (1, 16, 16) for name in ("image", "audio") if case.modality in ("both", name)}
        module_of(case.system).config_for(shapes, 10, 4, case.modality, case.form, case.settings)


def test_tables_of_nothing() -> None:
    for table in TABLES.values():
        assert table([]) == "Not measured yet."


def test_deployed_networks_lose_a_point_at_most_on_digits() -> None:
    """Of 8-bit integers, on real images, events and speech."""
    deployed = [(row["case"], row["deployed"]) for row in rows() if "deployed" in row]
    digits = [(case, made) for case, made in deployed if case.startswith(("digits/", "events/"))]
    assert digits
    for case, made in digits:
        lost = round((made["float_accuracy"] - made["accuracy"]) * made["pairs"])
        assert 100 * lost <= made["pairs"], case
