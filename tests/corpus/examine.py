"""What avnir makes of an entry: exact, refused with a reason, or wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from snntorch._neurons.neurons import SpikingNeuron
from torch.utils import _pytree as pytree

from avnir import target
from avnir.compile import TO_NIR, compile_graph, run_passes
from avnir.errors import UserError
from avnir.export import Checkpoint, TieError, load, read_nir, save, write_nir
from avnir.hardware.cpu import backend
from avnir.ir.graph import Graph
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.trace import Trace
from tests.corpus import graphs, layers, neurons, windows
from tests.corpus.model import EXACT, STEPS, Entry, Sample

THEMES: Mapping[str, tuple[Entry, ...]] = {
    **neurons.THEMES, **layers.THEMES, **graphs.THEMES, **windows.THEMES
}  # fmt: skip
ENTRIES = tuple(entry for entries in THEMES.values() for entry in entries)

SEEDS = range(10)
"""The first whose weights and spikes bring no potential within rounding of its threshold is taken."""
ENGINE_STEPS, ENGINE_BATCH = 40, 2
"""The slow integer interpreter runs a part of the window, all steps where they are summed."""


@dataclass(frozen=True)
class Verdict:
    """`graph` up to NIR, `chip` to the engine: EXACT, a refusal's text, or WRONG and where."""

    graph: str
    chip: str


WRONG = "wrong: "


def sample_of(entry: Entry, seed: int) -> Sample:
    """The entry's model and inputs, the same each time, whatever neurons snnTorch has listed before."""
    SpikingNeuron.init()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return entry.build()


def unexpected(entry: Entry) -> str:
    """What came of the entry, where it is not what the entry expects; else empty."""
    found = examine(entry)
    for verdict, expected in ((found.graph, entry.graph), (found.chip, entry.on_chip)):
        if (verdict == EXACT) != (expected == EXACT) or expected not in verdict:
            return f"{entry.name}: expected {expected!r}, but found {verdict!r}"
    return ""


def examine(entry: Entry) -> Verdict:
    """Save, load, NIR, integers, engine; every step compared, nothing tolerated."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            sample, checkpoint = _saved(entry, Path(folder) / "model.pt")
        except UserError as error:
            return Verdict(str(error), str(error))
        runs, refused = {"the graph": checkpoint.graph}, ""
        try:
            runs["the NIR file"] = _through_nir(checkpoint.graph, Path(folder) / "graph.nir")
        except UserError as error:
            refused = str(error)
    where = _difference(sample, checkpoint, runs)
    if where:
        return Verdict(WRONG + where, WRONG + where)
    return Verdict(refused or EXACT, _on_chip(checkpoint))


def _saved(entry: Entry, path: Path) -> tuple[Sample, Checkpoint]:
    """The first seed without a tie, saved and loaded (TieError where all have one)."""
    for seed in SEEDS:
        sample = sample_of(entry, seed)
        try:
            save(sample.model, dict(sample.inputs), path, sample.time, states=sample.states or None)
            return sample, load(path)
        except TieError:
            if seed == SEEDS[-1]:
                raise
    raise AssertionError("there is at least one seed")


def _through_nir(graph: Graph, path: Path) -> Graph:
    write_nir(run_passes(graph, TO_NIR)[0], path)
    return read_nir(path)


def _difference(sample: Sample, checkpoint: Checkpoint, graphs: Mapping[str, Graph]) -> str:
    """Where model, record, graph and NIR file part; empty if nowhere."""
    own = outputs_of(sample)
    told = checkpoint.recorded
    if not _equal(own, told.outputs):
        return "the record is not what the model does"
    runs = {name: interpret_real(graph, checkpoint.inputs) for name, graph in graphs.items()}
    spiking = {name for name, array in told.outputs.items() if np.all(array == np.round(array))}
    for name, run in runs.items():
        if not all(np.array_equal(run.spikes[layer], told.spikes[layer]) for layer in told.spikes):
            return f"{name} has other spikes"
        if not all(np.array_equal(run.outputs[output], told.outputs[output]) for output in spiking):
            return f"{name} has other outputs"
    return ""


def outputs_of(sample: Sample) -> dict[str, Array]:
    """What the model itself returns, in eval mode from a fresh state, by avnir's names `[T, B, ...]`.

    It does not use the exporter's own recording.
    """
    model = sample.model.eval()
    with torch.no_grad():
        if sample.time == "window":
            return _by_name(model(*sample.inputs.values()))
        states, history = list(sample.states), []
        for step in zip(*sample.inputs.values(), strict=True):
            result = model(*step, *states)
            leaves = pytree.tree_leaves(result)
            if states:
                result, states = leaves[0], leaves[-len(states) :]
            history.append(_by_name(result))
    return {name: np.stack([step[name] for step in history]) for name in history[0]}


def _by_name(result: object) -> dict[str, Array]:
    leaves = pytree.tree_leaves(result)
    names = list(result) if isinstance(result, dict) else [f"output_{i}" for i in range(len(leaves))]
    names = ["output"] if len(leaves) == 1 and not isinstance(result, dict) else names
    return {name: leaf.numpy().copy() for name, leaf in zip(names, leaves, strict=True)}


def _equal(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def _on_chip(checkpoint: Checkpoint) -> str:
    """EXACT where the engine gives what the integers' definition gives."""
    try:
        program = compile_graph(checkpoint.graph, target.load("loihi2")).program
    except UserError as error:
        return str(error)
    summed = any(node.op.kind == "WindowSum" for node in program.graph)
    steps = STEPS if summed else ENGINE_STEPS
    inputs = {name: x[:steps, :ENGINE_BATCH] for name, x in checkpoint.inputs.items()}
    wanted = interpret_integer(program.graph, inputs, states=True)
    with backend.session(program) as session:
        return (
            EXACT if _same_trace(session.run(inputs, states=True), wanted) else WRONG + "the engine differs"
        )


def _same_trace(a: Trace, b: Trace) -> bool:
    states = a.states.keys() == b.states.keys() and all(_equal(a.states[n], b.states[n]) for n in a.states)
    return states and _equal(a.spikes, b.spikes) and _equal(a.outputs, b.outputs)
