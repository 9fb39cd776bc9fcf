"""What to use instead of an operation that avnir does not take."""

from __future__ import annotations

from collections.abc import Mapping

from avnir.export.builder import Refused

_FOLD = "Fold the factor into the weights of the layer before or after it"
_ACTIVATION = "Use snntorch.Leaky: only spikes travel between layers"
_COUNT = "Return the spikes and count them outside the model"
_REMEDIES: Mapping[str, str] = {
    "mul": _FOLD,
    "mul_": _FOLD,
    "div": _FOLD,
    "div_": _FOLD,
    "neg": "Negate the weights of the layer before or after it",
    "sub": "Negate the weights of the layer before one of the two, and add",
    "rsub": "Negate the weights of the layer before it and put the constant into its bias",
    "relu": _ACTIVATION,
    "relu_": _ACTIVATION,
    "sigmoid": _ACTIVATION,
    "tanh": _ACTIVATION,
    "gelu": _ACTIVATION,
    "softmax": "Leave it out: the largest count is the same",
    "log_softmax": "Leave it out: the largest count is the same",
    "sum": _COUNT,
    "mean": _COUNT + ", or use nn.AvgPool2d over all of the picture",
    "matmul": "Use nn.Linear with fixed weights",
    "bmm": "Use nn.Linear with fixed weights",
    "pad": "Pad with zeros inside the convolution: Conv2d(padding=..., padding_mode='zeros')",
    "adaptive_avg_pool2d": "Use nn.AvgPool2d with a fixed kernel",
    "adaptive_max_pool2d": "Use nn.MaxPool2d with a fixed kernel",
    "max_pool2d_with_indices": "Use nn.MaxPool2d without return_indices",
    "conv1d": "Use nn.Conv2d with a kernel of height 1",
    "layer_norm": "Use nn.BatchNorm1d or nn.BatchNorm2d",
    "group_norm": "Use nn.BatchNorm2d",
    "instance_norm": "Use nn.BatchNorm2d with running statistics",
}
_TAKEN = (
    "avnir takes Linear, Conv2d, BatchNorm1d/2d, AvgPool2d, MaxPool2d, Flatten, Dropout, "
    "additions and snntorch.Leaky"
)


def refuse(target: str) -> Refused:
    """The refusal of an operation that has no handler."""
    name = target.split(".")[1] if target.startswith("aten.") else target
    return Refused(f"the operation {name}", _REMEDIES.get(name, _TAKEN))
