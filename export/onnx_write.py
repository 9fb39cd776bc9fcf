"""One time step of a real graph as an ONNX model: inputs and states in, spikes, outputs and next states out.

ONNX has no neurons and no time, so the caller keeps the states: a layer `lif` takes its membrane
potential as the input `lif_v`, zeros `[B, *shape]` before the first step, and gives the next one as
`lif_v_next`. A delay `late` of n steps is n states, `late_1`, which it gives in this step, to `late_n`.
Everything is float32, as in PyTorch; parameters are rounded to it. Operator set 17
(ONNX 1.12), which every runtime of the last years reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from avnir.errors import Finding, UnsupportedError
from avnir.files import atomic_path
from avnir.ir import real
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Operation, Shape

OPERATOR_SET = 17
IR_VERSION = 8
"""Of ONNX 1.12, which brought this operator set."""
BATCH = "B"
MISSING = {
    "Product": "A product of two values of the network is written for the chip only",
    "WindowSum": "One time step is written, and a sum over the window is of all",
    "InverseRoot": "An inverse root is written for the chip only",
    "Sparse": "Moved or summed values of a sample are written for the chip only",
}
"""Why what is exact on the chip is not written here."""


def write_onnx(graph: Graph, path: Path) -> None:
    """Write the model, whole or not at all; the same graph gives the same bytes.

    Raises UnsupportedError where an operation has no ONNX form.
    """
    content = onnx_bytes(graph)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def onnx_bytes(graph: Graph) -> bytes:
    """The model that `write_onnx` writes, checked by ONNX's own checker."""
    step = _Step(graph)
    findings: list[Finding] = []
    delays = graph.select(lambda op: op.delayed)
    for node in delays:
        step.recall(node)
    for node in (*graph.select(lambda op: not op.delayed), *delays):
        try:
            step.add(node)
        except UnsupportedError as error:
            findings.extend(error.findings)
    if findings:
        raise UnsupportedError("the network has no ONNX form", findings)
    model = helper.make_model(
        helper.make_graph(step.nodes, "one_step", step.inputs, step.outputs, step.constants),
        opset_imports=[helper.make_opsetid("", OPERATOR_SET)],
        ir_version=IR_VERSION,
        producer_name="avnir",
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


@dataclass
class _Step:
    """The ONNX graph in the making; a value of ours has the name of our node."""

    graph: Graph
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)

    def add(self, node: Node) -> None:
        """One of our nodes, with what it gives to the caller."""
        shape = self.graph.shapes[node.name]
        if not node.inputs:
            self.inputs.append(_value(node.name, shape))
            return
        emit(node.op, self, node.name, self.summed(node), shape)
        if node.op.spiking or node.op.kind == "Output":
            self.outputs.append(_value(node.name, shape))

    def recall(self, node: Node) -> None:
        """What a delay gives in this step, before what feeds it is computed."""
        states = [self.state(name, self.graph.shapes[node.name]) for name in _kept(node.op, node.name)]
        self.apply("Identity", [states[0]], node.name)

    def summed(self, node: Node) -> str:
        total = node.inputs[0]
        for index, name in enumerate(node.inputs[1:], 1):
            total = self.apply("Add", [total, name], f"{node.name}/sum{index}")
        return total

    def apply(self, kind: str, inputs: Sequence[str], result: str, **attributes: Any) -> str:
        """One ONNX operator with the value `result`."""
        self.nodes.append(helper.make_node(kind, list(inputs), [result], name=result, **attributes))
        return result

    def constant(self, name: str, array: Any) -> str:
        """A parameter as a float32 constant."""
        return self.stored(name, np.asarray(array, np.float32))

    def stored(self, name: str, array: Array) -> str:
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def above(self, value: str, threshold: str, result: str) -> str:
        """1 where the value exceeds the threshold, else 0, float32."""
        greater = self.apply("Greater", [value, threshold], f"{result}/greater")
        return self.apply("Cast", [greater], result, to=TensorProto.FLOAT)

    def state(self, name: str, shape: Shape) -> str:
        """A state that the caller hands in as `name` and gets back as `name_next`."""
        self.inputs.append(_value(name, shape))
        self.outputs.append(_value(f"{name}_next", shape))
        return name


def _value(name: str, shape: Shape) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *shape])


