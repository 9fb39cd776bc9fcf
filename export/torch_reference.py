"""The snnTorch reference of a traced graph: PyTorch in float32, neurons that are snnTorch's own.

It needs nothing of the user's code and runs the operations that the model ran, on the same shapes,
one time step at a time (a matrix product over T * B rows at once may round differently), so its
spikes are the model's, bit for bit. A Lapicque neuron is, after its input's factors, a Leaky whose beta
is 1 - time_step / (R C), or with reset to zero a Synaptic whose alpha is 0: the same sums and products.
A leaky integrator is the potential of a Leaky or Synaptic without reset. A neuron that brings its spikes
back itself (`recurrence`) is an RLeaky or RSynaptic that is handed what they bring. Where the graph sums over
the window, the window is shown as often as `avnir.ir.presentations` says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # PyTorch's own convention
from snntorch import Alpha, Leaky, RLeaky, RSynaptic, Synaptic
from snntorch._neurons.neurons import SpikingNeuron
from torch import Tensor, nn

from avnir.errors import GraphError
from avnir.export.neuron_forms import tau_alpha
from avnir.export.recurrence import brings_back
from avnir.export.torch_graded import WindowSums, inverse_root, product, sparse
from avnir.ir import real
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.ir.presentations import presentations
from avnir.trace import Trace, checked_inputs

Step = Callable[..., Tensor]
"""From a step's input, and what comes back to a recurrent neuron, to the output."""


def reference(graph: Graph, inputs: Mapping[str, Array], states: bool = False) -> Trace:
    """Spikes of every neuron layer, uint8, and outputs, float32, each `[T, B, *shape]`.

    With `states`, each such layer's membrane potential after the step is kept as register `v`, float32.
    Raises DataError where an input does not fit, GraphError where an operation is not snnTorch's.
    """
    arrays = checked_inputs(graph, inputs)
    steps, batch = next(iter(arrays.values())).shape[:2]
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    back = {node.name for node in graph if brings_back(graph.by_name, node)}
    sums = {node.name: WindowSums(node.op) for node in graph if node.op.kind == "WindowSum"}
    for _ in range(presentations(graph)):
        for kept in sums.values():
            kept.begin()
        trace = _shown(graph, tensors, (steps, batch), back, sums, states)
    return trace


def _shown(
    graph: Graph,
    tensors: Mapping[str, Tensor],
    size: tuple[int, int],
    back: Collection[str],
    sums: Mapping[str, WindowSums],
    states: bool,
) -> Trace:
    """One presentation of the window, from a fresh state but for the `sums`; `size` is [T, B]."""
    steps, batch = size
    operations = {
        node.name: sums.get(node.name) or _operation(node, node.name in back)
        for node in graph
        if node.inputs and not node.op.delayed
    }
    delays = {node.name: _blank_delay(node.op, batch) for node in graph.select(lambda op: op.delayed)}
    spikes = {n.name: _blank(np.uint8, steps, batch, graph.shapes[n.name]) for n in graph.neurons}
    outputs = {n.name: _blank(np.float32, steps, batch, graph.shapes[n.name]) for n in graph.outputs}
    neurons = {name: op for name, op in operations.items() if states and isinstance(op, _Neuron)}
    potentials = {name: _blank(np.float32, steps, batch, graph.shapes[name]) for name in neurons}
    with torch.no_grad():
        for t in range(steps):
            values = {name: tensor[t] for name, tensor in tensors.items()}
            values |= {name: kept[0] for name, kept in delays.items()}
            for name, operation in operations.items():
                values[name] = operation(*_given(graph[name], values, name in back))
            for record in (spikes, outputs):
                for name, array in record.items():
                    array[t] = values[name].numpy()
            for name, array in potentials.items():
                array[t] = neurons[name].potential().numpy()
            for name, kept in delays.items():
                kept.append(_summed(graph[name].inputs, values))
    return Trace(spikes, outputs, {name: {"v": v} for name, v in potentials.items()})


def _blank(dtype: type[np.generic], steps: int, batch: int, shape: Shape) -> Array:
    return np.zeros((steps, batch, *shape), dtype)


def _blank_delay(op: Any, batch: int) -> deque[Tensor]:
    return deque([torch.zeros(batch, *op.shape)] * op.steps, op.steps)


def _given(node: Node, values: Mapping[str, Tensor], back: bool) -> tuple[Tensor, ...]:
    """The summed input of each port, and apart from it what comes back to a recurrent neuron."""
    if back:
        return _summed(node.inputs[1:], values), values[node.inputs[0]]
    ports: tuple[tuple[str, ...], ...] = node.op.ports(node.inputs)  # type: ignore[attr-defined]
    return tuple(_summed(names, values) for names in ports)


def _summed(names: tuple[str, ...], values: Mapping[str, Tensor]) -> Tensor:
    x = values[names[0]]
    for name in names[1:]:
        x = x + values[name]
    return x


