"""From the exported step to the real graph: every operation once, in order, all findings collected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import InputKind, OutputKind

from avnir.errors import Finding, GraphError, UnsupportedError
from avnir.export.aten import HANDLERS
from avnir.export.builder import (
    UNKNOWN,
    Builder,
    Call,
    Membrane,
    Parameter,
    Refused,
    State,
    Unknown,
    Value,
    Zeros,
)
from avnir.export.capture import TITLE, Capture, identifier, place_of
from avnir.export.examples import Examples, message_bits
from avnir.export.neurons import is_neuron, kind_of, neuron_problems
from avnir.export.remedies import refuse
from avnir.ir import real
from avnir.ir.graph import Graph, Node, in_order, verified
from avnir.ir.operation import Shape

NEURONS = ("avnir.leaky.default", "avnir.synaptic.default")
_GETITEM = "_operator.getitem"
_INERT = ("aten._assert_tensor_metadata.default",)
"""Checks that torch.export leaves behind: they compute nothing."""


def graph_of(model: nn.Module, captured: Capture, examples: Examples) -> tuple[Graph, Mapping[str, str]]:
    """The verified real graph, and the module path of each layer that is a neuron module.

    Raises UnsupportedError with everything that cannot be taken.
    """
    walk = Walk(model, captured, examples)
    walk.findings += [*_foreign_findings(model), *_neuron_findings(model, captured, examples)]
    walk.run()
    if walk.findings:
        raise UnsupportedError(TITLE, tuple(dict.fromkeys(walk.findings)))
    graph = verified(Graph("real", _reaching_outputs(tuple(walk.builder.nodes.values()))))
    layers = walk.builder.layers
    return graph, {node.name: layers[node.name] for node in graph.neurons if node.name in layers}


@dataclass
class Walk:
    """One pass over the exported operations; `values` is what stands for each result."""

    model: nn.Module
    captured: Capture
    examples: Examples
    findings: list[Finding] = field(default_factory=list)
    values: dict[fx.Node, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [identifier(name) for name in self.examples.inputs]
        self.builder = Builder(
            dict(self.model.named_modules()),
            self.captured.batch,
            self.examples.time == "window",
            {*names, *self.output_names()},
        )
        neurons = self.builder.modules.items()
        self.refused_neurons = {p for p, module in neurons if is_neuron(module) and neuron_problems(module)}
        self.memory = Memory({node: i for i, node in enumerate(self.captured.program.graph.nodes)})
        signature = self.captured.program.graph_signature
        self.specs = {getattr(spec.arg, "name", ""): spec for spec in signature.input_specs}

    def run(self) -> None:
        for node in self.captured.program.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = self.placeholder(node)
            elif node.op == "call_function":
                self.values[node] = None if target_of(node) in _INERT else self.call(node)
            elif node.op == "output":
                self.outputs(node)

    def placeholder(self, node: fx.Node) -> Any:
        program = self.captured.program
        spec = self.specs[node.name]
        if spec.kind is InputKind.USER_INPUT:
            return self.user_input(program.graph_signature.user_inputs.index(node.name))
        tensor = program.state_dict.get(spec.target, program.constants.get(spec.target))
        if spec.kind is InputKind.CONSTANT_TENSOR and isinstance(tensor, Tensor) and not bool(tensor.any()):
            return Zeros()
        return Parameter(str(spec.target), tensor)

    def user_input(self, index: int) -> Value | State:
        if index >= len(self.examples.inputs):
            return State(index - len(self.examples.inputs))
        name, tensor = list(self.examples.inputs.items())[index]
        shape = tuple(tensor.shape[2:])
        node = Node(identifier(name), real.Input(shape, message_bits(tensor)), source=f"forward({name})")
        self.builder.nodes[node.name] = node
        return Value((node.name,), shape, self.builder.window)

    def call(self, node: fx.Node) -> Any:
        """What stands for the operation's result; where it is refused, a finding and a stand-in."""
        if target_of(node) != _GETITEM and place_of(node).path in self.refused_neurons:
            return self.stand_in(node)
        call = Call(self.builder, node, self.arguments(node))
        if any(isinstance(operand, Unknown) for operand in call.operands()):
            return Unknown()
        target = target_of(node)
        try:
            self.memory.check(node, target)
            if target not in HANDLERS:
                raise refuse(target)
            return HANDLERS[target](call)
        except Refused as refused:
            self.findings.append(Finding(str(place_of(node)), refused.problem, refused.remedy))
        except GraphError as error:
            self.findings.append(Finding(str(place_of(node)), str(error), "Change the layer so that it fits"))
        return self.stand_in(node)

    def arguments(self, node: fx.Node) -> dict[str, Any]:
        """The operation's arguments by the names of its schema; a Python operator's are a, b, ..."""
        args: list[Any] = fx.node.map_arg(list(node.args), self.values.__getitem__)
        kwargs: dict[str, Any] = fx.node.map_arg(dict(node.kwargs), self.values.__getitem__)
        if not isinstance(node.target, torch._ops.OpOverload):
            return dict(zip("abcdefgh", args, strict=False))
        schema = node.target._schema.arguments
        found = {a.name: a.default_value for a in schema if a.has_default_value()}
        return found | {a.name: value for a, value in zip(schema, args, strict=False)} | kwargs

    def stand_in(self, node: fx.Node) -> Any:
        """A refused result, so that what follows is checked too."""
        if target_of(node) in NEURONS:
            spikes, *states = node.meta["val"]
            path = str(node.args[-1])
            return self.unknown(spikes.shape), *(Membrane(path, None, "state") for _ in states)
        value = node.meta.get("val")
        return self.unknown(value.shape) if isinstance(value, Tensor) else Unknown()

    def unknown(self, shape: Shape) -> Value | Unknown:
        try:
            return Value((UNKNOWN,), *self.builder.layout(shape))
        except Refused:
            return Unknown()

    def outputs(self, node: fx.Node) -> None:
        """Output nodes, and the check that every state handed in is handed back by its own neuron."""
        specs = self.captured.program.graph_signature.output_specs
        leaves = []
        for spec, leaf in zip(specs, node.args[0], strict=True):  # type: ignore[arg-type]
            if spec.kind is OutputKind.USER_OUTPUT:
                leaves.append(self.values.get(leaf) if isinstance(leaf, fx.Node) else None)
            else:
                self.find(f"it changes {spec.target or 'an input'} in each call", "Keep all state in neurons")
        names = self.output_names()
        if not names:
            self.find(f"it returns {len(leaves)} tensors", "Return the spikes, then each of the states given")
            return
        for index, leaf in enumerate(leaves[len(names) :]):
            if not (isinstance(leaf, Membrane) and leaf.state == index) and not self.findings:
                self.find(
                    f"state {index} is not handed back by the neuron that took it",
                    "Return the states in their order",
                )
        for name, leaf in zip(names, leaves, strict=False):
            self.output(name, leaf)

    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs that are no states."""
        return self.captured.output_names(len(self.examples.states))

    def output(self, name: str, leaf: Any) -> None:
        if isinstance(leaf, Membrane):
            self.find(
                f"the output {name!r} is the {leaf.words} of {leaf.path}",
                "Return the spikes only: on the chip the state stays in the neuron",
            )
        elif isinstance(leaf, Value) and leaf.window == self.builder.window:
            self.builder.nodes[name] = Node(
                name, real.Output(leaf.shape), leaf.producers, f"forward -> {name}"
            )
        elif not isinstance(leaf, Unknown):
            wanted = "[T, B, ...]" if self.builder.window else "[B, ...]"
            self.find(
                f"the output {name!r} is not a tensor {wanted} of the network", "Return spikes of every step"
            )

    def find(self, problem: str, remedy: str) -> None:
        self.findings.append(Finding("forward", problem, remedy))


@dataclass
class Memory:
    """Which results share memory, so that a tensor is not used after an addition in place changed it."""

    order: Mapping[fx.Node, int]
    roots: dict[fx.Node, fx.Node] = field(default_factory=dict)
    changed: dict[fx.Node, int] = field(default_factory=dict)

    def check(self, node: fx.Node, target: str) -> None:
        """Refuse what the graph, which knows no memory, would get wrong."""
        for used in node.all_input_nodes:
            if self.order[used] < self.changed.get(self.roots.get(used, used), -1):
                raise Refused("uses a tensor that `+=` has changed", "Write x = x + y instead of x += y")
        if _shares_memory(node, target):
            first = node.all_input_nodes[0]
            self.roots[node] = self.roots.get(first, first)
        if target == "aten.add_.Tensor":
            root = self.roots[node]
            if root.op == "placeholder":
                raise Refused(
                    "`+=` changes an input or a buffer", "Write x = x + y, and keep all state in neurons"
                )
            self.changed[root] = self.order[node]


def _shares_memory(node: fx.Node, target: str) -> bool:
    if target == _GETITEM:
        return target_of(node.all_input_nodes[0]) not in NEURONS
    return isinstance(node.target, torch._ops.OpOverload) and any(
        argument.alias_info is not None for argument in node.target._schema.arguments[:1]
    )


def target_of(node: fx.Node) -> str:
    """The operation's full name, such as `aten.linear.default`."""
    target: Any = node.target
    return (
        str(target) if isinstance(target, torch._ops.OpOverload) else f"{target.__module__}.{target.__name__}"
    )


