"""What the runs in other readers of NIR share: one refusal of all that they lack, a safe file, the steps.

A reader gets the network as `graph.nir` holds it, in a file that avnir wrote and read back itself, with
its nodes renamed n0, n1, ...: nirtorch pastes names into Python code that it generates and runs, and both
readers make them attributes of a torch module, where `forward` or `graph` would replace what is there.

A sample has no batch axis in NIR, and a Flatten counts its axes without one, so each sample runs alone.
"""

from __future__ import annotations

import dataclasses
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avnir.compile import TO_NIR, run_passes
from avnir.errors import BackendError, Finding, UnsupportedError
from avnir.export.nir_read import read_nir
from avnir.export.nir_write import write_nir
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.trace import Trace, checked_inputs

Problem = tuple[str, str]
"""What is wrong, and what to do instead."""
Rule = Callable[[Graph, Node], Problem | None]
"""Why a reader would not compute a node as NIR says, or None."""


def exact(graph: Graph, node: Node) -> None:
    """The rule of what a reader computes as NIR says, whatever the parameters."""


def nir_form(graph: Graph) -> Graph:
    """The graph as `graph.nir` holds it; UnsupportedError where it has no such form."""
    return run_passes(graph, TO_NIR)[0]


def findings(graph: Graph, reader: str, rules: Mapping[str, Rule]) -> Iterator[Finding]:
    """What a reader of one input and one output would compute otherwise, or not at all.

    `rules` by kind of operation; a kind without a rule is a finding.
    """
    for ports, what in ((graph.inputs, "inputs"), (graph.outputs, "outputs")):
        if len(ports) > 1:
            names = ", ".join(port.name for port in ports)
            remedy = f"Verify a network of one input and one output, or without --backend {reader}"
            yield Finding(names, f"the network has {len(ports)} {what}, of which {reader} takes one", remedy)
    for node in graph:
        for problem in _problems(graph, node, reader, rules):
            yield Finding(f"{node.name} ({node.source})" if node.source else node.name, *problem)


def _problems(graph: Graph, node: Node, reader: str, rules: Mapping[str, Rule]) -> Iterator[Problem]:
    kind = node.op.kind
    if kind not in rules:
        yield f"{reader} is not known to compute {kind}", f"Verify without --backend {reader}"
    elif problem := rules[kind](graph, node):
        yield problem
    if kind != "Output" and not graph.consumers[node.name]:
        yield "it feeds nothing, and the package nir makes one more output of it", "Remove it"


def refuse(reader: str, found: list[Finding]) -> None:
    """Raise UnsupportedError with all findings, if there are any."""
    if found:
        raise UnsupportedError(f"{reader} would not compute this network as its NIR file says:", found)


def required(module: str, reader: str, install: str) -> Any:
    """The imported module; BackendError with the command to run where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # norse uses torch.jit.script
            return import_module(module)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"the backend {reader} needs {error.name}, which is not installed; run: {install}"
        ) from error


def new_names(graph: Graph) -> dict[str, str]:
    """n0, n1, ... by the names in the graph."""
    return {node.name: f"n{index}" for index, node in enumerate(graph)}


def renamed(graph: Graph, names: Mapping[str, str]) -> Graph:
    """The same graph under other names."""
    return graph.with_nodes(
        dataclasses.replace(node, name=names[node.name], inputs=tuple(names[i] for i in node.inputs))
        for node in graph
    )


def handed_over(graph: Graph, reader: str, types: Collection[str], nir: Any) -> Any:
    """The `nir.NIRGraph` that the package `nir` reads from the file of `graph`, its nodes under new names.

    avnir's own reader reads the file first. Raises what `write_nir` and `read_nir` raise, and
    UnsupportedError where the file holds other types of NIR than `types`, which the reader takes.
    """
    names = new_names(graph)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        write_nir(renamed(graph, names), path)
        read_nir(path)
        content = nir.read(path)
    _require_types(content, {new: name for name, new in names.items()}, reader, types)
    return content


def _require_types(content: Any, old: Mapping[str, str], reader: str, types: Collection[str]) -> None:
    kinds = {old.get(name, name): type(node).__name__ for name, node in content.nodes.items()}
    remedy = f"Verify without --backend {reader}"
    found = [
        Finding(name, f"{reader} is not known to compute NIR's {kind}", remedy)
        for name, kind in kinds.items()
        if kind not in types
    ]
    refuse(reader, found)


def stepped(network: nn.Module, graph: Graph, form: Graph, inputs: Mapping[str, Array]) -> Trace:
    """Step by step, `network(x, state) -> (y, state)` from a state of None, in float64.

    `graph` has one input and one output; the layers of its `form` for NIR are submodules of `network` under
    their new names. Spikes of every layer of `graph`, uint8, and the output as the network returns it,
    float64, `[T, B, *shape]`. Raises DataError where the input does not fit.
    """
    (array,) = checked_inputs(graph, inputs).values()
    given = torch.from_numpy(array.astype(np.float64))
    (out,) = graph.outputs
    spikes = {n.name: np.zeros((*given.shape[:2], *graph.shapes[n.name]), np.uint8) for n in graph.neurons}
    output = np.zeros((*given.shape[:2], *graph.shapes[out.name]))
    names = new_names(form)
    seen = _watched(network, {name: names[name] for name in spikes})
    with torch.no_grad():
        for sample in range(given.shape[1]):
            state = None
            for t in range(len(given)):
                y, state = network(given[t, sample], state)
                output[t, sample] = y.numpy().reshape(output.shape[2:])
                for name, train in spikes.items():
                    train[t, sample] = seen[name].numpy()
    return Trace(spikes, {out.name: output})


def _watched(network: nn.Module, paths: Mapping[str, str]) -> dict[str, Tensor]:
    """What the submodules at `paths` gave last, by name; a submodule with a state gives (y, state)."""
    seen: dict[str, Tensor] = {}
    for name, path in paths.items():

        def note(module: nn.Module, given: Any, result: Any, name: str = name) -> None:
            seen[name] = result[0] if isinstance(result, tuple) else result

        network.get_submodule(path).register_forward_hook(note)
    return seen
