"""The programs in which faults are planted, each with inputs that make every layer spike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from avnir.ir.integer import Conv, Dense, Input, Output
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.testing.building import lif, program_of
from avnir.trace import Trace

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
STEPS, BATCH = 20, 8
SAMPLES = 6
"""Of the examples that the shipped networks come with."""


@dataclass(frozen=True)
class Planted:
    """A program, inputs `[T, B, *shape]`, and what the program makes of them."""

    program: Program
    inputs: Mapping[str, Array]
    ours: Trace


def _weights(seed: int, *shape: int, low: int = -60, high: int = 90) -> Array:
    return np.random.default_rng(seed).integers(low, high, shape, np.int8, endpoint=True)


def _spikes(seed: int, *shape: int, density: float = 0.3) -> Array:
    return (np.random.default_rng(seed).random((STEPS, BATCH, *shape)) < density).astype(np.uint8)


def _biases(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).integers(-900, 900, shape)


def _dense() -> tuple[Program, Mapping[str, Array]]:
    """Three dense layers; the middle one is square."""
    program = program_of(
        ("input", Input((20,)), ""),
        ("into_a", Dense(_weights(1, 16, 20)), "input"),
        ("a", lif((16,), decay_v=700, threshold=130, bias=_biases(2, 16)), "into_a"),
        ("into_b", Dense(_weights(3, 16, 16), exponent=1), "a"),
        ("b", lif((16,), decay_v=400, threshold=300, bias=_biases(4, 16), bias_exponent=2), "into_b"),
        ("into_c", Dense(_weights(5, 6, 16)), "b"),
        ("c", lif((6,), threshold=150), "into_c"),
        ("output", Output((6,)), "c"),
    )
    return program, {"input": _spikes(0, 20)}


def _conv() -> tuple[Program, Mapping[str, Array]]:
    """Convolution, OR pooling, convolution, dense."""
    ones = np.full((4, 1, 2, 2), 127, np.int8)
    program = program_of(
        ("image", Input((2, 8, 8)), ""),
        ("into_first", Conv(_weights(1, 4, 2, 3, 3, low=-40), padding=(1, 1)), "image"),
        ("first", lif((4, 8, 8), decay_v=600, threshold=190, bias=_biases(6, 4, 8, 8)), "into_first"),
        ("into_pool", Conv(ones, stride=(2, 2), groups=4), "first"),
        ("pool", lif((4, 4, 4), decay_v=4096, threshold=63), "into_pool"),
        ("into_second", Conv(_weights(2, 5, 4, 3, 3, low=-50), padding=(1, 1)), "pool"),
        ("second", lif((5, 4, 4), decay_v=800, threshold=700, bias=_biases(3, 5, 4, 4)), "into_second"),
        ("into_out", Dense(_weights(4, 6, 80)), "second"),
        ("out", lif((6,), threshold=900), "into_out"),
        ("output", Output((6,)), "out"),
    )
    return program, {"image": _spikes(5, 2, 8, 8, density=0.25)}


def _residual() -> tuple[Program, Mapping[str, Array]]:
    """A long path and two short ones with delays meet."""
    program = program_of(
        ("input", Input((14,)), ""),
        ("into_a", Dense(_weights(1, 12, 14)), "input"),
        ("a", lif((12,), threshold=110), "into_a"),
        ("into_b", Dense(_weights(2, 12, 12)), "a"),
        ("b", lif((12,), threshold=110), "into_b"),
        ("main", Dense(_weights(3, 10, 12)), "b"),
        ("skip", Dense(_weights(4, 10, 12), delay=1), "a"),
        ("long_skip", Dense(_weights(5, 10, 14), delay=2), "input"),
        ("sum", lif((10,), decay_v=500, threshold=260), "main skip long_skip"),
        ("into_out", Dense(_weights(6, 5, 10)), "sum"),
        ("out", lif((5,), threshold=120), "into_out"),
        ("output", Output((5,)), "out"),
    )
    return program, {"input": _spikes(7, 14)}


def _recurrent() -> tuple[Program, Mapping[str, Array]]:
    """A layer that feeds itself, with decaying currents."""
    program = program_of(
        ("input", Input((15,)), ""),
        ("into_a", Dense(_weights(1, 12, 15)), "input"),
        ("back", Dense(_weights(2, 12, 12, low=-90, high=40), lag=1), "a"),
        ("a", lif((12,), decay_u=2600, decay_v=500, threshold=300, bias=_biases(3, 12)), "into_a back"),
        ("into_out", Dense(_weights(4, 6, 12)), "a"),
        ("out", lif((6,), decay_u=3000, threshold=150), "into_out"),
        ("output", Output((6,)), "out"),
    )
    return program, {"input": _spikes(9, 15, density=0.4)}


def _long() -> tuple[Program, Mapping[str, Array]]:
    """Many neurons with a slow leak, a longer window, more samples: the last bit of a parameter shows."""
    program = program_of(
        ("input", Input((24,)), ""),
        ("into_a", Dense(_weights(1, 48, 24, low=-70, high=70)), "input"),
        ("a", lif((48,), decay_u=2900, decay_v=40, threshold=140, bias=_biases(2, 48)), "into_a"),
        ("into_out", Dense(_weights(3, 8, 48, low=-70, high=80)), "a"),
        ("out", lif((8,), decay_v=200, threshold=300), "into_out"),
        ("output", Output((8,)), "out"),
    )
    wide = [np.concatenate([_spikes(seed + 2 * k, 24) for k in range(2)], axis=1) for seed in (0, 1, 4, 5)]
    return program, {"input": np.concatenate(wide)}


def _coarse() -> tuple[Program, Mapping[str, Array]]:
    """Few different weights and no leak: sums often meet the threshold exactly."""
    weight = (_weights(1, 10, 12, low=-2, high=3) * 20).astype(np.int8)
    program = program_of(
        ("input", Input((12,)), ""),
        ("into_a", Dense(weight), "input"),
        ("a", lif((10,), decay_v=0, threshold=120), "into_a"),
        ("into_out", Dense(_weights(2, 5, 10)), "a"),
        ("out", lif((5,), threshold=120), "into_out"),
        ("output", Output((5,)), "out"),
    )
    return program, {"input": _spikes(3, 12)}


def _strong() -> tuple[Program, Mapping[str, Array]]:
    """Weights so strong that currents overflow."""
    program = program_of(
        ("input", Input((12,)), ""),
        ("into_a", Dense(_weights(1, 8, 12, low=60, high=127), exponent=7), "input"),
        ("a", lif((8,), decay_u=300, decay_v=1000, threshold=60_000), "into_a"),
        ("into_out", Dense(_weights(2, 5, 8)), "a"),
        ("out", lif((5,), threshold=120), "into_out"),
        ("output", Output((5,)), "out"),
    )
    return program, {"input": _spikes(3, 12)}


def _shipped(name: str) -> tuple[Program, Mapping[str, Array]]:
    """A trained network of the examples, compiled, with some of its own inputs."""
    from avnir import target
    from avnir.compile import compile_graph
    from avnir.export import load

    checkpoint = load(EXAMPLES / f"{name}.pt")
    program = compile_graph(checkpoint.graph, target.load("loihi2"), decision=checkpoint.decision).program
    return program, {name: array[:, :SAMPLES] for name, array in checkpoint.inputs.items()}


MADE: Mapping[str, Callable[[], tuple[Program, Mapping[str, Array]]]] = {
    "dense": _dense,
    "conv": _conv,
    "residual": _residual,
    "recurrent": _recurrent,
    "long": _long,
    "coarse": _coarse,
    "strong": _strong,
    "av_digits": lambda: _shipped("av_digits"),
    "scmrl": lambda: _shipped("scmrl"),
}
SHIPPED = ("av_digits", "scmrl")
"""Those whose checkpoints are read with torch."""


@cache
def planted(name: str) -> Planted:
    """The program of this name with what it makes of its inputs."""
    program, inputs = MADE[name]()
    return Planted(program, inputs, interpret_integer(program.graph, inputs))
