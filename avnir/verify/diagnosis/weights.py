"""Hypotheses about the weights of the connections into a layer: all of one connection at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from avnir.ir.operation import Array
from avnir.numerics import fixed
from avnir.verify.diagnosis.case import Case, Hypothesis, wire_with
from avnir.verify.diagnosis.site import Prediction, Site, Wire

INTEGER = frozenset({"integer"})

Weights = Callable[[Array], Array]


def exponents(site: Site) -> Iterator[Case]:
    """Each connection with its exponent one off, or without it."""
    for index, wire in enumerate(site.wires):
        own = wire.op.exponent
        for made in dict.fromkeys([own + 1, own - 1, 0]):
            if made != own and fixed.WEIGHT_EXPONENT.holds(made):
                detail = f"{wire.name}: weight exponent {made} in place of {own}"
                yield Case(detail, wire_with(index, _shifting(made)))


def _shifting(exponent: int) -> Callable[[Wire], Wire]:
    return lambda wire: wire.altered(exponent=exponent)


def weights(changes: Mapping[str, Weights], dimensions: int = 0) -> Callable[[Site], Iterator[Case]]:
    """Each connection with its weights changed, of this many dimensions only if that is not 0."""

    def cases(site: Site) -> Iterator[Case]:
        for index, at, own in _parameters(site, "weight"):
            if dimensions and own.ndim != dimensions:
                continue
            for words, change in changes.items():
                made = change(own)
                if made.shape == own.shape and np.any(made != own):
                    detail = f"{site.wires[index].parts[at]}: {words}"
                    yield Case(detail, wire_with(index, _with(at, weight=made)))

    return cases


def _parameters(site: Site, name: str) -> Iterator[tuple[int, int, Array]]:
    """Every array of this name in an operation before the layer: of which wire, of which operation on it."""
    for index, wire in enumerate(site.wires):
        for at, op in enumerate(wire.ops):
            own = getattr(op, name, None)
            if own is not None:
                yield index, at, own


def _with(at: int, **changes: Array) -> Callable[[Wire], Wire]:
    return lambda wire: wire.altered(at, **changes)


def _kept_bits(bits: int) -> Weights:
    drop = 8 - bits
    return lambda weight: (weight >> drop) << drop


KERNELS: Mapping[str, Weights] = {
    "kernel turned by 180 degrees: a convolution, ours is a cross-correlation": lambda w: w[..., ::-1, ::-1],
    "kernel mirrored, left for right": lambda w: w[..., ::-1],
    "kernel upside down": lambda w: w[..., ::-1, :],
    "kernel transposed, rows for columns": lambda w: w.swapaxes(2, 3),
    "kernel's input and output channels exchanged": lambda w: w.swapaxes(0, 1),
}
MATRICES: Mapping[str, Weights] = {"weights transposed": np.transpose}
SIGNS: Mapping[str, Weights] = {
    "all weights negated": lambda w: np.maximum(w, -127) * -1,
    "negative weights left out": lambda w: np.maximum(w, 0),
    "positive weights left out": lambda w: np.minimum(w, 0),
    "all weights without their sign": lambda w: np.abs(np.maximum(w, -127)),
}
EVEN: Mapping[str, Weights] = {
    "odd weights rounded down to even ones, as Lava does in mixed sign mode": lambda w: (w >> 1) << 1,
    "odd weights rounded toward zero to even ones": lambda w: (np.sign(w) * ((np.abs(w) >> 1) << 1)).astype(
        w.dtype
    ),
}
BITS: Mapping[str, Weights] = {
    **{
        f"weights of {bits} bits: the lowest {8 - bits} dropped": _kept_bits(bits) for bits in (6, 5, 4, 3, 2)
    },
    "weights clipped to 7 bits, -64 to 63": lambda w: np.clip(w, -64, 63),
}
SCALED: Mapping[str, Weights] = {"weights doubled": lambda w: w * 2.0, "weights halved": lambda w: w * 0.5}


def biases(site: Site) -> Iterator[Case]:
    """Each real operation without its bias."""
    for index, at, own in _parameters(site, "bias"):
        detail = f"{site.wires[index].parts[at]}: bias left out"
        yield Case(detail, wire_with(index, _with(at, bias=np.zeros_like(own))))


def unwrapped(site: Site) -> Iterator[Case]:
    """A convolution whose shifted sum is kept in more than 24 bits."""
    for index, wire in enumerate(site.wires):
        if wire.op.kind == "Conv" and wire.op.exponent:
            detail = f"{wire.name}: its sum has 32 bits, ours 24"
            yield Case(detail, _unshifted(index))


def _unshifted(index: int) -> Callable[[Site], Prediction]:
    def alter(site: Site) -> Prediction:
        wire = site.wires[index]
        whole = wire.altered(exponent=0).arriving << wire.op.exponent
        return site.receiving(site.arriving + (whole - wire.arriving).reshape(site.arriving.shape)).plain

    return alter


WEIGHTS = (
    Hypothesis(
        "kernel turned",
        "a convolution's kernel lies otherwise",
        "Use the kernel of a cross-correlation [C_out, C_in/groups, kH, kW], as PyTorch and NIR do.",
        weights(KERNELS, 4),
    ),
    Hypothesis(
        "weights transposed",
        "a weight matrix is read the other way round",
        "Weights are [out, in].",
        weights(MATRICES, 2),
    ),
    Hypothesis(
        "weight exponent",
        "a connection's sum is shifted by another exponent",
        "Shift the sum by the connection's exponent, once.",
        exponents,
        levels=INTEGER,
    ),
    Hypothesis(
        "signs of weights",
        "signs of weights are lost or turned",
        "Store weights as signed 8-bit integers, in mixed sign mode.",
        weights(SIGNS),
    ),
    Hypothesis(
        "odd weights rounded",
        "weights are even where ours are odd",
        "In mixed sign mode Lava drops the lowest of 8 bits: build the connection so that it is kept.",
        weights(EVEN),
        levels=INTEGER,
    ),
    Hypothesis(
        "weights of fewer bits",
        "weights have lost low or high bits",
        "Store the weights in 8 bits.",
        weights(BITS),
        levels=INTEGER,
    ),
    Hypothesis(
        "weights scaled",
        "weights are larger or smaller by a factor",
        "Fold the factor in once.",
        weights(SCALED),
        levels=frozenset({"real"}),
    ),
    Hypothesis(
        "bias dropped",
        "a bias is left out",
        "Pass the bias on.",
        biases,
        levels=frozenset({"real"}),
    ),
    Hypothesis(
        "overflow of a convolution",
        "the sum of a convolution does not wrap at 24 bits",
        "Wrap the shifted sum at 24 bits, as Lava does.",
        unwrapped,
        levels=INTEGER,
    ),
)
