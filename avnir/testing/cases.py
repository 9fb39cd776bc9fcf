"""The programs of the conformance suite: one small fixed case for each thing that a backend must do.

Weights and inputs come from a generator with a fixed seed, chosen so that the layers do spike; a case
that is about an overflow or an extreme is built to reach it, and the suite's own tests assert that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avnir.ir.integer import Conv, Dense, Input, Output
from avnir.ir.operation import Array
from avnir.ir.real import RESETS
from avnir.testing import graded, listed, loops, sigma_delta, window_sums
from avnir.testing.building import STEPS, rng, spikes, weights
from avnir.testing.building import Case as Case
from avnir.testing.building import lif as lif
from avnir.testing.building import program_of as program_of

THRESHOLD_HIGH = 2**17 - 1
"""The largest 17-bit threshold."""


def _dense(weight: Array | None = None, exponent: int = 0, batch: int = 1, **neuron: Any) -> Case:
    """Inputs, one dense connection, one layer."""
    chosen = weights(6, 10) if weight is None else weight
    out, inputs = chosen.shape
    program = program_of(
        ("input", Input((inputs,)), ""),
        ("synapses", Dense(chosen, exponent), "input"),
        ("layer", lif((out,), **neuron), "synapses"),
        ("output", Output((out,)), "layer"),
    )
    return Case(program, {"input": spikes(inputs, batch=batch)})


def _conv(channels: int = 4, out: int = 6, exponent: int = 0, high: int = 100, **geometry: Any) -> Case:
    """Inputs of 9 x 8 places, one convolution with a 3 x 2 kernel, one layer."""
    weight = weights(out, channels // geometry.get("groups", 1), 3, 2, low=high - 160, high=high)
    connection = Conv(weight, exponent, **geometry)
    shape = connection.output_shape((channels, 9, 8))
    program = program_of(
        ("input", Input((channels, 9, 8)), ""),
        ("synapses", connection, "input"),
        ("layer", lif(shape, threshold=200 << exponent), "synapses"),
        ("output", Output(shape), "layer"),
    )
    return Case(program, {"input": spikes(channels, 9, 8)})


def _deep() -> Case:
    """Convolution, then two dense layers: each layer's window begins one step after the one before."""
    program = program_of(
        ("input", Input((2, 6, 6)), ""),
        ("synapses1", Conv(weights(4, 2, 3, 3), padding=(1, 1)), "input"),
        ("layer1", lif((4, 6, 6), threshold=120, bias=9), "synapses1"),
        ("synapses2", Dense(weights(12, 144, low=-100)), "layer1"),
        ("layer2", lif((12,), threshold=600, decay_u=2000, bias=500), "synapses2"),
        ("synapses3", Dense(weights(5, 12)), "layer2"),
        ("layer3", lif((5,), threshold=50), "synapses3"),
        ("output", Output((5,)), "layer3"),
    )
    return Case(program, {"input": spikes(2, 6, 6)})


def _fan_in() -> Case:
    """Two layers meet in one, each through weights of its own, and once through shared ones."""
    program = program_of(
        ("input", Input((8,)), ""),
        ("synapses_a", Dense(weights(8, 8)), "input"),
        ("synapses_b", Dense(weights(8, 8)[::-1]), "input"),
        ("a", lif((8,)), "synapses_a"),
        ("b", lif((8,), threshold=60), "synapses_b"),
        ("left", Dense(weights(5, 8)), "a"),
        ("right", Dense(weights(5, 8)[::-1], exponent=1), "b"),
        ("both", Dense(weights(5, 8)[:, ::-1]), "a b"),
        ("layer", lif((5,), threshold=150), "left right both"),
        ("output", Output((5,)), "layer"),
    )
    return Case(program, {"input": spikes(8)})


def _delay() -> Case:
    """A short path and a longer one meet; the short one is delayed by one step, both by more."""
    program = program_of(
        ("input", Input((8,)), ""),
        ("synapses", Dense(weights(8, 8), delay=3), "input"),
        ("hidden", lif((8,), bias=300), "synapses"),
        ("main", Dense(weights(6, 8)), "hidden"),
        ("skip", Dense(weights(6, 8)[::-1], delay=4), "input"),
        ("layer", lif((6,), threshold=150), "main skip"),
        ("output", Output((6,)), "layer"),
    )
    return Case(program, {"input": spikes(8)})


def _graded(message_bits: int = 8, exponent: int = 0) -> Case:
    """Signed messages of up to `message_bits` bits."""
    low, high = -(2 ** (message_bits - 1)), 2 ** (message_bits - 1) - 1
    messages = rng().integers(low, high, (STEPS, 2, 10), endpoint=True)
    messages[0] = low
    messages[1] = high
    program = program_of(
        ("input", Input((10,), message_bits), ""),
        ("synapses", Dense(weights(6, 10), exponent), "input"),
        ("layer", lif((6,), threshold=9000, decay_u=3000), "synapses"),
        ("output", Output((6,)), "layer"),
    )
    return Case(program, {"input": messages.astype(np.int32)})


def _graded_conv() -> Case:
    """Signed 8-bit messages into a convolution."""
    program = program_of(
        ("input", Input((2, 6, 6), 8), ""),
        ("synapses", Conv(weights(4, 2, 3, 3), padding=(1, 1)), "input"),
        ("layer", lif((4, 6, 6), threshold=9000), "synapses"),
        ("output", Output((4, 6, 6)), "layer"),
    )
    return Case(program, {"input": rng().integers(-128, 127, (STEPS, 1, 2, 6, 6), np.int32, endpoint=True)})


