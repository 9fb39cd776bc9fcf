"""A network of hard resets in norse, read by norse itself from its NIR file: an opinion of a framework.

Tried with norse 1.1.0 and nirtorch 2.6. norse steps a LIF by v <- v + dt/tau (x - v), s = v > threshold,
v <- (1 - s) v (norse/torch/functional/lif_box.py), which is NIR's LIF with r = 1, and a CubaLIF by two such
steps with w_in and r between them. Its reader (norse/torch/utils/import_nir.py) rounds every parameter to
float32, unless it is a tensor already; so it is given float64 tensors. Then every spike is the graph's,
as far as float64 tells a potential from its threshold.

What it reads otherwise than NIR says, or not at all, is refused: an IF without its dt, a SumPool2d without
its padding, every reset but the hard one, Scale, Threshold, AvgPool2d. It runs the layers depth first
(nirtorch/graph_utils.py, `trace_execution`) and leaves out of a sum, without a word, what comes later.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from avnir.errors import Finding
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
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.trace import Trace

INSTALL = 'pip install "avnir[nirtorch]" && pip install --no-deps norse==1.1.0'
"""norse declares torchvision, which it does not need for this, and which may bring another torch."""
PARAMETERS = ("weight", "bias", "tau", "tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_reset", "v_threshold")
"""The fields of NIR's nodes that norse rounds."""
TYPES = ("Input", "Output", "Flatten", "Linear", "Affine", "Conv2d", "SumPool2d", "LIF", "IF", "CubaLIF")
"""The types of NIR that norse reads; it leaves out every other without a word."""
MAX_DEPTH = 500
"""norse follows the network by recursion, of which Python allows 1000 levels, the caller's included."""
ELSEWHERE = "Verify it with --backend nirtorch"


def norse_trace(graph: Graph, inputs: Mapping[str, Array]) -> Trace:
    """Spikes of every layer, uint8, and the output, float64, each `[T, B, *shape]`, computed in float64.

    Raises UnsupportedError with everything that norse would compute otherwise, BackendError where norse is
    not installed, DataError where an input does not fit.
    """
    form = nir_form(graph)
    refuse("norse", [*findings(form, "norse", RULES), *_order_findings(form)])
    nir, norse = (required(module, "norse", INSTALL) for module in ("nir", "norse.torch"))
    content = handed_over(form, "norse", TYPES, nir)
    for node in content.nodes.values():
        _keep_float64(node)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "nirtorch.load is being deprecated", DeprecationWarning)
        network = norse.from_nir(content, dt=form.dt)
    return stepped(network, graph, form, inputs)


def _keep_float64(node: Any) -> None:
    """Make tensors of the node's parameters, which norse takes as they are."""
    for name in PARAMETERS:
        if hasattr(node, name):
            setattr(node, name, torch.from_numpy(np.asarray(getattr(node, name), np.float64)))


def _lif(graph: Graph, node: Node) -> Problem | None:
    reset, beta = node.op.reset, node.op.beta  # type: ignore[attr-defined]
    if reset != "zero":
        remedy = 'Use reset_mechanism="zero", reset_delay=False, or verify it with --backend nirtorch'
        return f"its reset is {reset!r}, and norse's neurons of NIR have the hard reset alone", remedy
    if np.any(beta == 1) and graph.dt != 1:
        return f"norse's IF (beta = 1) leaves out dt, here {graph.dt} s", f"Use a beta below 1. {ELSEWHERE}"
    return None


def _sum_pool(graph: Graph, node: Node) -> Problem | None:
    padding = node.op.padding  # type: ignore[attr-defined]
    return None if padding == (0, 0) else (f"norse leaves out its padding of {padding}", ELSEWHERE)


def _absent(graph: Graph, node: Node) -> Problem:
    return f"norse does not read {node.op.kind} from NIR files", ELSEWHERE


RULES: Mapping[str, Rule] = {
    "Input": exact,
    "Output": exact,
    "Flatten": exact,
    "Linear": exact,
    "Conv2d": exact,
    "SumPool2d": _sum_pool,
    "Lif": _lif,
    "AvgPool2d": _absent,
    "Scale": _absent,
    "Threshold": _absent,
}


def _order_findings(graph: Graph) -> Iterator[Finding]:
    """What norse runs before a layer that feeds it; what it cannot follow to its end.

    With several inputs, which is a finding of its own, there is no order to look at.
    """
    if len(graph.inputs) > 1:
        return
    place = {name: index for index, name in enumerate(depth_first(graph))}
    for node in graph:
        late = [name for name in node.inputs if place[name] > place[node.name]]
        if late:
            problem = f"norse runs it before {', '.join(late)}, which feeds it, and leaves that out"
            yield Finding(node.name, problem, ELSEWHERE)
    if len(graph) > MAX_DEPTH:
        yield Finding("graph", f"it has {len(graph)} nodes, and norse follows {MAX_DEPTH}", ELSEWHERE)


def depth_first(graph: Graph) -> list[str]:
    """The order in which norse runs the nodes: each, then all that it feeds, in the order of the edges."""
    order: dict[str, None] = {}
    waiting = [graph.inputs[0].name]
    while waiting:
        name = waiting.pop()
        if name not in order:
            order[name] = None
            waiting += reversed(graph.consumers[name])
    return list(order)