@singledispatch
def emit(op: Operation, step: _Step, name: str, x: str, shape: Shape) -> None:
    """Add what computes `op` of the value `x` as the value `name`, of a sample's `shape`."""
    remedy = MISSING.get(op.kind, "Export before the pass that made it.")
    raise UnsupportedError("no ONNX form", [Finding(name, f"{op.kind} has no ONNX form", remedy)])


@emit.register(real.Output)
@emit.register(real.Flatten)
def _(op: real.Output | real.Flatten, step: _Step, name: str, x: str, shape: Shape) -> None:
    # The batch is named -1, not 0 ("as before"): a sample may gain or lose axes.
    step.apply("Reshape", [x, step.stored(f"{name}/shape", np.array([-1, *shape], np.int64))], name)


@emit.register
def _(op: real.Linear, step: _Step, name: str, x: str, shape: Shape) -> None:
    bias = np.zeros(len(op.weight)) if op.bias is None else op.bias
    weight = step.constant(f"{name}/weight", op.weight)
    step.apply("Gemm", [x, weight, step.constant(f"{name}/bias", bias)], name, transB=1)


@emit.register
def _(op: real.Conv2d, step: _Step, name: str, x: str, shape: Shape) -> None:
    inputs = [x, step.constant(f"{name}/weight", op.weight)]
    if op.bias is not None:
        inputs.append(step.constant(f"{name}/bias", op.bias))
    step.apply(
        "Conv",
        inputs,
        name,
        kernel_shape=op.weight.shape[2:],
        strides=op.stride,
        pads=[*op.padding, *op.padding],
        dilations=op.dilation,
        group=op.groups,
    )


@emit.register
def _(op: real.BatchNorm, step: _Step, name: str, x: str, shape: Shape) -> None:
    parameters = {"scale": op.weight, "shift": op.bias, "mean": op.mean, "variance": op.variance}
    inputs = [x, *(step.constant(f"{name}/{part}", array) for part, array in parameters.items())]
    step.apply("BatchNormalization", inputs, name, epsilon=op.eps)


@emit.register
def _(op: real.AvgPool2d, step: _Step, name: str, x: str, shape: Shape) -> None:
    step.apply("AveragePool", [x], name, count_include_pad=1, **_window(op))


@emit.register
def _(op: real.SumPool2d, step: _Step, name: str, x: str, shape: Shape) -> None:
    mean = step.apply("AveragePool", [x], f"{name}/mean", count_include_pad=1, **_window(op))
    step.apply("Mul", [mean, step.constant(f"{name}/count", math.prod(op.kernel))], name)


@emit.register
def _(op: real.MaxPool2d, step: _Step, name: str, x: str, shape: Shape) -> None:
    step.apply("MaxPool", [x], name, **_window(op))


def _window(op: real.Pool2d) -> dict[str, Any]:
    return {"kernel_shape": op.kernel, "strides": op.stride, "pads": [*op.padding, *op.padding]}


@emit.register
def _(op: real.Scale, step: _Step, name: str, x: str, shape: Shape) -> None:
    step.apply("Mul", [x, step.constant(f"{name}/scale", op.scale)], name)


@emit.register
def _(op: real.Threshold, step: _Step, name: str, x: str, shape: Shape) -> None:
    step.above(x, step.constant(f"{name}/threshold", op.threshold), name)


@emit.register
def _(op: real.Lif, step: _Step, name: str, x: str, shape: Shape) -> None:
    """The neuron of `avnir.ir.real`, term by term in the order in which snnTorch computes."""
    threshold = step.constant(f"{name}/threshold", op.threshold)
    kept = before = step.state(f"{name}_v", shape)
    above = step.above(before, threshold, f"{name}/above")
    current = _current(op, step, name, x, shape)
    if op.bias is not None:
        current = step.apply("Add", [current, step.constant(f"{name}/bias", op.bias)], f"{name}/biased")
    if op.reset == "zero_delayed":
        kept = step.apply("Sub", [before, step.apply("Mul", [above, before], f"{name}/lost")], f"{name}/kept")
    decayed = step.apply("Mul", [step.constant(f"{name}/beta", op.beta), kept], f"{name}/decayed")
    v = step.apply("Add", [decayed, current], f"{name}/integrated")
    if op.reset == "zero_next":
        v = _less(step, v, above, v, f"{name}/held")
    if op.reset in ("subtract", "subtract_delayed"):
        v = _less(step, v, above, threshold, f"{name}/reduced")
    spikes = step.above(v, threshold, name)
    if op.reset == "zero":
        v = _less(step, v, spikes, v, f"{name}/zeroed")
    elif op.reset == "subtract":
        rest = step.apply("Sub", [spikes, above], f"{name}/rest")
        v = _less(step, v, rest, threshold, f"{name}/settled")
    step.apply("Identity", [v], f"{name}_v_next")


