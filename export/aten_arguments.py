"""The arguments of an operation, checked: tensors of the network, parameters, sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from avnir.export.builder import Call, Membrane, Parameter, Refused, Root, Value, Zeros
from avnir.ir.operation import Array, Shape

WRITTEN_OUT = (
    "computes with zeros, which a loop over the steps may replace by what the step before gave",
    "For what comes back a step later use snntorch.RLeaky or RSynaptic, or time='step' and a forward that "
    "takes it as a state after the inputs and returns it after the outputs",
)
"""Why a recurrence written out in a window's loop is not taken, and what is: one step of it is exported."""


def value_of(call: Call, name: str = "input") -> Value:
    """A tensor of the network; Refused where it is a state, a parameter or a constant."""
    value = call[name]
    if isinstance(value, Value):
        return value
    if isinstance(value, Membrane):
        raise Refused(
            f"uses a {value.words}",
            "Use the neuron's spikes; on the chip its state stays in the neuron",
        )
    if isinstance(value, Zeros) and call.builder.window:
        raise Refused(*WRITTEN_OUT)
    if isinstance(value, Root):
        raise Refused("uses a root that is not divided by", "Divide by it: 1 / (x.sqrt() + 1e-6)")
    raise Refused(
        "computes with a constant or a parameter",
        "Compute it once, outside forward (for weight norms: remove_parametrizations)",
    )


def array_of(call: Call, name: str) -> Array | None:
    """A copy of a parameter, float32 and finite, or None where none was given."""
    value = call[name]
    if value is None:
        return None
    if not isinstance(value, Parameter):
        raise Refused(f"the {name} is computed in forward", "Give the layer plain parameters")
    array: Array = value.tensor.detach().numpy().copy()
    if array.dtype != np.float32 or not np.all(np.isfinite(array)):
        raise Refused(
            f"{value.name} is {array.dtype} or not finite", "Use finite float32 parameters: model.float()"
        )
    return array


def required_array(call: Call, name: str) -> Array:
    """The same, Refused where none was given."""
    array = array_of(call, name)
    if array is None:
        raise Refused(f"has no {name}", "Give the layer plain parameters")
    return array


def pair(value: Any) -> tuple[int, int]:
    """One size for both axes, or one for each."""
    items = [value] if isinstance(value, int) else list(value)
    return (int(items[0]), int(items[-1]))


def padding_of(padding: Any, kernel: Shape, dilation: tuple[int, int]) -> tuple[int, int]:
    """PyTorch's 'same' adds dilation * (kernel - 1) zeros in all, half on each side where that is even."""
    if not isinstance(padding, str):
        return pair(padding)
    if padding == "valid":
        return (0, 0)
    total = tuple(d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    if any(t % 2 for t in total):
        raise Refused("padding='same' with an even kernel pads one side more", "Use an odd kernel")
    return (total[0] // 2, total[1] // 2)
