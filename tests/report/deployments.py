"""Small deployments for the tests of the report, run by the interpreters: no torch, no engine."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from avnir import target
from avnir.compile import compile_graph
from avnir.cost.costs import costs_of
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.report.deployment import Deployment, Run
from avnir.trace import Trace
from avnir.verify.stages import Stages, judge
from tests.networks import audio_visual, spikes

HOSTILE = "<script>alert(1)</script>.pt"
RECORD = {"kind": "model.pt", "sha256": "ab" * 32}
HISTORY = {"seed": 7, "versions": {"torch": "2.6"}, "note": "</script><img src=x onerror=alert(1)>"}


def run_of(changed: bool = False, labels: bool = True, seed: int = 0) -> tuple[Any, Any, Any]:
    """Compiled network, its run and its inputs; with `changed` the backend gives other spikes."""
    graph = audio_visual(seed)
    inputs = spikes(graph, seed)
    compiled = compile_graph(graph, target.load("loihi2"))
    real, chip = interpret_real(graph, inputs), interpret_integer(compiled.program.graph, inputs)
    backend = Trace({n: s ^ changed for n, s in chip.spikes.items()}, chip.outputs)
    stages = Stages(real, chip, {"cpu": backend}, {"model": real, "snntorch": real})
    known = np.array([0, 1, 2]) if labels else None
    return compiled, Run(stages, judge(stages, known), known), inputs


@cache
def deployment(
    name: str = HOSTILE,
    changed: bool = False,
    labels: bool = True,
    compared: bool = True,
) -> Deployment:
    """The random audio-visual network of `tests.networks` on a chip."""
    compiled, run, inputs = run_of(changed, labels)
    chip = target.load("loihi2")
    if not compared:
        return Deployment(name, compiled, chip, RECORD)
    trace = interpret_integer(compiled.program.graph, inputs, states=True)
    costs = costs_of(compiled, chip, inputs, trace)
    return Deployment(name, compiled, chip, RECORD, HISTORY, {"samples": 3}, run, costs)


ATTRIBUTION = {
    "samples": 3,
    "steps": 20,
    "slots": 1000,
    "lost": {"slots": 40, "decisions": 1, "right": 1},
    "causes": [
        {
            "kind": "threshold",
            "alone": {"slots": 10, "decisions": 0, "right": 0, "share": 0.25},
            "off": {"slots": 5, "decisions": 0, "right": 0, "share": 0.125},
            "exact": "",
        },
        {
            "kind": "weights",
            "alone": {"slots": 36, "decisions": 1, "right": 1, "share": 0.9},
            "off": {"slots": -3, "decisions": 1, "right": 1, "share": -0.075},
            "exact": "",
        },
        {
            "kind": "reset",
            "alone": {"slots": 0, "decisions": 0, "right": 0, "share": 0.0},
            "off": {"slots": 0, "decisions": 0, "right": 0, "share": 0.0},
            "exact": "the chip resets as the model does",
        },
    ],
    "interaction": {"slots": -6, "decisions": 0, "right": 0, "share": -0.15},
    "layers": [
        {
            "layer": "lif1",
            "slots": 500,
            "differ": 12,
            "alone": {"weights": {"slots": 11, "decisions": 0, "right": 0}},
        }
    ],
}
"""What `avnir.verify.attribution.Attribution.record` gives, by hand."""