@emit.register
def _(op: real.Delay, step: _Step, name: str, x: str, shape: Shape) -> None:
    """What it gives was there before this step (`_Step.recall`); here its states move on by one."""
    kept = _kept(op, name)
    for state, later in zip(kept, (*kept[1:], x), strict=True):
        step.apply("Identity", [later], f"{state}_next")


def _kept(op: Any, name: str) -> list[str]:
    """The names of a delay's states, that of the oldest first."""
    return [f"{name}_{index}" for index in range(1, op.steps + 1)]


@emit.register
def _(op: real.Li, step: _Step, name: str, x: str, shape: Shape) -> None:
    before = step.state(f"{name}_v", shape)
    current = _current(op, step, name, x, shape)
    if op.bias is not None:
        current = step.apply("Add", [current, step.constant(f"{name}/bias", op.bias)], f"{name}/biased")
    decayed = step.apply("Mul", [step.constant(f"{name}/beta", op.beta), before], f"{name}/decayed")
    step.apply("Identity", [step.apply("Add", [decayed, current], name)], f"{name}_v_next")


@emit.register
def _(op: real.Alpha, step: _Step, name: str, x: str, shape: Shape) -> None:
    """The neuron of `avnir.ir.real`, term by term in the order in which snnTorch computes."""
    threshold = step.constant(f"{name}/threshold", op.threshold)
    e, h, v = (step.state(f"{name}_{part}", shape) for part in "ehv")
    above, old = step.above(v, threshold, f"{name}/above"), h
    e = step.apply("Add", [_decayed(step, f"{name}/e", op.alpha, e), x], f"{name}/excited")
    h = step.apply("Sub", [_decayed(step, f"{name}/h", op.beta, h), x], f"{name}/inhibited")
    both = step.apply("Add", [e, h], f"{name}/both")
    v = step.apply("Mul", [step.constant(f"{name}/tau", op.tau), both], f"{name}/driven")
    if op.reset == "subtract":
        e, h = _less(step, e, above, threshold, f"{name}/e_left"), _less(step, h, above, h, f"{name}/h_left")
        v = step.apply("Add", [v, step.apply("Mul", [above, old], f"{name}/back")], f"{name}/v_left")
    elif op.reset == "zero":
        e, h, v = (
            _less(step, a, above, a, f"{name}/{part}_left") for a, part in ((e, "e"), (h, "h"), (v, "v"))
        )
    step.above(v, threshold, name)
    for state, part in ((e, "e"), (h, "h"), (v, "v")):
        step.apply("Identity", [state], f"{name}_{part}_next")


def _decayed(step: _Step, name: str, decay: Array, before: str) -> str:
    return step.apply("Mul", [step.constant(f"{name}/decay", decay), before], f"{name}/decayed")


def _current(op: real.Lif | real.Li, step: _Step, name: str, x: str, shape: Shape) -> str:
    """What flows into the membrane: the gained input, through the synaptic current where there is one."""
    if np.any(op.gain != 1):
        x = step.apply("Mul", [x, step.constant(f"{name}/gain", op.gain)], f"{name}/gained")
    if op.alpha is not None:
        alpha, before = step.constant(f"{name}/alpha", op.alpha), step.state(f"{name}_i", shape)
        decayed = step.apply("Mul", [alpha, before], f"{name}/remaining")
        x = step.apply("Add", [decayed, x], f"{name}_i_next")
    return x


def _less(step: _Step, value: str, factor: str, amount: str, result: str) -> str:
    """The value less factor * amount."""
    return step.apply("Sub", [value, step.apply("Mul", [factor, amount], f"{result}/by")], result)
