"""The snnTorch reference of a traced graph: PyTorch in float32, neurons that are snnTorch's own.

It needs nothing of the user's code and runs the operations that the model ran, on the same shapes,
one time step at a time (a matrix product over T * B rows at once may round differently), so its
spikes are the model's, bit for bit. A Lapicque neuron is, after its input's factors, a Leaky whose beta
is 1 - time_step / (R C), or with reset to zero a Synaptic whose alpha is 0: the same sums and products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # PyTorch's own convention
from snntorch import Leaky, Synaptic
from snntorch._neurons.neurons import SpikingNeuron
from torch import Tensor

from avnir.errors import GraphError
from avnir.ir import real
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.trace import Trace, checked_inputs

Step = Callable[[Tensor], Tensor]


def reference(graph: Graph, inputs: Mapping[str, Array], states: bool = False) -> Trace:
    """Spikes of every neuron layer, uint8, and outputs, float32, each `[T, B, *shape]`.

    With `states`, each such layer's membrane potential after the step is kept as register `v`, float32.
    Raises DataError where an input does not fit, GraphError where an operation is not snnTorch's.
    """
    arrays = checked_inputs(graph, inputs)
    steps, batch = next(iter(arrays.values())).shape[:2]
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    operations = {node.name: _operation(node) for node in graph if node.inputs}
    spikes = {n.name: _blank(np.uint8, steps, batch, graph.shapes[n.name]) for n in graph.neurons}
    outputs = {n.name: _blank(np.float32, steps, batch, graph.shapes[n.name]) for n in graph.outputs}
    neurons = {name: op for name, op in operations.items() if states and isinstance(op, _Neuron)}
    kept = {name: _blank(np.float32, steps, batch, graph.shapes[name]) for name in neurons}
    with torch.no_grad():
        for t in range(steps):
            values = {name: tensor[t] for name, tensor in tensors.items()}
            for name, operation in operations.items():
                values[name] = operation(_summed(graph[name], values))
            for record in (spikes, outputs):
                for name, array in record.items():
                    array[t] = values[name].numpy()
            for name, array in kept.items():
                array[t] = neurons[name].potential().numpy()
    return Trace(spikes, outputs, {name: {"v": v} for name, v in kept.items()})


def _blank(dtype: type[np.generic], steps: int, batch: int, shape: Shape) -> Array:
    return np.zeros((steps, batch, *shape), dtype)


def _summed(node: Node, values: Mapping[str, Tensor]) -> Tensor:
    x = values[node.inputs[0]]
    for name in node.inputs[1:]:
        x = x + values[name]
    return x


def _operation(node: Node) -> Step:
    builder = _BUILDERS.get(node.op.kind)
    if builder is None:
        raise GraphError(
            f"{node.name}: {node.op.kind} has no snnTorch form; the reference runs traced models only"
        )
    return builder(node.op)


def _tensor(array: Array | None) -> Tensor | None:
    return None if array is None else torch.tensor(array)


def _linear(op: real.Linear) -> Step:
    weight, bias = torch.tensor(op.weight), _tensor(op.bias)
    return lambda x: F.linear(x, weight, bias)


def _conv2d(op: real.Conv2d) -> Step:
    weight, bias = torch.tensor(op.weight), _tensor(op.bias)
    return lambda x: F.conv2d(x, weight, bias, op.stride, op.padding, op.dilation, op.groups)


def _batch_norm(op: real.BatchNorm) -> Step:
    mean, variance, weight, bias = map(torch.tensor, (op.mean, op.variance, op.weight, op.bias))
    return lambda x: F.batch_norm(x, mean, variance, weight, bias, False, 0.0, op.eps)


def _avg_pool(op: real.AvgPool2d) -> Step:
    return lambda x: F.avg_pool2d(x, op.kernel, op.stride, op.padding)


def _sum_pool(op: real.SumPool2d) -> Step:
    return lambda x: F.avg_pool2d(x, op.kernel, op.stride, op.padding, divisor_override=1)


def _max_pool(op: real.MaxPool2d) -> Step:
    return lambda x: F.max_pool2d(x, op.kernel, op.stride, op.padding)


def _reshape(op: real.Flatten | real.Output) -> Step:
    return lambda x: x.reshape(len(x), *op.shape)


def _scale(op: real.Scale) -> Step:
    scale = torch.tensor(op.scale)
    return lambda x: x * scale


def _threshold(op: real.Threshold) -> Step:
    threshold = torch.tensor(op.threshold)
    return lambda x: (x > threshold).float()


class _Neuron:
    """A `snntorch.Leaky` or `snntorch.Synaptic` with hidden state, built from a `Lif`."""

    def __init__(self, op: real.Lif) -> None:
        if op.bias is not None or not (np.all(op.gain == 1) or op.gain.dtype == np.float32):
            raise GraphError(
                f"snnTorch's neurons have no bias and a gain of 1 or in float32, but this is {op.text()}"
            )
        self.gain = None if np.all(op.gain == 1) else torch.tensor(op.gain)
        instances, SpikingNeuron.instances = SpikingNeuron.instances, []
        try:
            self.neuron = _snntorch_neuron(op)
        finally:
            SpikingNeuron.instances = instances

    def __call__(self, x: Tensor) -> Tensor:
        spikes: Tensor = self.neuron(x if self.gain is None else x * self.gain)
        return spikes

    def potential(self) -> Tensor:
        """The membrane potential `[B, *shape]` after the last step."""
        mem: Tensor = self.neuron.mem
        return mem


def _snntorch_neuron(op: real.Lif) -> Leaky | Synaptic:
    mechanism, _, delayed = op.reset.partition("_")
    options: dict[str, Any] = {
        "beta": torch.tensor(op.beta),
        "threshold": torch.tensor(op.threshold),
        "init_hidden": True,
        "reset_mechanism": mechanism,
        "reset_delay": bool(delayed) or mechanism == "none",
    }
    if op.alpha is None and op.reset != "zero_next":
        return Leaky(**options)
    if op.reset == "zero_delayed":
        raise GraphError(f"snnTorch has no neuron with a current and this reset: {op.text()}")
    return Synaptic(torch.tensor(0.0 if op.alpha is None else op.alpha), **options)


_BUILDERS: Mapping[str, Callable[[Any], Step]] = {
    "Linear": _linear,
    "Conv2d": _conv2d,
    "BatchNorm": _batch_norm,
    "AvgPool2d": _avg_pool,
    "SumPool2d": _sum_pool,
    "MaxPool2d": _max_pool,
    "Flatten": _reshape,
    "Output": _reshape,
    "Scale": _scale,
    "Threshold": _threshold,
    "Lif": _Neuron,
}
