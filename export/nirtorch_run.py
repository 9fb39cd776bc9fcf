"""A network whose NIR file nirtorch parses and wires: another reader sees the same nodes and edges.

nirtorch 2.6 (`nir_to_torch`) makes a torch module of each node and a Python program of the edges. Its own
modules are not used: the one for Affine has a random bias. Those here follow NIR's equations
(`avnir.export.nir_read`) from the plain fields of the file, in float64, and take only the reset from
avnir's metadata. Then every spike is the graph's, as far as float64 tells a potential from its threshold.

nirtorch fails on several inputs, does not end on several outputs, and returns what feeds one output apart
instead of added: refused. It adds what feeds a node in the order of a set, so from three on the last bit
of a sum may change with PYTHONHASHSEED.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avnir.export.nir_readers import (
    Problem,
    Rule,
    exact,
    findings,
    handed_over,
    nir_form,
    refuse,
    required,
    stepped,
)
from avnir.export.nir_schema import KEY
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.trace import Trace

INSTALL = 'pip install "avnir[nirtorch]"'
RESETS = ("zero", "subtract", "none", "zero_delayed", "subtract_delayed", "zero_next")
"""What the neuron here does; their meaning is in `avnir.ir.real`."""


def nirtorch_trace(graph: Graph, inputs: Mapping[str, Array]) -> Trace:
    """Spikes of every layer, uint8, and the output, float64, each `[T, B, *shape]`, computed in float64.

    Raises UnsupportedError with everything that nirtorch would compute otherwise, BackendError where it is
    not installed, DataError where an input does not fit.
    """
    form = nir_form(graph)
    refuse("nirtorch", list(findings(form, "nirtorch", RULES)))
    nir, nirtorch = (required(module, "nirtorch", INSTALL) for module in ("nir", "nirtorch"))
    content = handed_over(form, "nirtorch", MODULES, nir)
    modules = {getattr(nir, kind): partial(build, form.dt) for kind, build in MODULES.items()}
    network = nirtorch.nir_to_torch(content, modules, default_map={}, dtype=torch.float64)
    return stepped(network, graph, form, inputs)


def _lif(graph: Graph, node: Node) -> Problem | None:
    reset: str = node.op.reset  # type: ignore[attr-defined]
    return None if reset in RESETS else (f"its reset is {reset!r}", f"Use one of {', '.join(RESETS)}")


def _output(graph: Graph, node: Node) -> Problem | None:
    fed = ", ".join(node.inputs)
    problem = f"nirtorch returns what feeds it ({fed}) apart instead of added"
    return (problem, "Let one layer feed the output") if len(node.inputs) > 1 else None


RULES: Mapping[str, Rule] = {
    "Input": exact,
    "Output": _output,
    "Flatten": exact,
    "Linear": exact,
    "Conv2d": exact,
    "AvgPool2d": exact,
    "SumPool2d": exact,
    "Scale": exact,
    "Threshold": exact,
    "Lif": _lif,
}


class _Plain(nn.Module):
    """A function without a state as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class _Neuron(nn.Module):
    """NIR's LIF, IF and CubaLIF by forward Euler; the state is v and the synaptic current i."""

    def __init__(self, node: Any, alpha: Tensor, beta: Tensor, gain: Tensor) -> None:
        super().__init__()
        self.alpha, self.beta, self.gain = alpha, beta, gain
        self.threshold = _values(node.v_threshold)
        self.reset: str = json.loads(node.metadata.get(KEY, "{}")).get("reset", "zero")

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> Any:
        """One step: the spikes, and the next state."""
        v, i = state or (torch.zeros_like(x), torch.zeros_like(x))
        i = self.alpha * i + self.gain * x
        spikes, v = self._fired(v, i)
        return spikes, (v, i)

    def _fired(self, before: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes and potential, from the potential before and the current; each reset has one place."""
        above = (before > self.threshold).double()
        v = self.beta * (before * (1 - above) if self.reset == "zero_delayed" else before) + i
        if self.reset == "zero_next":
            v = v * (1 - above)
        elif self.reset in ("subtract", "subtract_delayed"):
            v = v - above * self.threshold
        spikes = (v > self.threshold).double()
        if self.reset == "zero":
            v = v * (1 - spikes)
        elif self.reset == "subtract":
            v = v - (spikes - above) * self.threshold
        return spikes, v


def _values(array: Array) -> Tensor:
    return torch.from_numpy(np.asarray(array, np.float64))


def _sizes(array: Array) -> tuple[int, ...]:
    return tuple(int(size) for size in np.ravel(array))


def _same(dt: float, node: Any) -> nn.Module:
    return nn.Identity()


def _linear(dt: float, node: Any) -> nn.Module:
    weight = _values(node.weight)
    return _Plain(lambda x: F.linear(x, weight))


def _affine(dt: float, node: Any) -> nn.Module:
    weight, bias = _values(node.weight), _values(node.bias)
    return _Plain(lambda x: F.linear(x, weight, bias))


def _conv(dt: float, node: Any) -> nn.Module:
    weight, bias = _values(node.weight), _values(node.bias)
    stride, padding, dilation = map(_sizes, (node.stride, node.padding, node.dilation))
    return _Plain(lambda x: F.conv2d(x, weight, bias, stride, padding, dilation, int(node.groups)))


def _avg_pool(dt: float, node: Any) -> nn.Module:
    kernel, stride, padding = map(_sizes, (node.kernel_size, node.stride, node.padding))
    return _Plain(lambda x: F.avg_pool2d(x, kernel, stride, padding))


def _sum_pool(dt: float, node: Any) -> nn.Module:
    kernel, stride, padding = map(_sizes, (node.kernel_size, node.stride, node.padding))
    return _Plain(lambda x: F.avg_pool2d(x, kernel, stride, padding, divisor_override=1))


def _flatten(dt: float, node: Any) -> nn.Module:
    return nn.Flatten(int(node.start_dim), int(node.end_dim))


def _scale(dt: float, node: Any) -> nn.Module:
    scale = _values(node.scale)
    return _Plain(lambda x: x * scale)


def _threshold(dt: float, node: Any) -> nn.Module:
    threshold = _values(node.threshold)
    return _Plain(lambda x: (x > threshold).double())


def _lif_module(dt: float, node: Any) -> nn.Module:
    decay = dt / _values(node.tau)
    return _Neuron(node, torch.zeros_like(decay), 1 - decay, _values(node.r) * decay)


def _if_module(dt: float, node: Any) -> nn.Module:
    r = _values(node.r)
    return _Neuron(node, torch.zeros_like(r), torch.ones_like(r), r * dt)


def _cuba_module(dt: float, node: Any) -> nn.Module:
    decay, synaptic = dt / _values(node.tau_mem), dt / _values(node.tau_syn)
    gain = (_values(node.r) * decay) * (_values(node.w_in) * synaptic)
    return _Neuron(node, 1 - synaptic, 1 - decay, gain)


MODULES: Mapping[str, Callable[[float, Any], nn.Module]] = {
    "Input": _same,
    "Output": _same,
    "Flatten": _flatten,
    "Linear": _linear,
    "Affine": _affine,
    "Conv2d": _conv,
    "AvgPool2d": _avg_pool,
    "SumPool2d": _sum_pool,
    "Scale": _scale,
    "Threshold": _threshold,
    "LIF": _lif_module,
    "IF": _if_module,
    "CubaLIF": _cuba_module,
}
"""How to make a torch module of dt in seconds and a node of NIR, by NIR's type."""
