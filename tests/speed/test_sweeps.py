"""Sweeps: sizes, work, and the line through them."""

from __future__ import annotations

import pytest

from avnir.speed.sweeps import SWEEPS, Point, cases, fitted, point, rows, work_of
from avnir.speed.turns import Spread


def line(work: int) -> Point:
    seconds = 1e-3 + 2e-9 * work
    return Point(work, work, Spread(seconds, seconds, seconds), 100)


def test_the_line_is_found() -> None:
    found = fitted("density", [line(work) for work in (1000, 5000, 20_000)])
    assert found.slope == pytest.approx(2e-9)
    assert found.offset == pytest.approx(1e-3)
    assert found.r_squared == pytest.approx(1)
    assert found.summary == "density: 2.0000 ns a weight and 1.000 ms a run; r^2 = 1.0000"
    assert rows(found)[0] == ("1000", "1,000", "1.002 ms", "10.020 us", "1002.000")


@pytest.mark.parametrize("name", SWEEPS)
def test_one_size_grows_at_a_time(name: str) -> None:
    made = [case for _, case in cases(name)[:3]]
    shapes = [case.layers[0].weight.shape for case in made]
    if name == "neurons":
        assert len({rows * columns for rows, columns in shapes}) == 1
        assert shapes[0][0] < shapes[1][0] < shapes[2][0]
    elif name == "synapses":
        assert len({rows for rows, _ in shapes}) == 1
    else:
        assert len(set(shapes)) == 1
        assert work_of(made[0]) < work_of(made[1]) < work_of(made[2])


def test_work_is_spikes_times_fan_out() -> None:
    _, case = cases("density")[0]
    assert work_of(case) == int(case.spikes.sum()) * 512
    found = point(0.001, case, Spread(1.0, 0.5, 2.0))
    assert (found.seconds, found.sample_steps) == (Spread(1600, 800, 3200), 1600)
