"""Turns: their order, what counts, and spreads."""

from __future__ import annotations

from avnir.speed import turns
from avnir.speed.turns import Spread, take_turns


def test_everybody_has_a_turn_in_each_round_after_one_run_that_does_not_count() -> None:
    order: list[str] = []
    times = {"a": iter([9.0, 1.0, 2.0]), "b": iter([9.0, 3.0, 4.0])}

    def runner(name: str) -> turns.Run:
        def run() -> tuple[float, int]:
            order.append(name)
            return next(times[name]), 2

        return run

    told: list[None] = []
    found = take_turns({"a": runner("a"), "b": runner("b")}, 2, lambda: told.append(None))
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert found == {"a": [0.5, 1.0], "b": [1.5, 2.0]}
    assert len(told) == 4


def test_a_turn_goes_on_until_it_is_long_enough() -> None:
    runs: list[int] = []

    def run() -> tuple[float, int]:
        runs.append(1)
        return turns.LEAST_SECONDS / 4, 10

    assert take_turns({"quick": run}, 1, lambda: None) == {"quick": [turns.LEAST_SECONDS / 40]}
    assert len(runs) == 1 + 4


def test_a_run_that_takes_no_time_ends() -> None:
    assert take_turns({"nothing": lambda: (0.0, 1)}, 1, lambda: None) == {"nothing": [0.0]}


def test_a_spread_is_the_median_and_the_quartiles() -> None:
    assert Spread.of([5, 1, 4, 2, 3]) == Spread(3, 2, 4)
