"""The width of the weights: asked for, tuned for, or 8; and integers that are no longer those trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from avnir import target
from avnir.cli.bits import bits_of, check_tuned
from avnir.cli.source import Request, Source, open_source
from avnir.compile import compile_graph
from avnir.errors import GateError
from avnir.program import Program

MODEL = Path(__file__).resolve().parent.parent.parent / "examples" / "av_digits.pt"
LOIHI2 = target.load("loihi2")


@pytest.fixture(scope="module")
def source() -> Source:
    return open_source(Request(str(MODEL)))


@pytest.fixture(scope="module")
def program(source: Source) -> Program:
    return compile_graph(source.graph, LOIHI2, 4).program


def test_the_width_asked_for_wins(source: Source) -> None:
    tuned = replace(source, tuned={"weight_bits": 4})
    assert [bits_of(source, None), bits_of(tuned, None), bits_of(tuned, 6)] == [8, 4, 6]


def test_other_integers_than_those_trained_are_refused(source: Source, program: Program) -> None:
    tuned = {"target": "loihi2", "weight_bits": 4, "program": program.digest}
    check_tuned(source, program)
    check_tuned(replace(source, tuned=tuned), program)
    stale = {**tuned, "program": "0" * 64}
    with pytest.raises(GateError, match=f"compiles to {program.digest[:12]}; fine-tune it again"):
        check_tuned(replace(source, tuned=stale), program)
    for other in ({"target": "loihi1"}, {"weight_bits": 8}):
        check_tuned(replace(source, tuned={**stale, **other}), program)