def _operation(node: Node, back: bool) -> Step:
    if back:
        return _Recurrent(node.op)
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
    """A factor in float64, as 1 / n of a mean, is applied in float64 and the product rounded once.

    That is x / n as PyTorch rounds it: the error of the product in float64, at most 2^-52 of it, is less than
    the distance of x / n from the middle between two numbers of float32, which is 2^-25 / n of it or more.
    """
    scale = torch.tensor(op.scale)
    if scale.dtype == torch.float64:
        return lambda x: (x.double() * scale).float()
    return lambda x: x * scale


def _threshold(op: real.Threshold) -> Step:
    threshold = torch.tensor(op.threshold)
    return lambda x: (x > threshold).float()


class _Neuron:
    """A neuron of snnTorch's with hidden state."""

    def __init__(self, op: Any) -> None:
        with _unlisted():
            self.neuron = self.build(op)

    def build(self, op: Any) -> Any:
        """The module for the operation; GraphError where snnTorch has none."""
        raise NotImplementedError(op.kind)

    def __call__(self, x: Tensor) -> Tensor:
        spikes: Tensor = self.neuron(x)
        return spikes

    def potential(self) -> Tensor:
        """The membrane potential `[B, *shape]` after the last step."""
        mem: Tensor = self.neuron.mem
        return mem


class _Lif(_Neuron):
    """A Leaky or Synaptic, or after the input's gain a Lapicque."""

    def build(self, op: real.Lif) -> Leaky | Synaptic:
        self.gain = _gain(op)
        return _leaky(op)

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x if self.gain is None else x * self.gain)


class _Li(_Lif):
    """The potential of a neuron that nothing resets, whatever its threshold."""

    def __init__(self, op: real.Li) -> None:
        threshold = np.ones((), np.float32)
        super().__init__(real.Lif(op.beta, threshold, op.gain, "none", op.bias, op.alpha))

    def __call__(self, x: Tensor) -> Tensor:
        super().__call__(x)
        return self.potential()


class _Recurrent(_Neuron):
    """An RLeaky or RSynaptic; what its spikes bring back is computed outside and handed in."""

    def build(self, op: real.Lif) -> RLeaky | RSynaptic:
        at_once = ("zero", "subtract") if op.alpha is not None else ()
        if op.bias is not None or _gain(op) is not None or op.reset in ("zero_delayed", *at_once):
            raise GraphError(f"snnTorch has no such recurrent neuron: {op.text()}")
        options = {"beta": torch.tensor(op.beta), "threshold": torch.tensor(op.threshold), **_reset(op)}
        options |= {"all_to_all": False, "learn_recurrent": False}
        made = RLeaky(**options) if op.alpha is None else RSynaptic(torch.tensor(op.alpha), **options)
        self.handed_in = made.recurrent = _HandedIn()
        return made

    def __call__(self, x: Tensor, back: Tensor) -> Tensor:  # type: ignore[override]
        self.handed_in.value = back
        return super().__call__(x)


class _HandedIn(nn.Module):
    """In the place of a recurrent layer: what that layer gave."""

    value: Tensor

    def forward(self, spikes: Tensor) -> Tensor:
        return self.value


class _Alpha(_Neuron):
    """snnTorch's Alpha, which computes tau itself."""

    def build(self, op: real.Alpha) -> Alpha:
        made = Alpha(0.9, 0.8, torch.tensor(op.threshold), init_hidden=True, reset_mechanism=op.reset)
        made.alpha, made.beta = torch.tensor(op.alpha), torch.tensor(op.beta)
        if not np.array_equal(tau_alpha(made.alpha, made.beta).numpy(), op.tau):
            raise GraphError(f"snnTorch's Alpha has another tau than {op.text()}")
        return made


def _leaky(op: real.Lif) -> Leaky | Synaptic:
    if op.bias is not None or (op.alpha is not None and op.reset == "zero_delayed"):
        raise GraphError(f"snnTorch has no neuron with a bias, or a current and this reset: {op.text()}")
    options = {"beta": torch.tensor(op.beta), "threshold": torch.tensor(op.threshold), **_reset(op)}
    if op.alpha is None and op.reset != "zero_next":
        return Leaky(**options)
    return Synaptic(torch.tensor(0.0 if op.alpha is None else op.alpha), **options)


@contextmanager
def _unlisted() -> Iterator[None]:
    """Keeps neurons out of snnTorch's list of all neurons in the process."""
    instances, SpikingNeuron.instances = SpikingNeuron.instances, []
    try:
        yield
    finally:
        SpikingNeuron.instances = instances


def _gain(op: real.Lif) -> Tensor | None:
    """What multiplies the input, None for 1."""
    if np.all(op.gain == 1):
        return None
    if op.gain.dtype != np.float32:
        raise GraphError(f"snnTorch's neurons have a gain of 1 or in float32, but this is {op.text()}")
    return torch.tensor(op.gain)


def _reset(op: real.Lif) -> dict[str, Any]:
    """The reset and the hidden state, as snnTorch's constructors take them."""
    mechanism, _, delayed = op.reset.partition("_")
    delay = bool(delayed) or mechanism == "none"
    return {"init_hidden": True, "reset_mechanism": mechanism, "reset_delay": delay}


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
    "Sparse": sparse,
    "Product": product,
    "InverseRoot": inverse_root,
    "Threshold": _threshold,
    "Lif": _Lif,
    "Li": _Li,
    "Alpha": _Alpha,
}