def _foreign_findings(model: nn.Module) -> Iterator[Finding]:
    for path, module in model.named_modules():
        if is_neuron(module) and kind_of(module) is None:
            yield from (Finding(path, problem, remedy) for problem, remedy in neuron_problems(module))


def _neuron_findings(model: nn.Module, captured: Capture, examples: Examples) -> Iterator[Finding]:
    modules = dict(model.named_modules())
    uses = [n for n in captured.program.graph.nodes if n.op == "call_function" and target_of(n) in NEURONS]
    counts = Counter(str(node.args[-1]) for node in uses)
    for node in uses:
        path, place = str(node.args[-1]), str(place_of(node))
        yield from (Finding(place, problem, remedy) for problem, remedy in neuron_problems(modules[path]))
        if counts[path] > 1:
            problem = f"the neuron is called {counts[path]} times in one step"
            yield Finding(place, problem, "Make one neuron for each place: each has its own state")
        if path in captured.cleared and examples.time == "step":
            yield Finding(
                place, "its state is cleared in each step", "Clear it before the window, outside forward"
            )


def _reaching_outputs(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes that an output depends on; UnsupportedError for inputs that none does."""
    wanted = {node.name for node in nodes if node.op.kind == "Output"}
    for node in reversed(nodes):
        if node.name in wanted:
            wanted.update(node.inputs)
    idle = [node for node in nodes if node.op.kind == "Input" and node.name not in wanted]
    if idle:
        raise UnsupportedError(
            TITLE, [Finding(n.source, "this input reaches no output", "Leave it out") for n in idle]
        )
    return in_order(node for node in nodes if node.name in wanted)
