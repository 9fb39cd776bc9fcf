"""Values moved, repeated or left out, each sample and each step for itself.

Where an operation takes each value from is found by letting it move the positions instead: the very
operation of PyTorch runs on 0, 1, 2, ... in the shape of its tensor. Every sample must be moved alike and
none may meet another, and the steps stay where they are: `Sparse.moved`, or where row-major order is kept a
Flatten, or nothing.

A sample without an axis, as of [B], is kept as (1,).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avnir.export.aten_arguments import value_of
from avnir.export.builder import UNKNOWN, Call, Handler, Parameter, Refused, Root, Value, Zeros
from avnir.ir import real
from avnir.ir.operation import Array, Shape
from avnir.ir.real_sparse import Sparse

MAX_VALUES = 1 << 24
"""Values of one sample that a moved tensor may have: their positions take 64 MiB."""
_STEPS = 2
"""A window's steps while the positions are moved, so that moved steps show; 1 step is exported."""
_STAY = (
    "moves or mixes the batch or the steps",
    "Keep both where they are, and move the axes behind them only; what comes steps later is avnir.delayed",
)


def moved(call: Call, x: Value, move: Callable[[Tensor], Tensor], steps: int = 1) -> Value:
    """`x` after `move`, which takes and gives a tensor of positions with a window of `steps` steps.

    Raises Refused where values would leave their sample or their step.
    """
    size = math.prod(x.shape)
    lead = (steps, call.builder.batch) if x.window else (call.builder.batch,)
    count = math.prod(lead)
    result = move(torch.arange(count * size).reshape(*lead, *x.shape))
    shape, window = call.builder.layout(result.shape, steps)
    if math.prod(shape) > MAX_VALUES:
        raise Refused(f"makes samples {shape} of more than {MAX_VALUES} values", "Use fewer or smaller axes")
    places = result.reshape(-1, math.prod(shape))
    expected = places[:1] + size * torch.arange(count)[:, None]
    if not torch.equal(places, expected):
        raise Refused(*_STAY)
    return placed(call, x, np.asarray(places[0].numpy()), shape, window)


def placed(call: Call, x: Value, places: Array, shape: Shape, window: bool) -> Value:
    """A sample of `shape` whose i-th value is the `places[i]`-th of `x`."""
    size = math.prod(x.shape)
    if not np.array_equal(places, np.arange(size)):
        x = call.emit(Sparse.moved(size, places), in_a_row(call, x), label="moved")
    return replace(reshaped(call, x, shape), window=window)


def reshaped(call: Call, x: Value, shape: Shape) -> Value:
    """`x` in row-major order with samples of `shape`."""
    if (x.shape or (1,)) != (shape or (1,)):
        x = call.emit(real.Flatten(shape or (1,)), x)
    return replace(x, shape=shape)


def in_a_row(call: Call, x: Value) -> Value:
    """`x` with one axis; what a Sparse gave and was reshaped since, as it was."""
    nodes, size = call.builder.nodes, math.prod(x.shape)
    node = nodes.get(x.producers[0]) if len(x.producers) == 1 else None
    if node is not None and node.op.kind == "Flatten":
        before = nodes.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if before is not None and before.op.kind == "Sparse":
            x = Value(node.inputs, (size,), x.window)
    return reshaped(call, x, (size,))


def aligned(call: Call, verb: str, a: Value, b: Value) -> tuple[Value, Value]:
    """Both in the result's shape; Refused where it is not the values of one step that meet."""
    if UNKNOWN in (*a.producers, *b.producers):
        return a, b
    require_steps(call, verb, a, b)
    shape = call.result.shape
    first, second = (moved(call, x, lambda places: places.expand(shape)) for x in (a, b))
    return first, second


def require_steps(call: Call, verb: str, a: Value, b: Value) -> None:
    """Refused where one has the steps and the other is of one step, and no sum over the window."""
    if a.window != b.window and not call.builder.is_held(a if b.window else b):
        raise Refused(
            f"{verb} the values of all steps and those of one by broadcasting", "Bring both to one shape"
        )


def require_floats(call: Call, verb: str) -> None:
    """Refused where the result has no floating-point values."""
    if not call.result.is_floating_point():
        raise Refused(f"{verb} integers or booleans", "Convert the inputs first: x.float()")


def _plain(argument: Any, node: Any) -> Any:
    """An argument as the operation takes it: constants as tensors."""
    if isinstance(argument, Value):
        raise Refused("moves values to where others of the network say", "Choose the places before the model")
    if isinstance(argument, Parameter):
        return argument.tensor
    if isinstance(argument, Zeros):
        return torch.zeros(node.meta["val"].shape, dtype=node.meta["val"].dtype)
    if isinstance(argument, list | tuple):
        return [_plain(item, inner) for item, inner in zip(argument, node or argument, strict=True)]
    return argument


def _applied(call: Call, steps: int) -> Value | Root:
    """The operation on what it takes first."""
    target: Any = call.node.target
    first, *others = [argument.name for argument in target._schema.arguments]
    nodes = dict(zip([first, *others], call.node.args, strict=False)) | dict(call.node.kwargs)
    plain = {name: _plain(call[name], nodes.get(name)) for name in others}
    x = call[first]

    def move(places: Tensor) -> Tensor:
        result: Tensor = target(**{first: places}, **plain)
        return result

    if isinstance(x, Root):
        return replace(x, x=moved(call, x.x, move, steps))
    return moved(call, value_of(call, first), move, steps)


def _reordered(call: Call) -> Value | Root:
    """An operation that gets axes and places, no sizes: shown two steps, so that it cannot move them."""
    return _applied(call, _STEPS)


def _resized(call: Call) -> Value | Root:
    """An operation that gets sizes, among them those of the exported step."""
    return _applied(call, 1)


def _like(call: Call) -> Value | Root:
    """`expand_as`, whose other tensor gives a shape only."""
    x, shape = call["self"], call.result.shape
    if isinstance(x, Root):
        return replace(x, x=moved(call, x.x, lambda places: places.expand(shape)))
    return moved(call, value_of(call, "self"), lambda places: places.expand(shape))


REORDERED = (
    "aten.permute.default",
    "aten.transpose.int",
    "aten.swapaxes.default",
    "aten.swapdims.default",
    "aten.movedim.int",
    "aten.movedim.intlist",
    "aten.moveaxis.int",
    "aten.moveaxis.intlist",
    "aten.mT.default",
    "aten.flip.default",
    "aten.fliplr.default",
    "aten.roll.default",
    "aten.rot90.default",
    "aten.index.Tensor",
    "aten.index_select.default",
    "aten.diagonal.default",
    "aten.repeat_interleave.self_int",
    "aten.pixel_shuffle.default",
    "aten.pixel_unshuffle.default",
    "aten.channel_shuffle.default",
)
RESIZED = (
    "aten.expand.default",
    "aten.broadcast_to.default",
    "aten.repeat.default",
    "aten.tile.default",
)
HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(REORDERED, _reordered),
    **dict.fromkeys(RESIZED, _resized),
    "aten.expand_as.default": _like,
}
