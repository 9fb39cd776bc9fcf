"""A contest: what is compared, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from avnir.errors import GateError
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.speed.contest import Contestant, contest
from avnir.speed.programs import Case, dense_layers
from avnir.trace import Trace

CASE = Case("tiny", "8-6-4", (8,), dense_layers((8, 6, 4)), batch=3, steps=10, density=0.4)


class Engine:
    """The interpreter; with `wrong`, one spike of the run of that number is turned round."""

    def __init__(self, wrong: int | None = None) -> None:
        self.runs, self.wrong = 0, wrong

    def run(self, inputs: Mapping[str, Array], states: bool = False) -> Trace:
        trace = interpret_integer(CASE.program.graph, inputs)
        if self.runs == self.wrong:
            trace.spikes["layer2"][4, 1, 2] ^= 1
        self.runs += 1
        return trace


def spikes_of(case: Case) -> dict[str, Array]:
    return dict(interpret_integer(case.program.graph, case.inputs).spikes)


def quiet() -> None:
    """Nobody listens."""


def test_all_that_is_measured() -> None:
    one = CASE.resized(1, 20)
    flat = {name: sent.reshape(20, 1, -1) for name, sent in spikes_of(one).items()}
    flat["layer1"][3, 0, 2] ^= 1
    others = [
        Contestant("slow", "Slow", lambda: (1.0, 1), "one step", one.inputs, lambda: flat),
        Contestant("mute", "Mute", lambda: (2.0, 1), "one step"),
    ]
    found = contest(CASE.entry, Engine(), others, {"gone": "not set up"}, 3, quiet)
    engine, slow, mute = found.timings
    assert (engine.name, engine.ratio.median, engine.agreement) == ("avnir", 1.0, 1.0)
    assert slow.seconds.median == 1.0
    assert mute.ratio.median == pytest.approx(2 * slow.ratio.median)
    assert slow.ratio.median == pytest.approx(1 / engine.seconds.median)
    assert (slow.agreement, mute.agreement) == (1 - 1 / (20 * 10), None)
    assert found.activity == {name: np.mean(sent) for name, sent in spikes_of(CASE).items()}
    assert (found.samples, found.steps, found.absent) == (3, 10, {"gone": "not set up"})


@pytest.mark.parametrize("run", [0, 1, 2])
def test_one_wrong_spike_in_any_run_ends_it(run: int) -> None:
    with pytest.raises(
        GateError, match=r"tiny: the engine's spikes .* layer2, neuron \(2,\), step 4, sample 1"
    ):
        contest(CASE.entry, Engine(wrong=run), [], {}, 3, quiet)
