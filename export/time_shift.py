"""What came some steps ago, in a model that gets the whole window."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from avnir.errors import DataError

OPERATOR = "avnir.delayed.default"


def delayed(x: Tensor, steps: int) -> Tensor:
    """`x` of `steps` steps ago, zeros before that: `[T, B, ...]` -> `[T, B, ...]`, differentiable.

    y[t] = x[t - steps]. A model saved with time="window" is exported with a delay of so many steps, as the
    chip's axons have. DataError for fewer than 1 step.
    """
    if steps < 1:
        raise DataError(f"steps is {steps}, but what is delayed comes at least 1 step later")
    result: Tensor = torch.ops.avnir.delayed(x, steps)
    return result


@torch.library.custom_op("avnir::delayed", mutates_args=())
def _delayed(x: Tensor, steps: int) -> Tensor:
    return _shifted(x, steps)


@_delayed.register_fake
def _(x: Tensor, steps: int) -> Tensor:
    return torch.empty_like(x)


def _shifted(x: Tensor, steps: int) -> Tensor:
    """Later by `steps`, or earlier where that is negative."""
    result = torch.zeros_like(x)
    if steps > 0:
        result[steps:] = x[: max(len(x) - steps, 0)]
    else:
        result[:steps] = x[-steps:]
    return result


def _remember(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
    ctx.steps = inputs[1]


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    return _shifted(gradient, -ctx.steps), None


_delayed.register_autograd(_backward, setup_context=_remember)