def _several() -> Case:
    """Two inputs of different shape; two outputs, of which one shows a hidden layer."""
    program = program_of(
        ("audio", Input((6,)), ""),
        ("vision", Input((2, 5, 5)), ""),
        ("hear", Dense(weights(8, 6)), "audio"),
        ("see", Conv(weights(3, 2, 3, 3)), "vision"),
        ("heard", lif((8,)), "hear"),
        ("seen", lif((3, 3, 3)), "see"),
        ("from_heard", Dense(weights(5, 8)), "heard"),
        ("from_seen", Dense(weights(5, 27)), "seen"),
        ("fused", lif((5,), threshold=200), "from_heard from_seen"),
        ("decision", Output((5,)), "fused"),
        ("hearing", Output((2, 4)), "heard"),
    )
    return Case(program, {"audio": spikes(6, batch=2), "vision": spikes(2, 5, 5, batch=2)})


def _wrap_u() -> Case:
    """A current that grows by up to `10 * 127 << 13` a step, keeps 4095/4096 of it, and wraps."""
    return _dense(np.full((6, 10), 127, np.int8), exponent=7, decay_u=0, threshold=THRESHOLD_HIGH)


def _wrap_u_once() -> Case:
    """A step's input of about `180 * 127 << 13`, many widths of the register, of which one is taken off."""
    weight = np.full((4, 600), 127, np.int8)
    weight[::2] = -127
    return _dense(weight, exponent=7, decay_u=100, threshold=1000)


def _clip_v(sign: int) -> Case:
    """A potential that leaks nothing and runs into its limit, above or below."""
    weight = np.full((4, 10), sign * 127, np.int8)
    return _dense(weight, exponent=6, decay_v=0, threshold=THRESHOLD_HIGH, reset="none")


def _wrap_conv() -> Case:
    """Graded 16-bit messages: the convolution's sum leaves 24 bits, not 32, and wraps."""
    case = _graded_conv()
    graph = case.program.graph
    wide = {"input": Input((2, 6, 6), 16), "synapses": graph["synapses"].op.replace(exponent=6)}
    nodes = [(node.name, wide.get(node.name, node.op), " ".join(node.inputs)) for node in graph]
    return Case(program_of(*nodes), {"input": case.inputs["input"] << 8})


def _per_neuron() -> Case:
    """Every parameter different in every neuron."""
    return _dense(
        decay_u=np.arange(6) * 819,
        decay_v=[0, 1, 100, 2048, 4095, 4096],
        threshold=[0, 20, 40, 80, 160, 320],
        bias=[-4096, -1, 0, 1, 5, 4095],
        bias_exponent=1,
    )


CASES: Mapping[str, Callable[[], Case]] = {
    "dense": _dense,
    "conv": _conv,
    "conv_stride": lambda: _conv(stride=(2, 3)),
    "conv_padding": lambda: _conv(padding=(2, 1)),
    "conv_dilation": lambda: _conv(dilation=(2, 3)),
    "conv_groups": lambda: _conv(groups=2),
    "conv_depthwise": lambda: _conv(channels=6, groups=6),
    "conv_all": lambda: _conv(stride=(2, 2), padding=(3, 2), dilation=(3, 2), groups=2, exponent=2),
    "deep": _deep,
    "fan_in": _fan_in,
    "delay": _delay,
    "lag": loops.lag,
    "recurrent": loops.recurrent,
    "recurrent_conv": loops.recurrent_conv,
    "recurrent_late": loops.recurrent_late,
    "recurrent_ring": loops.ring,
    **{f"reset_{reset}": lambda reset=reset: _dense(reset=reset, decay_v=400) for reset in RESETS},  # type: ignore[misc]
    "bias": lambda: _dense(bias=150, threshold=200),
    "bias_exponent": lambda: _dense(bias=[-4096, -100, 1, 50, 90, 4095], bias_exponent=7, threshold=3000),
    "weight_exponent": lambda: _dense(exponent=5, threshold=5000),
    "weight_extremes": lambda: _dense(weights(6, 10, low=-128, high=127)),
    "decay_u_least": lambda: _dense(decay_u=0, threshold=800),
    "decay_v_none": lambda: _dense(decay_v=0, threshold=500),
    "decay_v_all": lambda: _dense(decay_v=4096),
    "threshold_zero": lambda: _dense(threshold=0),
    "threshold_high": lambda: _dense(threshold=THRESHOLD_HIGH, exponent=7, decay_v=0),
    "per_neuron": _per_neuron,
    "wrap_u": _wrap_u,
    "wrap_u_once": _wrap_u_once,
    "clip_v_high": lambda: _clip_v(1),
    "clip_v_low": lambda: _clip_v(-1),
    "wrap_conv": _wrap_conv,
    "graded": _graded,
    "graded_conv": _graded_conv,
    **listed.CASES,
    **graded.CASES,
    **sigma_delta.CASES,
    **window_sums.CASES,
    "samples": lambda: _dense(batch=5, bias=40),
    "several": _several,
    "states": lambda: _dense(batch=2, decay_u=1500, reset="subtract"),
}
"""Each check's name and what builds its case."""
