"""Cases of the conformance suite with sums over the window, for which some windows are shown again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from avnir.ir.integer import Conv, Dense, Input, Output
from avnir.ir.integer_graded import Product
from avnir.ir.integer_window import WindowSum
from avnir.testing.building import STEPS, Case, lif, program_of, rng, spikes, weights

ONE = np.eye(6, dtype=np.int8)


def _sums(layer: WindowSum, bits: int = 0, exponent: int = 0) -> Case:
    """Sums of what arrives, into a layer with biases; samples with different sums, one after another."""
    low = -(1 << bits - 1) if bits else 0
    messages = rng().integers(low, max(-low, 2), (STEPS, 3, 10), np.int32)
    messages[:, 1] = messages[:, 1] >> 1
    program = program_of(
        ("input", Input((10,), bits), ""),
        ("synapses", Dense(weights(6, 10), exponent), "input"),
        ("sums", layer, "synapses"),
        ("forward", Dense(weights(5, 6, low=-60, high=60), exponent=1), "sums"),
        ("layer", lif((5,), threshold=100_000 if bits else 4000, bias=900), "forward"),
        ("output", Output((5,)), "layer"),
        ("summed", Output((2, 3)), "sums"),
    )
    return Case(program, {"input": messages})


def _held() -> Case:
    """Biased neurons, how often each of them spikes in the window, and biased neurons that see both.

    The way past the sum is shorter by its step.
    """
    program = program_of(
        ("input", Input((8,)), ""),
        ("synapses", Dense(weights(6, 8), delay=2), "input"),
        ("before", lif((6,), decay_u=3000, threshold=300, bias=500, bias_exponent=2), "synapses"),
        ("once", Dense(ONE), "before"),
        ("counts", WindowSum((6,), STEPS), "once"),
        ("forward", Dense(weights(5, 6, low=-80, high=80)), "counts"),
        ("past", Dense(weights(5, 6, low=-60), exponent=2, delay=1), "before"),
        ("layer", lif((5,), decay_u=2000, threshold=600, bias=1200, bias_exponent=2), "forward past"),
        ("output", Output((5,)), "layer"),
    )
    return Case(program, {"input": _different(8)})


def _nested() -> Case:
    """A sum of what another gates, and a running one: three presentations; paths of five depths meet."""
    program = program_of(
        ("input", Input((8,)), ""),
        ("synapses", Dense(weights(6, 8)), "input"),
        ("hidden", lif((6,), threshold=120, bias=70), "synapses"),
        ("once", Dense(ONE), "hidden"),
        ("counts", WindowSum((6,), STEPS), "once"),
        ("of_counts", Dense(ONE), "counts"),
        ("of_hidden", Dense(ONE, delay=1), "hidden"),
        ("gated", Product((6,)), "of_hidden of_counts"),
        ("weighted", Dense(weights(4, 6, low=-60)), "gated"),
        ("totals", WindowSum((4,), STEPS), "weighted"),
        ("so_far", WindowSum((4,), STEPS, running=True), "weighted"),
        ("of_totals", Dense(weights(5, 4, low=-60, high=60)), "totals"),
        ("of_so_far", Dense(weights(5, 4, low=-60, high=60)), "so_far"),
        ("skip", Dense(weights(5, 8, low=-60), exponent=4, delay=4), "input"),
        ("layer", lif((5,), threshold=60_000, bias=900, bias_exponent=5), "of_totals of_so_far skip"),
        ("output", Output((5,)), "layer"),
        ("first", Output((6,)), "counts"),
        ("second", Output((4,)), "totals"),
    )
    return Case(program, {"input": _different(8)})


def _places() -> Case:
    """Sums of every place of a picture, which convolutions lead into and out of."""
    program = program_of(
        ("input", Input((2, 5, 4), 4), ""),
        ("synapses", Conv(weights(3, 2, 3, 3), padding=(1, 1)), "input"),
        ("sums", WindowSum((3, 5, 4), STEPS), "synapses"),
        ("forward", Conv(weights(2, 3, 3, 3, low=-60, high=60)), "sums"),
        ("layer", lif((2, 3, 2), threshold=100_000), "forward"),
        ("output", Output((12,)), "layer"),
    )
    return Case(program, {"input": rng().integers(-8, 8, (STEPS, 2, 2, 5, 4), np.int32)})


def _looped() -> Case:
    """Loops before and after a sum, and lags past it: what is late in a presentation is lost with its end."""
    program = program_of(
        ("input", Input((8,)), ""),
        ("synapses", Dense(weights(6, 8)), "input"),
        ("back", Dense(weights(6, 6, low=-100), delay=1, lag=2), "before"),
        ("before", lif((6,), bias=300), "synapses back"),
        ("once", Dense(ONE), "before"),
        ("counts", WindowSum((6,), STEPS), "once"),
        ("forward", Dense(weights(5, 6, low=-60, high=60)), "counts"),
        ("long_before", Dense(weights(5, 6, low=-60), exponent=2, delay=6, lag=5), "before"),
        ("own", Dense(weights(5, 5, low=-100), exponent=1, lag=1), "layer"),
        ("layer", lif((5,), threshold=800, bias=2000, bias_exponent=2), "forward long_before own"),
        ("output", Output((5,)), "layer"),
    )
    return Case(program, {"input": _different(8)})


def _different(size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Three samples, of which the second is almost silent: sums that are not forgotten would show."""
    shown = spikes(size, batch=3, density=0.5)
    shown[1:, 1] = 0
    return shown


CASES: Mapping[str, Callable[[], Case]] = {
    "window_sum": lambda: _sums(WindowSum((6,), STEPS)),
    "window_sum_running": lambda: _sums(WindowSum((6,), STEPS, running=True)),
    "window_sum_graded": lambda: _sums(WindowSum((6,), STEPS), bits=6),
    "window_sum_wrap": lambda: _sums(WindowSum((6,), STEPS, message_bits=32), bits=18, exponent=7),
    "window_sum_running_wrap": lambda: _sums(
        WindowSum((6,), STEPS, running=True, message_bits=32), bits=18, exponent=7
    ),
    "window_sum_held": _held,
    "window_sum_nested": _nested,
    "window_sum_places": _places,
    "window_sum_looped": _looped,
}
"""Each check's name and what builds its case."""
