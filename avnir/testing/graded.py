"""Cases of the conformance suite in which layers send graded messages, or meet in an AND or a product."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from avnir.ir.integer import Conv, Dense, Input, Lif, Output
from avnir.ir.integer_graded import InverseRoot, Product, Readout, Relay
from avnir.ir.operation import Array
from avnir.testing.building import STEPS, Case, lif, program_of, readout, rng, spikes, weights


def _messages(*shape: int, bits: int = 8, batch: int = 1) -> Array:
    limit = 1 << (bits - 1)
    return rng().integers(-limit, limit, (STEPS, batch, *shape), np.int32)


def _relay(relay: Relay, exponent: int = 0, bits: int = 8) -> Case:
    """Messages through a relay into a layer; the relay's messages are an output, too."""
    program = program_of(
        ("input", Input((10,), bits), ""),
        ("synapses", Dense(weights(6, 10, low=-100), exponent), "input"),
        ("relay", relay, "synapses"),
        ("forward", Dense(weights(5, 6, low=-100)), "relay"),
        ("layer", lif((5,), threshold=100_000), "forward"),
        ("output", Output((5,)), "layer"),
        ("relayed", Output((2, 3)), "relay"),
    )
    return Case(program, {"input": _messages(10, bits=bits, batch=2)})


def _relay_wrap() -> Case:
    """Messages of 20 bits, weighted and shifted: what arrives at the relay leaves 32 bits and wraps."""
    program = program_of(
        ("input", Input((6,), 20), ""),
        ("synapses", Dense(weights(6, 6, low=-100), exponent=7), "input"),
        ("relay", Relay((6,), threshold=2**23 - 1, positive=True, message_bits=32), "synapses"),
        ("output", Output((6,)), "relay"),
    )
    return Case(program, {"input": _messages(6, bits=20)})


def _relay_sums() -> Case:
    """A residual of counts: spikes of two layers are added in a relay, whose messages a convolution reads."""
    identity = np.eye(3, dtype=np.int8).reshape(3, 3, 1, 1)
    program = program_of(
        ("input", Input((2, 5, 5)), ""),
        ("synapses1", Conv(weights(3, 2, 3, 3), padding=(1, 1)), "input"),
        ("a", lif((3, 5, 5)), "synapses1"),
        ("synapses2", Conv(weights(3, 3, 3, 3), padding=(1, 1)), "a"),
        ("b", lif((3, 5, 5), threshold=400), "synapses2"),
        ("skip", Conv(identity, delay=1), "a"),
        ("main", Conv(identity), "b"),
        ("sum", Relay((3, 5, 5)), "skip main"),
        ("synapses3", Conv(weights(4, 3, 3, 3)), "sum"),
        ("layer", lif((4, 3, 3), threshold=800), "synapses3"),
        ("output", Output((36,)), "layer"),
    )
    return Case(program, {"input": spikes(2, 5, 5, batch=2)})


def _relay_loop() -> Case:
    """Messages of a relay come back to it, turned round, two steps later: a memory without a register."""
    program = program_of(
        ("input", Input((3, 2, 2), 4), ""),
        ("synapses", Conv(weights(3, 3, 1, 1, low=-4, high=4)), "input"),
        ("kept", Conv(-np.eye(3, dtype=np.int8).reshape(3, 3, 1, 1), delay=1, lag=2), "relay"),
        ("relay", Relay((3, 2, 2), threshold=3, message_bits=32), "synapses kept"),
        ("output", Output((12,)), "relay"),
    )
    return Case(program, {"input": _messages(3, 2, 2, bits=4, batch=3)})


def _readout(layer: Readout, exponent: int = 0, low: int = -100) -> Case:
    """Spikes into a layer that sends its potentials; several samples, each from rest."""
    program = program_of(
        ("input", Input((10,)), ""),
        ("synapses", Dense(weights(6, 10, low=low), exponent), "input"),
        ("layer", layer, "synapses"),
        ("output", Output((6,)), "layer"),
    )
    return Case(program, {"input": spikes(10, batch=3)})


def _readout_deep() -> Case:
    """Potentials of a hidden layer, of several samples, are read by another, which spikes."""
    program = program_of(
        ("input", Input((8,)), ""),
        ("synapses", Dense(weights(6, 8)), "input"),
        ("hidden", readout((6,), decay_u=3000, bias=-90, bias_exponent=3), "synapses"),
        ("forward", Dense(np.array([[1, -1, 0, 2, 0, 0], [0, 0, 1, 0, -1, 0]], np.int8)), "hidden"),
        ("layer", lif((2,), threshold=9000, decay_v=4096), "forward"),
        ("output", Output((2,)), "layer"),
    )
    return Case(program, {"input": spikes(8, batch=3)})


