"""The faults: where each is planted, and which cause is the right one to name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.faults import mutate
from tests.faults.mutate import (
    Fault,
    both,
    everywhere,
    named_otherwise,
    neuron,
    recorded,
    setting,
    shown,
    value,
    without_reset,
)

NONE = "none: the table has no such cause"
WHOLE = "the whole recording"


@dataclass(frozen=True)
class Case:
    """One fault: in words, the program it is planted in, the layer at which it shows, the cause to name.

    `says` must stand in the details of the cause, where that says more than its name.
    """

    fault: str
    program: str
    layer: str
    cause: str
    plant: Fault
    says: str = ""


def _even(weight: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return 2 * (weight // 2)


def _channel_last(weight: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Columns for (H, W, C) where (C, H, W) comes in: the layer reads another order."""
    return weight.reshape(-1, 8, 8, 16).transpose(0, 3, 1, 2).reshape(weight.shape)


HIDDEN = "lif_hidden"
INTO_HIDDEN = "image_branch_lif3__lif_hidden"
ATTENTION = "exchange_image_attention_spatial_lif"
FIRST = "stems_image_stages_0_lif"

FAULTS: tuple[Case, ...] = (
    Case(
        "one weight one higher",
        "long",
        "a",
        "one weight off by one",
        value("into_a", "weight", lambda w: w + 1, (8, 10)),
        "from neuron 10 to neuron 8",
    ),
    Case(
        "one weight 9 lower",
        "dense",
        "a",
        "one weight",
        value("into_a", "weight", lambda w: w - 9, (7, 2)),
        "from neuron 2 to neuron 7",
    ),
    Case(
        "one synapse missing",
        "dense",
        "c",
        "synapse missing",
        value("into_c", "weight", lambda w: w * 0, (2, 11)),
        "from neuron 11 to neuron 2",
    ),
    Case(
        "no synapse of one source",
        "dense",
        "b",
        "synapses from one source missing",
        value("into_b", "weight", lambda w: w * 0, (slice(None), 6)),
        "no synapse from neuron 6",
    ),
    Case(
        "no synapse of one channel",
        "conv",
        "second",
        "synapses from one source missing",
        value("into_second", "weight", lambda w: w * 0, (slice(None), 2)),
        "no synapse from channel 2",
    ),
    Case(
        "two neurons exchanged",
        "dense",
        "b",
        "neurons permuted",
        recorded("b", mutate.two_exchanged),
        "neurons (3) and (11) are exchanged",
    ),
    Case("reset subtracts", "dense", "a", "reset", setting("a", reset="subtract"), "'subtract'"),
    Case("no reset", "dense", "c", "reset", setting("c", reset="none"), "'none'"),
    Case("reset lasts a step", "conv", "second", "reset", setting("second", reset="zero_next"), "zero_next"),
    Case("bias dropped", "dense", "a", "bias dropped", value("a", "bias_mantissa", lambda b: b * 0)),
    Case("bias negated", "dense", "b", "bias changed", value("b", "bias_mantissa", lambda b: -b), "negated"),
    Case("bias without its exponent", "dense", "b", "bias exponent", setting("b", bias_exponent=0)),
    Case(
        "bias of one neuron 150 higher",
        "long",
        "a",
        "bias",
        value("a", "bias_mantissa", lambda b: b + 150, (4,)),
        "of neuron (4,)",
    ),
    Case("decay_v one higher", "long", "a", "decay_v off by one", value("a", "decay_v", lambda d: d + 1)),
    Case(
        "decay_u without its offset of one",
        "long",
        "a",
        "decay_u off by one",
        value("a", "decay_u", lambda d: d - 1),
    ),
    Case("no leak", "conv", "first", "no leak", value("first", "decay_v", lambda d: d * 0)),
    Case("decay_v 120 lower", "dense", "a", "decay_v", value("a", "decay_v", lambda d: d - 120)),
    Case(
        "current not kept",
        "recurrent",
        "a",
        "current not kept",
        value("a", "decay_u", lambda d: d * 0 + 4095),
    ),
    Case("threshold compared with >=", "coarse", "a", "comparison", neuron("a", at_least=True)),
    Case(
        "threshold one lower", "long", "a", "threshold off by one", value("a", "threshold", lambda d: d - 1)
    ),
    Case("threshold doubled", "conv", "out", "threshold scaled", value("out", "threshold", lambda d: d * 2)),
    Case(
        "threshold of one neuron 40 higher",
        "dense",
        "a",
        "threshold",
        value("a", "threshold", lambda d: d + 40, (9,)),
        "of neuron (9,)",
    ),
    Case("leaks round down", "long", "a", "rounding of the leak", neuron("a", floor=True)),
    Case("leaks after the input", "dense", "a", "order of the leak", neuron("a", leak_after=True)),
    Case("potential not below 0", "dense", "a", "no negative potential", neuron("a", no_inhibition=True)),
    Case("two steps of rest", "residual", "sum", "refractory period", neuron("sum", rest=2), "2 steps"),
    Case("current saturates", "strong", "a", "overflow", neuron("a", saturate=True), "saturates"),
    Case("states not cleared between samples", "recurrent", "a", "state carried over", without_reset),
    Case(
        "kernel turned",
        "conv",
        "first",
        "kernel turned",
        value("into_first", "weight", lambda w: w[..., ::-1, ::-1]),
        "180",
    ),
    Case(
        "kernel transposed",
        "conv",
        "second",
        "kernel turned",
        value("into_second", "weight", lambda w: w.swapaxes(2, 3)),
        "transposed",
    ),
    Case(
        "one weight of a kernel off by one",
        "conv",
        "second",
        "one weight off by one",
        value("into_second", "weight", lambda w: w - 1, (2, 1, 0, 2)),
        "from channel 1 to channel 2, kernel place (0, 2)",
    ),
    Case(
        "majority pooling",
        "conv",
        "pool",
        "form of the pooling",
        value("pool", "threshold", lambda d: d * 0 + 2 * 127),
        "more than half",
    ),
    Case("weights transposed", "dense", "b", "weights transposed", value("into_b", "weight", np.transpose)),
    Case(
        "negative weights left out",
        "dense",
        "a",
        "signs of weights",
        value("into_a", "weight", lambda w: np.maximum(w, 0)),
    ),
    Case("odd weights rounded", "dense", "a", "odd weights rounded", value("into_a", "weight", _even)),
    Case(
        "weights of 5 bits",
        "dense",
        "b",
        "weights of fewer bits",
        value("into_b", "weight", lambda w: w // 8 * 8),
    ),
    Case("weight exponent lost", "dense", "b", "weight exponent", setting("into_b", exponent=0)),
    Case(
        "a delay missing",
        "residual",
        "sum",
        "delay of a connection",
        setting("skip", delay=0),
        "skip arrives 1",
    ),
    Case(
        "a longer delay missing",
        "residual",
        "sum",
        "delay of a connection",
        setting("long_skip", delay=0),
        "long_skip arrives 2",
    ),
    Case(
        "recurrent connection missing",
        "recurrent",
        "a",
        "connection missing",
        value("back", "weight", lambda w: w * 0),
        "back brings nothing",
    ),
    Case(
        "first step of the input lost",
        "dense",
        "a",
        "step lost",
        shown(lambda x: np.concatenate([x[:1] * 0, x[1:]]), "input"),
        "first step",
    ),
    Case(
        "input one step late",
        "conv",
        "first",
        "input shifted",
        shown(mutate.one_step_later, "image"),
        "1 step late",
    ),
    Case(
        "a layer recorded one step late",
        "dense",
        "b",
        "time shift",
        recorded("b", mutate.one_step_later),
        "+1",
    ),
    Case(
        "all recorded one step late",
        "conv",
        WHOLE,
        "whole trace shifted",
        everywhere(lambda name, sent: mutate.one_step_later(sent)),
        "+1",
    ),
    Case(
        "recorded in chip time",
        "dense",
        WHOLE,
        "chip time",
        everywhere(lambda name, sent: _later("abc".index(name), sent)),
    ),
    Case("neurons permuted", "conv", "second", "neurons permuted", recorded("second", mutate.permuted)),
    Case(
        "neurons recorded as (H, W, C)",
        "conv",
        "first",
        "layout of the neurons",
        recorded("first", mutate.channel_last),
        "(H, W, C)",
    ),
    Case("two layers exchanged", "dense", WHOLE, "layers exchanged", named_otherwise("a", "b"), "a is our b"),
    Case(
        "samples in another order",
        "residual",
        WHOLE,
        "samples reordered",
        everywhere(lambda name, sent: sent[:, [3, 1, 0, 2, 7, 6, 5, 4]]),
        "3, 1, 0, 2",
    ),
    Case(
        "half of the neurons dead", "conv", "second", "silent neurons", recorded("second", mutate.dead_half)
    ),
    Case(
        "trained network: bias dropped",
        "av_digits",
        "image_branch_lif3",
        "bias dropped",
        value("image_branch_lif3", "bias_mantissa", lambda b: b * 0),
    ),
    Case(
        "trained network: a delay missing",
        "av_digits",
        HIDDEN,
        "delay of a connection",
        setting("audio_branch_lif2__lif_hidden", delay=0),
        "arrives 2",
    ),
    Case(
        "trained network: kernel turned",
        "av_digits",
        "image_branch_lif2",
        "kernel turned",
        value("image_branch_pool1__image_branch_lif2", "weight", lambda w: w[..., ::-1, ::-1]),
    ),
    Case(
        "trained network: another layout of the input",
        "av_digits",
        HIDDEN,
        "layout of the input",
        value(INTO_HIDDEN, "weight", _channel_last),
        "(H, W, C)",
    ),
    Case(
        "trained network: one weight one lower",
        "av_digits",
        HIDDEN,
        "one weight off by one",
        value("audio_branch_lif2__lif_hidden", "weight", lambda w: w - 1, (40, 77)),
        "from neuron 77 to neuron 40",
    ),
    Case(
        "attention: reset subtracts",
        "scmrl",
        ATTENTION,
        "reset",
        setting(ATTENTION, reset="subtract"),
    ),
    Case(
        "attention: graded input halved",
        "scmrl",
        FIRST,
        "messages changed",
        shown(lambda x: x // 2, "image"),
        "halved",
    ),
    Case(
        "attention: one weight 3 off in the read-out",
        "scmrl",
        "output_readout",
        "one weight",
        value("stems_image_pool_2__output_readout", "weight", lambda w: w + 3, (4, 17)),
        "from neuron 17 to neuron 4",
    ),
    Case(
        "attention: bias not shifted in the read-out",
        "scmrl",
        "output_readout",
        "bias exponent",
        setting("output_readout", bias_exponent=0),
    ),
    Case(
        "two weights of one neuron off",
        "dense",
        "b",
        NONE,
        both({"name": "into_b", "at": (3, 5), "by": 31}, {"name": "into_b", "at": (3, 9), "by": -27}),
    ),
    Case("leaks drawn by lot", "dense", "a", NONE, mutate.with_noise("a")),
    Case("one in a hundred spikes lost", "conv", "second", NONE, recorded("second", mutate.some_lost)),
    Case(
        "threshold that drifts with time", "dense", "a", NONE, neuron("a", jitter=(0, 9, -14, 22, -7, 3, 30))
    ),
)


def _later(steps: int, sent: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    moved = np.roll(sent, steps, axis=0)
    moved[:steps] = 0
    return moved
