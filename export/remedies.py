"""What to use instead of an operation that avnir does not take."""

from __future__ import annotations

from collections.abc import Mapping

from avnir.export.builder import Refused

_IN_PLACE = "Write x = x * c, x = x / c or x = x - y instead of changing x in place"
_ACTIVATION = "Use snntorch.Leaky: only spikes travel between layers"
_COUNT = "Return the spikes and count them outside the model"
_DECIDE = "Let a spiking neuron decide what passes: its spikes can be multiplied with others"
_LARGEST = "Return the spikes and choose the largest outside the model"
_RESIZE = "Upsample the input before the model: inside it, pictures keep their size or shrink"
_FIXED = "Use nn.Linear with fixed weights; a @ b of two tensors of the network is taken"
_UNDER_ROOT = "Clamp under a root only, as in torch.rsqrt(x.clamp(min=1e-6)), and from below"
_INTEGERS = "Stay in float32: multiply by a constant, and round before the model"
_REMEDIES: Mapping[str, str] = {
    "mul_": _IN_PLACE,
    "div_": _IN_PLACE,
    "sub_": _IN_PLACE,
    "relu": _ACTIVATION,
    "relu_": _ACTIVATION,
    "sigmoid": _ACTIVATION,
    "tanh": _ACTIVATION,
    "gelu": _ACTIVATION,
    "softmax": "Leave it out: the largest count is the same",
    "log_softmax": "Leave it out: the largest count is the same",
    "sum": _COUNT,
    "mean": _COUNT + ", or take the mean over axes of the sample; over the steps of a window it is x.mean(0)",
    "clamp": _UNDER_ROOT,
    "clamp_min": _UNDER_ROOT,
    "scaled_dot_product_attention": "Leave the softmax out: (q @ k.transpose(-1, -2)) @ v",
    "max": _LARGEST,
    "amax": _LARGEST,
    "argmax": _LARGEST,
    "topk": _LARGEST,
    "gt": _DECIDE,
    "ge": _DECIDE,
    "lt": _DECIDE,
    "le": _DECIDE,
    "eq": _DECIDE,
    "where": _DECIDE,
    "masked_fill": _DECIDE,
    "logical_and": "Multiply the spikes of the two layers: a * b",
    "floor_divide": _INTEGERS,
    "remainder": _INTEGERS,
    "round": _INTEGERS,
    "matmul": _FIXED,
    "bmm": _FIXED,
    "pad": "Pad with zeros inside the convolution: Conv2d(padding=..., padding_mode='zeros')",
    "adaptive_max_pool1d": "Use nn.MaxPool1d with a fixed kernel",
    "adaptive_max_pool2d": "Use nn.MaxPool2d with a fixed kernel",
    "max_pool2d_with_indices": "Use nn.MaxPool2d without return_indices",
    "conv3d": "Use nn.Conv2d on one axis less, the rest as channels",
    "conv_transpose1d": _RESIZE,
    "conv_transpose2d": _RESIZE,
    "upsample_nearest2d": _RESIZE,
    "upsample_bilinear2d": _RESIZE,
    "hstack": "Use torch.cat with the axis of the features",
    "layer_norm": "Use nn.BatchNorm1d or nn.BatchNorm2d",
    "group_norm": "Use nn.BatchNorm2d",
    "instance_norm": "Use nn.BatchNorm2d with running statistics",
}
_TAKEN = (
    "avnir takes Linear, Conv1d/2d, BatchNorm1d/2d, average and max-pooling, moved axes, slices, cat, "
    "Dropout, sums, means, products, matmul, guarded inverse roots and snnTorch's neurons"
)


def refuse(target: str) -> Refused:
    """The refusal of an operation that has no handler."""
    name = target.split(".")[1] if target.startswith("aten.") else target
    return Refused(f"the operation {name}", _REMEDIES.get(name, _TAKEN))
