"""Goals, rows, and the table between its marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from avnir.errors import DataError
from avnir.speed.machine import Machine
from avnir.speed.results import Result, Timing
from avnir.speed.table import BEGIN, END, conditions, distances, left_out, markdown, rows, write
from avnir.speed.turns import Spread

MACHINE = Machine("A processor", 4, 8 << 30, "Linux", "3.11.0", {"numpy": "2.0"}, 0.1)


def timing(name: str, ratio: float, agreement: float | None = None) -> Timing:
    spread = Spread(ratio, ratio * 0.9, ratio * 1.1)
    return Timing(
        name, name.title(), Spread(ratio * 2e-6, ratio * 1e-6, ratio * 3e-6), spread, "how", agreement
    )


def result(*others: Timing, name: str = "dense", full: bool = True) -> Result:
    ours = timing("avnir", 1.0, 1.0)
    return Result(name, "a title", 64, 100, {"layer1": 0.1}, (ours, *others), {"gone": "not set up"}, full)


def test_goals_are_reached_or_not() -> None:
    found = result(timing("lava-runtime", 1499.0), timing("snntorch", 25.0))
    assert found.goals == {"lava-runtime": (1500.0, False), "snntorch": (25.0, True)}


def test_of_the_other_simulators_the_fastest_has_the_goal() -> None:
    found = result(
        timing("snntorch", 2.0), timing("norse", 12.0), timing("spikingjelly", 9.0), timing("lava", 3.0)
    )
    assert found.goals == {"snntorch": (25.0, False), "spikingjelly": (10.0, False)}


def test_a_program_that_was_cut_short_has_no_goals() -> None:
    assert result(timing("snntorch", 30.0), full=False).goals == {}


def test_rows() -> None:
    found = rows(
        [result(timing("snntorch", 25.0, 0.99987)), result(timing("ceiling-cache", 0.5), name="layer")]
    )
    assert [row[0] for row in found] == ["dense", "", "layer", ""]
    assert found[0][2:6] == ("2.00 us (1.00 to 3.00)", "1", "", "all")
    assert found[1][2:6] == ("50.0 us (25.0 to 75.0)", "25.0 (22.5 to 27.5)", "25, reached", "99.987 %")
    assert found[3][3:6] == ("50 % (45 to 55)", "60 %, not reached", "-")


def test_the_distance_to_the_ceiling_is_told() -> None:
    (line,) = distances([result(timing("snntorch", 2.0), timing("ceiling-cache", 0.7), name="layer")])
    assert line.startswith("layer: the engine is at 70 % of the ceiling")


def test_who_was_left_out_is_named_once() -> None:
    assert left_out([result(), result()]) == ["left out: gone, not set up"]


def test_the_table_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}after\n")
    for _ in range(2):
        write(readme, markdown(MACHINE, [result(timing("snntorch", 30.0))], 5))
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| program |")
    assert text.endswith(f"{END}after\n")
    assert text.count("| dense | Avnir |") == 1
    assert "- left out: gone, not set up" in text
    assert "A processor, 4 cores, 8 GiB" in text
    assert "old" not in text


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN])
def test_a_file_without_the_marks_stays_as_it_is(tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(DataError, match=r"README\.md has no place for the table"):
        write(readme, "table")
    assert readme.read_text() == text


def test_a_busy_machine_is_told() -> None:
    busy = Machine("A processor", 4, 8 << 30, "Linux", "3.11.0", {}, 2.0)
    assert MACHINE.warning is None
    assert "others keep 2.0 processors busy" in markdown(busy, [], 5)
    assert "others kept 2.0 processors busy" in conditions(busy, 5)[0]
