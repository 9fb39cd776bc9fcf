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
from avnir.export.aten import HANDLERS, NOT_COMPUTING
from avnir.export.aten_neuron import potential
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
from avnir.export.memory import GETITEM, Memory, target_of
from avnir.export.neuron_checks import neuron_problems
from avnir.export.neurons import OPERATOR, is_neuron, kind_of
from avnir.export.remedies import refuse
from avnir.ir import real
from avnir.ir.graph import Graph, Node, in_order, verified
from avnir.ir.operation import Shape

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
            self.examples.steps,
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
        if target_of(node) != GETITEM and place_of(node).path in self.refused_neurons:
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
        found = self.values.__getitem__ if target_of(node) in NOT_COMPUTING else self.operand
        args: list[Any] = fx.node.map_arg(list(node.args), found)
        kwargs: dict[str, Any] = fx.node.map_arg(dict(node.kwargs), found)
        if not isinstance(node.target, torch._ops.OpOverload):
            return dict(zip("abcdefgh", args, strict=False))
        schema = node.target._schema.arguments
        defaults = {a.name: a.default_value for a in schema if a.has_default_value()}
        return defaults | {a.name: value for a, value in zip(schema, args, strict=False)} | kwargs

    def operand(self, node: fx.Node) -> Any:
        """What stands for a tensor that is computed with: a state becomes what is returned for it."""
        value = self.values[node]
        if not isinstance(value, State):
            return value
        state, delays = self.examples.states[value.index], self.builder.delays
        if not state.numel():
            self.find(f"state {value.index} is computed with, but has no shape", "Give zeros [B, ...] for it")
            return Unknown()
        if value.index not in delays:
            delays[value.index] = self.builder.delay(node, tuple(state.shape[1:]), node.name)
        return delays[value.index]

    def stand_in(self, node: fx.Node) -> Any:
        """A refused result, so that what follows is checked too."""
        if target_of(node) == OPERATOR:
            spikes, *states = node.meta["val"]
            state = Membrane(str(node.args[-1]), None, "state", node, Value((UNKNOWN,), ()))
            return self.unknown(spikes.shape), *(state for _ in states)
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
            self.state(index, leaf)
        kept = self.examples.kept(names)
        for name, leaf in zip(names, leaves, strict=False):
            if name in kept:
                self.output(name, leaf)

    def state(self, index: int, leaf: Any) -> None:
        """What is returned for a state: the neuron's own, or spikes that come back in the next step."""
        delay, own = self.builder.delays.get(index), self.builder.own_spikes.get(index)
        if delay is not None and isinstance(leaf, Value) and self.builder.is_binary(leaf):
            self.builder.close(delay, leaf)
        elif delay is not None and not self.findings:
            self.find(
                f"state {index} is computed with, but what is returned for it is no spikes of one layer",
                "Return the spikes that the next step is to get in its place",
            )
        taken = leaf == own if own else isinstance(leaf, Membrane) and leaf.state == index
        if not taken and (index in self.builder.held or delay is None) and not self.findings:
            self.find(
                f"state {index} is not handed back by the neuron that took it",
                "Return the states in their order",
            )

    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs that are no states."""
        return self.captured.output_names(len(self.examples.states))

    def output(self, name: str, leaf: Any) -> None:
        if isinstance(leaf, Membrane):
            leaf = self.potential(name, leaf)
        if isinstance(leaf, Value) and leaf.window == self.builder.window:
            self.builder.nodes[name] = Node(
                name, real.Output(leaf.shape), leaf.producers, f"forward -> {name}"
            )
        elif not isinstance(leaf, Unknown):
            wanted = "[T, B, ...]" if self.builder.window else "[B, ...]"
            self.find(
                f"the output {name!r} is not a tensor {wanted} of the network", "Return spikes of every step"
            )

    def potential(self, name: str, membrane: Membrane) -> Value | Unknown:
        """The output `name`; where no operation gives it, a finding that names the other outputs."""
        try:
            return potential(self.builder, membrane)
        except Refused as refused:
            others = [other for other in self.output_names() if other != name]
            call = f"avnir.save(model, example_inputs, path, outputs={others})"
            leave = f", or leave it out: {call}, --outputs {','.join(others)} on the command line"
            self.find(f"the output {name!r} {refused.problem}", refused.remedy + leave * bool(others))
            return Unknown()

    def find(self, problem: str, remedy: str) -> None:
        self.findings.append(Finding("forward", problem, remedy))


def _foreign_findings(model: nn.Module) -> Iterator[Finding]:
    for path, module in model.named_modules():
        if is_neuron(module) and kind_of(module) is None:
            yield from (Finding(path, problem, remedy) for problem, remedy in neuron_problems(module))


def _neuron_findings(model: nn.Module, captured: Capture, examples: Examples) -> Iterator[Finding]:
    modules = dict(model.named_modules())
    uses = [n for n in captured.program.graph.nodes if n.op == "call_function" and target_of(n) == OPERATOR]
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
    by_name = {node.name: node for node in nodes}
    wanted: set[str] = set()
    reached = [node.name for node in nodes if node.op.kind == "Output"]
    while reached:
        name = reached.pop()
        if name not in wanted:
            wanted.add(name)
            reached.extend(by_name[name].inputs)
    idle = [node for node in nodes if node.op.kind == "Input" and node.name not in wanted]
    if idle:
        raise UnsupportedError(
            TITLE, [Finding(n.source, "this input reaches no output", "Leave it out") for n in idle]
        )
    return in_order(node for node in nodes if node.name in wanted)
