"""`model.pt`: a traced graph with example inputs and the spikes that the model itself gave for them.

With it the command line exports and verifies anybody's model, with none of its code. The state_dict
is kept too, for going on with the training; its arrays are the graph's, so they cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor, nn

import avnir
from avnir.decision import Decision
from avnir.errors import CheckpointError, DataError, UserError
from avnir.export import container
from avnir.export.examples import ExampleInputs, Outputs, Time
from avnir.export.record import Store, graph_from, graph_record, unpacked
from avnir.export.tracing import Traced, traced
from avnir.files import atomic_path
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.trace import Trace, checked_inputs

Architecture = tuple[str, Mapping[str, Any]]
"""A name that `avnir.models.build` knows, and its JSON configuration."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a `model.pt` holds.

    `inputs[name]` `[T, B, *shape]`, uint8 for spikes, integers, or float32; `labels` `[B]` or None;
    `recorded`: the original model's spikes and outputs on these inputs; `state`: its state_dict; `decision`:
    how a host reads the class.
    """

    graph: Graph
    inputs: Mapping[str, Array]
    recorded: Trace
    labels: Array | None = None
    state: Mapping[str, Array] = field(default_factory=dict)
    architecture: Architecture | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    decision: Decision = field(default_factory=Decision)


def save(
    model: nn.Module,
    example_inputs: ExampleInputs,
    path: str | Path,
    time: Time = "step",
    *,
    labels: ArrayLike | Tensor | None = None,
    states: Sequence[Tensor] | None = None,
    outputs: Outputs | None = None,
    architecture: Architecture | None = None,
    notes: Mapping[str, Any] | None = None,
    decision: Decision | None = None,
) -> Checkpoint:
    """Trace and replay `model` (see `trace`), and write it to `path`, whole or not at all.

    `states` and `outputs` are `trace`'s; an output that is not kept is not recorded either.
    `labels`: one class for each of the B samples. `architecture` and `notes` are JSON values; say in the
    notes where the model comes from. `decision`: how a class is read from the outputs, by default the largest
    sum over the window of the first. The same model and examples give the same bytes.
    Raises what `trace` raises, and UserError where labels, architecture, notes or decision do not fit.
    """
    made = traced(model, example_inputs, time, states, outputs)
    reading = decision or Decision()
    reading.check(made.graph)
    record, arrays = _record(made, model, labels, architecture, notes or {})
    if reading.record():
        record["decision"] = reading.record()
    try:
        content = container.to_bytes(record, arrays)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"architecture and notes must be JSON values ({error}); use numbers and text"
        ) from error
    target = Path(path)
    checkpoint = _checkpoint(content, target)
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)
    return checkpoint


def load(path: str | Path) -> Checkpoint:
    """Read what `save` wrote; nothing in the file is run.

    Raises CheckpointError where it is missing, damaged, foreign, unsafe, or disagrees with itself.
    """
    source = Path(path)
    return _checkpoint(container.read(source), source)


def _record(
    made: Traced, model: nn.Module, labels: Any, architecture: Architecture | None, notes: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Array]]:
    store = Store()
    packages = {name: version(name) for name in ("numpy", "snntorch", "torch")}
    record = {
        "graph": graph_record(made.graph, store),
        "inputs": {name: store.packed(array) for name, array in _plain_inputs(made).items()},
        "labels": None if labels is None else store.packed(_checked_labels(labels, made.examples.batch)),
        "spikes": {name: store.packed(array) for name, array in made.recorded.spikes.items()},
        "outputs": {name: store.packed(array) for name, array in made.recorded.outputs.items()},
        "state": {name: store.put(_stored(name, tensor)) for name, tensor in model.state_dict().items()},
        "architecture": None if architecture is None else [architecture[0], architecture[1]],
        "notes": dict(notes),
        "versions": {"avnir": avnir.__version__, **packages},
    }
    return record, store.arrays


def _plain_inputs(made: Traced) -> dict[str, Array]:
    names = (node.name for node in made.graph.inputs)
    return dict(zip(names, made.examples.arrays().values(), strict=True))


def _checked_labels(labels: Any, batch: int) -> Array:
    array = np.asarray(labels)
    if array.shape != (batch,) or array.dtype.kind not in "iu" or np.any(array < 0):
        raise DataError(
            f"labels have shape {array.shape} and type {array.dtype}, "
            f"but must be {batch} class numbers from 0 up"
        )
    return array


def _stored(name: str, tensor: Any) -> Array:
    if not isinstance(tensor, Tensor) or tensor.dtype not in container.TENSORS:
        what = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise UserError(f"{name} in the model's state_dict is {what}; convert it to float32")
    array: Array = tensor.detach().cpu().numpy().copy()
    return array


def _checkpoint(content: bytes, path: Path) -> Checkpoint:
    try:
        record, arrays = container.from_bytes(content, path)
        checkpoint = _decoded(record, arrays)
        _check(checkpoint)
    except CheckpointError:
        raise
    except Exception as error:  # a wrong record fails in any of its parts
        reason = f"{type(error).__name__}: {error}"[:400]
        raise CheckpointError(f"{path} disagrees with itself ({reason}). {container.AGAIN}") from error
    return checkpoint


def _decoded(record: Mapping[str, Any], arrays: Mapping[str, Array]) -> Checkpoint:
    def unpack(key: str) -> dict[str, Array]:
        return {str(name): unpacked(entry, arrays) for name, entry in record[key].items()}

    architecture = record["architecture"]
    return Checkpoint(
        graph=graph_from(record["graph"], arrays),
        inputs=unpack("inputs"),
        recorded=Trace(unpack("spikes"), unpack("outputs")),
        labels=None if record["labels"] is None else unpacked(record["labels"], arrays).astype(np.int64),
        state={str(name): arrays[key] for name, key in record["state"].items()},
        architecture=None if architecture is None else (str(architecture[0]), dict(architecture[1])),
        notes=dict(record["notes"]),
        versions={str(name): str(text) for name, text in record["versions"].items()},
        decision=Decision.of(record.get("decision", {})),
    )


def _check(checkpoint: Checkpoint) -> None:
    """ValueError or DataError where inputs, labels, recorded spikes or decision do not fit the graph."""
    graph = checkpoint.graph
    checkpoint.decision.check(graph)
    steps, batch = next(iter(checked_inputs(graph, checkpoint.inputs).values())).shape[:2]
    if checkpoint.labels is not None:
        _checked_labels(checkpoint.labels, batch)
    recorded = checkpoint.recorded
    for arrays, nodes in ((recorded.spikes, graph.neurons), (recorded.outputs, graph.outputs)):
        expected = {node.name: (steps, batch, *graph.shapes[node.name]) for node in nodes}
        found = {name: array.shape for name, array in arrays.items()}
        if found != expected:
            raise ValueError(f"recorded shapes are {found}, but the graph needs {expected}")
