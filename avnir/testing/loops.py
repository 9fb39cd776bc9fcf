"""Cases of the conformance suite in which spikes arrive steps of the model later, and come back."""

from __future__ import annotations

from avnir.ir.integer import Conv, Dense, Input, Output
from avnir.testing.building import Case, lif, program_of, spikes, weights


def recurrent() -> Case:
    """The spikes of one layer come back to it a step later; several samples, each from silence."""
    program = program_of(
        ("input", Input((10,)), ""),
        ("synapses", Dense(weights(6, 10)), "input"),
        ("back", Dense(weights(6, 6, low=-100), lag=1), "layer"),
        ("layer", lif((6,), decay_u=3000), "synapses back"),
        ("output", Output((6,)), "layer"),
    )
    return Case(program, {"input": spikes(10, batch=3)})


def recurrent_conv() -> Case:
    """As `recurrent`, but each place reaches its neighbours, and only two steps later."""
    program = program_of(
        ("input", Input((2, 6, 5)), ""),
        ("back", Conv(weights(3, 3, 3, 3, low=-100), delay=1, lag=2, padding=(1, 1)), "layer"),
        ("synapses", Conv(weights(3, 2, 3, 3), padding=(1, 1)), "input"),
        ("layer", lif((3, 6, 5), threshold=200), "synapses back"),
        ("output", Output((3, 6, 5)), "layer"),
    )
    return Case(program, {"input": spikes(2, 6, 5, batch=3)})


def recurrent_late() -> Case:
    """A layer whose bias makes it spike before its window begins: such spikes do not come back."""
    program = program_of(
        ("input", Input((8,)), ""),
        ("synapses", Dense(weights(8, 8), delay=2), "input"),
        ("hidden", lif((8,)), "synapses"),
        ("forward", Dense(weights(6, 8)), "hidden"),
        ("back", Dense(weights(6, 6, low=-120, high=20), exponent=1, lag=1), "layer"),
        ("layer", lif((6,), bias=1200, bias_exponent=3), "forward back"),
        ("output", Output((6,)), "layer"),
    )
    return Case(program, {"input": spikes(8, batch=2)})


def ring() -> Case:
    """A loop of two layers, which takes two steps, with a loop of one layer on it."""
    program = program_of(
        ("input", Input((8,)), ""),
        ("synapses", Dense(weights(7, 8)), "input"),
        ("back", Dense(weights(7, 5, low=-100), lag=2), "b"),
        ("a", lif((7,)), "synapses back"),
        ("forward", Dense(weights(5, 7)), "a"),
        ("own", Dense(weights(5, 5, low=-100), delay=2, lag=3), "b"),
        ("b", lif((5,), threshold=80), "forward own"),
        ("output", Output((5,)), "b"),
    )
    return Case(program, {"input": spikes(8, batch=3)})


def lag() -> Case:
    """Without a loop: a layer sees its input at once, and again what came two and five steps ago."""
    program = program_of(
        ("input", Input((8,)), ""),
        ("now", Dense(weights(6, 8)), "input"),
        ("before", Dense(weights(6, 8)[::-1], delay=2, lag=2), "input"),
        ("hidden", lif((6,)), "now before"),
        ("forward", Dense(weights(5, 6)), "hidden"),
        ("long_before", Dense(weights(5, 6)[::-1], delay=5, lag=5), "hidden"),
        ("layer", lif((5,), threshold=150), "forward long_before"),
        ("output", Output((5,)), "layer"),
    )
    return Case(program, {"input": spikes(8, batch=3)})