def _two(layer: Lif | Product, weight: Array, bits: int = 0, exponent: int = 0) -> Case:
    """Two inputs meet in one layer, each through the same weights."""
    size = len(weight)
    given = {name: _messages(size, bits=bits) if bits else spikes(size, batch=2) for name in "ab"}
    given["b"] = given["b"][:, :, ::-1]
    program = program_of(
        ("a", Input((size,), bits), ""),
        ("b", Input((size,), bits), ""),
        ("from_a", Dense(weight, exponent), "a"),
        ("from_b", Dense(weight), "b"),
        ("layer", layer, "from_a from_b"),
        ("output", Output((size,)), "layer"),
    )
    return Case(program, given)


def _and() -> Case:
    """A coincidence of two spikes: 100 + 100 is above a threshold of 150, and nothing is kept."""
    return _two(lif((8,), threshold=150, decay_v=4096), 100 * np.eye(8, dtype=np.int8))


def _product_gate() -> Case:
    """Sums of two connections at each port; what two layers send is multiplied and then weighted."""
    program = program_of(
        ("input", Input((8,)), ""),
        ("gate", Input((8,)), ""),
        ("synapses", Dense(weights(6, 8)), "input"),
        ("hidden", lif((6,), threshold=60), "synapses"),
        ("counts", Dense(weights(4, 6, low=-60)), "hidden"),
        ("skip", Dense(weights(4, 8, low=-60)[::-1], delay=1), "input"),
        ("open", Dense(weights(4, 8, low=-60), delay=1), "gate"),
        ("bias", Dense(weights(4, 6, low=-60)[::-1]), "hidden"),
        ("product", Product((4,), exponent=2, threshold=40, second=2), "counts skip open bias"),
        ("forward", Dense(weights(5, 4, low=-60)), "product"),
        ("layer", lif((5,), threshold=9000), "forward"),
        ("output", Output((5,)), "layer"),
        ("products", Output((4,)), "product"),
    )
    return Case(program, {"input": spikes(8, batch=2), "gate": spikes(8, batch=2)[::-1]})


def _inverse_root() -> Case:
    """Of numbers of every size, some below 0 and some of more than 24 bits."""
    program = program_of(
        ("input", Input((8,), 24), ""),
        ("synapses", Dense(np.diag([1, -1, 2, 3, 1, 1, 1, 1]).astype(np.int8)), "input"),
        ("layer", InverseRoot((2, 4)), "synapses"),
        ("output", Output((8,)), "layer"),
    )
    return Case(program, {"input": _messages(8, bits=24) >> np.arange(STEPS).reshape(-1, 1, 1) * 2})


def _normalised() -> Case:
    """A vector divided by its length, with 8 fractional bits left: it keeps its direction."""
    one = np.eye(8, dtype=np.int8)
    program = program_of(
        ("input", Input((8,), 8), ""),
        ("once", Dense(one), "input"),
        ("twice", Dense(one), "input"),
        ("squares", Product((8,)), "once twice"),
        ("sum", Dense(np.ones((1, 8), np.int8)), "squares"),
        ("root", InverseRoot((1,)), "sum"),
        ("to_all", Dense(np.ones((8, 1), np.int8)), "root"),
        ("later", Dense(one, delay=2), "input"),
        ("normalised", Product((8,), exponent=10), "later to_all"),
        ("output", Output((8,)), "normalised"),
    )
    return Case(program, {"input": _messages(8, batch=2)})


CASES: Mapping[str, Callable[[], Case]] = {
    "relay": lambda: _relay(Relay((6,), threshold=2000)),
    "relay_positive": lambda: _relay(Relay((6,), threshold=2000, positive=True)),
    "relay_wrap": _relay_wrap,
    "relay_sums": _relay_sums,
    "relay_loop": _relay_loop,
    "readout": lambda: _readout(readout((6,), decay_u=2500, bias=7)),
    "readout_no_leak": lambda: _readout(readout((6,), decay_v=0)),
    "readout_clip": lambda: _readout(readout((6,), decay_v=0, decay_u=0), exponent=6, low=40),
    "readout_deep": _readout_deep,
    "and": _and,
    "product_and": lambda: _two(Product((8,)), np.eye(8, dtype=np.int8)),
    "product_signed": lambda: _two(Product((8,), 2, threshold=9), weights(8, 8, low=-3, high=3), bits=3),
    "product_wrap": lambda: _two(
        Product((8,), 9, message_bits=32), weights(8, 8, low=-100), bits=8, exponent=7
    ),
    "product_gate": _product_gate,
    "inverse_root": _inverse_root,
    "normalised": _normalised,
}
"""Each check's name and what builds its case."""
