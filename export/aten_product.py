"""Products of two tensors of the network: a * b, matmul, einsum.

Both are moved to the shape of the terms (`aten_move`) and multiplied: where both are spikes by neurons that
fire when both do (1 where the sum exceeds 3/2), else by graded neurons of two ports. What is summed over is
summed then. So S = q k^T is S[n, m] = sum over d of (q[n, d] k[m, d]), a product neuron for each (n, m, d).

What is summed over the steps is the sum over the window: k^T v over them is one matrix for the window.
But q k^T over the steps would let every step meet every other: that is written q (k^T v).
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from avnir.export.aten_arguments import value_of
from avnir.export.aten_move import aligned, moved, require_floats, require_steps, reshaped
from avnir.export.aten_sum import over_steps, summed
from avnir.export.builder import Call, Handler, Parameter, Refused, Value
from avnir.export.remedies import refuse
from avnir.ir import real
from avnir.ir.real_graded import Product

_STEPS_MEET = (
    "pairs each step with every other",
    "Sum over the steps first: (q k^T) v is q (k^T v), as in "
    "torch.einsum('tbnd,tbne->bnde', k, v), then torch.einsum('tbnd,bnde->tbne', q, kv)",
)


def product(call: Call, a: Value, b: Value) -> Value:
    """a * b of one shape: spikes where both are, else numbers."""
    both = Value((*a.producers, *b.producers), a.shape, a.window)
    if call.builder.is_binary(a) and call.builder.is_binary(b):
        if a.producers == b.producers:
            return a
        return call.emit(real.Threshold(np.array(1.5, np.float32)), both, label="product")
    if set(a.producers) & set(b.producers):
        b = call.emit(real.Flatten(b.shape or (1,)), b, label="copy")
        both = Value((*a.producers, *b.producers), a.shape, a.window)
    return call.emit(Product(len(b.producers)), both, label="product")


def broadcast_product(call: Call, a: Value, b: Value) -> Value:
    """a * b as PyTorch broadcasts them."""
    require_floats(call, "multiplies")
    return product(call, *aligned(call, "multiplies", a, b))


def contracted(call: Call, axes: Sequence[str], values: Sequence[Value], kept: str) -> Value:
    """The product of one or two tensors whose axes have these letters, summed over the letters not in `kept`.

    An axis of size 1 is repeated where the other tensor's is longer.
    """
    require_floats(call, "multiplies")
    time = _steps_letter(call, axes, values)
    rest = [letter for letter in dict.fromkeys("".join(axes)) if letter not in kept]
    order = [*kept, *(letter for letter in rest if letter != time)]
    if time in rest:
        order = [time, *order]
    sizes: dict[str, int] = {}
    for letters, value in zip(axes, values, strict=True):
        for letter, size in zip(letters, call.builder.tensor_shape(value), strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    spread = [_spread(call, x, letters, order, sizes) for x, letters in zip(values, axes, strict=True)]
    terms = product(call, *spread) if len(spread) == 2 else spread[0]
    first = len(order) - len(terms.shape)
    total = summed(call, terms, {order.index(letter) - first for letter in rest if letter != time})
    if time in rest:
        total = over_steps(call, total)
    shape, window = call.builder.layout(call.result.shape)
    return Value(reshaped(call, total, shape).producers, shape, window)


def _spread(call: Call, x: Value, letters: str, order: list[str], sizes: Mapping[str, int]) -> Value:
    """`x` with an axis for every letter in order."""
    own = [letter for letter in order if letter in letters]
    missing = [place for place, letter in enumerate(order) if letter not in letters]

    def spread(places: Tensor) -> Tensor:
        result = places.permute([letters.index(letter) for letter in own])
        for place in missing:
            result = result.unsqueeze(place)
        return result.expand([sizes[letter] for letter in order])

    return moved(call, x, spread)


def _steps_letter(call: Call, axes: Sequence[str], values: Sequence[Value]) -> str:
    """The letter of the axis of time, empty where there is none; both tensors must have it, or be held."""
    of_steps = [(letters, x) for letters, x in zip(axes, values, strict=True) if x.window]
    named = {letters[0] for letters, x in of_steps if not call.builder.is_held(x)}
    named = named or {letters[0] for letters, _ in of_steps}
    if len(named) > 1:
        raise Refused(*_STEPS_MEET)
    for first, second in itertools.pairwise(values):
        require_steps(call, "multiplies", first, second)
    return next(iter(named), "")


def _matmul(call: Call) -> Value:
    first, second = ("self", "mat2") if "mat2" in call.arguments else ("self", "other")
    if isinstance(call[first], Parameter) or isinstance(call[second], Parameter):
        raise refuse(str(call.node.target))
    a, b = value_of(call, first), value_of(call, second)
    left, right = (len(call.builder.tensor_shape(x)) for x in (a, b))
    if min(left, right) < 3:
        raise Refused(
            "a matrix product of samples without a matrix", "Give it [B, N, D], or use torch.einsum"
        )
    lead = string.ascii_lowercase[: max(left, right) - 2]
    letters = lead[len(lead) - left + 2 :] + "XY", lead[len(lead) - right + 2 :] + "YZ"
    return contracted(call, letters, (a, b), f"{lead}XZ")


def _einsum(call: Call) -> Value:
    operands = call["tensors"]
    if any(isinstance(operand, Parameter) for operand in operands):
        raise Refused(
            "einsum with a constant or a parameter", "Use nn.Linear or nn.Conv2d with fixed weights"
        )
    if len(operands) > 2 or not all(isinstance(operand, Value) for operand in operands):
        raise Refused("einsum of other than one or two tensors of the network", "Multiply two at a time")
    axes, kept = _letters(call["equation"], [len(call.builder.tensor_shape(x)) for x in operands])
    if any(len(set(letters)) < len(letters) for letters in axes):
        raise Refused("einsum of a diagonal", "Take the diagonal first: x.diagonal(...)")
    return contracted(call, axes, operands, kept)


def _letters(equation: str, counts: Sequence[int]) -> tuple[list[str], str]:
    """A letter for each axis of each tensor, and those of the result; `...` gets letters of its own."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    own, free = terms.split(","), [c for c in string.ascii_letters if c not in terms]
    hidden = [count - len(term.replace("...", "")) for term, count in zip(own, counts, strict=True)]
    dots = "".join(free[: max((h for h, term in zip(hidden, own, strict=True) if "..." in term), default=0)])
    axes = [term.replace("...", dots[len(dots) - h :]) for term, h in zip(own, hidden, strict=True)]
    if not arrow:
        single = sorted(c for c in set(terms) - set(".,") if terms.count(c) == 1)
        result = "..." * ("..." in terms) + "".join(single)
    return axes, result.replace("...", dots)


HANDLERS: Mapping[str, Handler] = {
    "aten.matmul.default": _matmul,
    "aten.bmm.default": _matmul,
    "aten.einsum.default": _einsum,
}
