"""The way from a model to a saved program, one named step at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import snntorch as snn
import torch
from torch import nn

from avnir import target
from avnir.compile import TO_NIR, to_integers
from avnir.export import read_nir, write_nir
from avnir.export.capture import capture
from avnir.export.examples import examples_for
from avnir.export.replay import check, record
from avnir.export.walk import graph_of
from avnir.program import Program

Step = tuple[str, Callable[[], Any]]


def perceptron(*sizes: int) -> nn.Sequential:
    """Linear and Leaky in turn, from the first of `sizes` to the last, weights that make spikes."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        for before, after in itertools.pairwise(sizes):
            linear = nn.Linear(before, after)
            linear.weight.data.uniform_(-1, 2).div_(before**0.5)
            layers += [linear, snn.Leaky(0.9, init_hidden=True, reset_mechanism="zero", reset_delay=False)]
    return nn.Sequential(*layers)


def spikes(size: int) -> torch.Tensor:
    """Five steps of two samples `[5, 2, size]`."""
    return (torch.rand(5, 2, size, generator=torch.Generator().manual_seed(0)) < 0.4).float()


def steps(model: nn.Module, inputs: torch.Tensor, folder: Path) -> Iterator[Step]:
    """Name and function of each step, in order; each must have run before the next is asked for."""
    done: dict[str, Any] = {}

    def step(name: str, work: Callable[[], Any]) -> Step:
        return name, lambda: done.update({name: work()})

    examples = examples_for(model, inputs, "step", None, None)
    yield step("run the model", lambda: record(model, examples))
    yield step("torch.export", lambda: capture(model, examples))
    yield step("read the graph", lambda: graph_of(model, done["torch.export"], examples))
    graph, layers = done["read the graph"]
    recorded = done["run the model"].trace(layers, examples)
    yield step("replay", lambda: check(graph, recorded, examples.arrays()))
    for change in TO_NIR:
        yield step(change.name, lambda graph=graph, change=change: change(graph)[0])  # type: ignore[misc]
        graph = done[change.name]
    yield step("write NIR", lambda: write_nir(graph, folder / "graph.nir"))
    yield step("read NIR", lambda: read_nir(folder / "graph.nir"))
    for change in to_integers(target.load("loihi2")):
        yield step(change.name, lambda graph=graph, change=change: change(graph)[0])  # type: ignore[misc]
        graph = done[change.name]
    program = Program(graph, "loihi2")
    yield step("save the program", lambda: program.save(folder / "program"))
    yield step("load the program", lambda: Program.load(folder / "program"))
