"""Changes that win spikes back: chosen on some samples, judged on others, made again by their record."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from avnir.compile import Compiled, compile_graph, with_choices
from avnir.errors import DataError
from avnir.ir.graph import Graph
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.rounding.layer_choice import Choices, LayerChoice
from avnir.trace import Trace
from avnir.verify.attribution.attribute import attribute
from avnir.verify.attribution.judged import Judged, Samples
from avnir.verify.attribution.loss import Loss
from avnir.verify.attribution.mend import INTEGERS, STEP, WIDTH, Mending, halves, mend
from tests.verify.networks import BETWEEN, LATTICE, LOIHI2, SAMPLES, compiled, inputs, layer, two_layers


def run(program: Program, given: Mapping[str, Array]) -> Trace:
    return interpret_integer(program.graph, given)


def mended(
    graph: Graph,
    given: Mapping[str, Array],
    bits: int,
    max_cores: int = 99,
    base: Compiled | None = None,
    labels: Array | None = None,
) -> Mending:
    """What becomes of a graph's integers of so many bits, or of others."""
    made = base or compiled(graph, bits)
    causes = attribute(graph, made.nir_graph, made.program, given, run(made.program, given), labels)
    parts = []
    for half in halves(next(iter(given.values())).shape[1]):
        shown = {name: array[:, half] for name, array in given.items()}
        parts.append(Samples.of(graph, made.program, shown, None if labels is None else labels[half], run))
    choosing, judging = parts

    def make(choices: Choices, calibrated: bool) -> Compiled:
        return compile_graph(graph, LOIHI2, bits, choosing.inputs if calibrated else None, layers=choices)

    return mend(made, causes, choosing, judging, make, max_cores)


def test_wider_weights_win_most_back_at_three_bits() -> None:
    found = mended(layer(BETWEEN), inputs(), 3)
    assert found.compiled is not None
    assert found.compiled.program.provenance["layers"] == {"lif": {"weight_bits": 8}}
    assert found.after.lost.slots < found.before.lost.slots / 4
    first = found.tried[0]
    assert (first.sort, first.change, first.taken) == (WIDTH, "lif: weights of 8 instead of 3 bits", True)
    assert first.slots is not None
    assert first.slots < found.first


def test_the_record_makes_the_same_program_again() -> None:
    graph, given = two_layers(), inputs()
    one, other = (mended(graph, given, 4) for _ in range(2))
    assert one.compiled is not None
    assert other.compiled is not None
    assert one.compiled.program.digest == other.compiled.program.digest
    assert one.record() == other.record()
    provenance = one.compiled.program.provenance
    choices = {name: LayerChoice(**record) for name, record in provenance["layers"].items()}
    data = {name: array[:, halves(SAMPLES)[0]] for name, array in given.items()}
    again = compile_graph(graph, LOIHI2, 4, data if "calibration" in provenance else None, layers=choices)
    assert again.program == one.compiled.program
    assert one.after.lost.slots < one.before.lost.slots


def test_cores_are_not_exceeded() -> None:
    found = mended(layer(BETWEEN), inputs(), 3, max_cores=0)
    assert not any(tried.taken for tried in found.tried if tried.sort != STEP)
    assert [tried.change for tried in found.tried if tried.sort == WIDTH] == [
        f"lif: weights of {bits} instead of 3 bits" for bits in (8, 7, 6, 5, 4)
    ]
    assert all(tried.slots is None for tried in found.tried if tried.sort == WIDTH)


def test_integers_by_their_spikes_win_back_at_eight_bits() -> None:
    found = mended(two_layers(), inputs(samples=60), 8)
    assert found.compiled is not None
    assert any(tried.taken and tried.sort == INTEGERS for tried in found.tried)
    assert found.after.lost.slots < found.before.lost.slots


def test_where_nothing_is_lost_nothing_is_mended() -> None:
    found = mended(layer(LATTICE), inputs(), 8)
    assert found.compiled is None
    assert found.before == found.after
    assert not any(tried.taken for tried in found.tried)
    assert found.record()["mended"] is False


def test_thresholds_that_someone_moved_are_moved_back() -> None:
    """Integers that were not made from the model are made anew."""
    graph = layer(LATTICE, beta=np.array(0.5))
    broken = with_choices(compiled(graph), {"lif": LayerChoice(threshold=9)})
    found = mended(graph, inputs(), 8, base=broken)
    assert found.first > 0
    assert found.compiled is not None
    assert found.compiled.program == compiled(graph).program
    assert found.after.lost.slots < found.before.lost.slots


def test_decisions_are_not_given_for_spikes() -> None:
    graph, given = two_layers(), inputs()
    labels = run(compiled(graph, 3).program, given).decisions()
    found = mended(graph, given, 3, labels=labels)
    assert found.before.accuracy == 1
    before, after = found.before.lost, found.after.lost
    assert after.slots < before.slots
    assert (found.compiled is None) == found.after.surely_worse(found.before)


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        ((), (), False),
        ((1, 2), (1, 2, 3, 4, 5), False),  # 3 of 3 by chance: 1/8
        ((), (0, 1, 2, 3), False),  # 1/16
        ((), (0, 1, 2, 3, 4), True),  # 1/32
        ((9,), (0, 1, 2, 3, 4, 5), False),  # 6 or 7 of 7: 8/128
        ((9,), (0, 1, 2, 3, 4, 5, 6), True),  # 7 or 8 of 8: 9/256
        ((0, 1, 2, 3, 4), (), False),
    ],
)
def test_chance_is_told_from_worse_decisions(
    before: tuple[int, ...], after: tuple[int, ...], worse: bool
) -> None:
    first, second = (Judged(Loss(), {}, unlike, None, 1) for unlike in (before, after))
    assert second.surely_worse(first) is worse


def test_one_sample_cannot_choose_and_judge() -> None:
    with pytest.raises(DataError, match="at least two"):
        halves(1)


def test_choices_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="no layers to choose for: fc; there are lif"):
        compiled(layer(LATTICE), layers={"fc": LayerChoice(threshold=1)})
    with pytest.raises(DataError, match="weights of 9 bits were chosen for a layer; take 2 to 8"):
        LayerChoice(weight_bits=9)


def test_without_choices_the_program_is_as_ever() -> None:
    assert compiled(layer(BETWEEN), layers={}).program == compiled(layer(BETWEEN)).program
    assert compiled(layer(BETWEEN), 8, {"lif": LayerChoice(weight_bits=8)}).program.graph == (
        compiled(layer(BETWEEN)).program.graph
    )
