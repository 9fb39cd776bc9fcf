"""What a run leaves: the spikes of every layer, the outputs, and, where asked for, the states.

Every trace is on the model's own time base: entry t of a layer belongs to the input of step t,
whatever the backend's latency was. So two traces are compared entry by entry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avnir.errors import DataError
from avnir.files import atomic_path, read_npz
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.ir.presentations import presentations

FORMAT = "avnir-trace-1"
MAX_MESSAGE_BITS = 24
"""The widest graded spike (`avnir.ir.integer.Input`)."""


@dataclass(frozen=True)
class Trace:
    """`spikes[layer]` and `outputs[name]` `[T, B, *shape]`; `states[layer][register]` int32, the same.

    Binary spikes are uint8, graded messages int32, in which 0 is silence; an output is as its layer. Where
    the chip is shown a window several times (`avnir.ir.presentations`), all this is of the last time, and
    `rehearsals` are those before, without outputs.
    """

    spikes: Mapping[str, Array]
    outputs: Mapping[str, Array]
    states: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    rehearsals: tuple[Trace, ...] = ()

    @property
    def presented(self) -> tuple[Trace, ...]:
        """Each time that the window was shown, in order; the last is the trace itself."""
        return (*self.rehearsals, self)

    @property
    def sent(self) -> Mapping[str, Array]:
        """The spikes of every time that the window was shown, in a row: `[presentations * T, B, *shape]`."""
        if not self.rehearsals:
            return self.spikes
        return {name: np.concatenate([p.spikes[name] for p in self.presented]) for name in self.spikes}

    @classmethod
    def empty(cls, graph: Graph, steps: int, batch: int, states: bool) -> Trace:
        """Zeros for a run of an integer graph; with `states`, for every register of every layer."""
        *before, last = (cls._zeros(graph, steps, batch, states) for _ in range(presentations(graph)))
        rehearsals = tuple(dataclasses.replace(trace, outputs={}) for trace in before)
        return dataclasses.replace(last, rehearsals=rehearsals)

    @classmethod
    def _zeros(cls, graph: Graph, steps: int, batch: int, states: bool) -> Trace:
        """The same for one presentation of the window."""

        def zeros(node: Node, dtype: type) -> Array:
            return np.zeros((steps, batch, *graph.shapes[node.name]), dtype)

        def sent_by(layer: Node) -> type:
            return np.int32 if getattr(layer.op, "message_bits", 0) else np.uint8

        return cls(
            spikes={n.name: zeros(n, sent_by(n)) for n in graph.neurons},
            outputs={n.name: zeros(n, sent_by(graph[n.inputs[0]])) for n in graph.outputs},
            states={
                n.name: {r: zeros(n, np.int32) for r in n.op.registers}  # type: ignore[attr-defined]
                for n in graph.neurons
                if states and n.op.stateful
            },
        )

    def decisions(self, output: str | None = None) -> Array:
        """The class with the most spikes, or the largest sum of messages, `[B]`; the lowest of equals.

        `output` names one of several outputs; the first by default.
        """
        counts = self.outputs[output or next(iter(self.outputs))].sum(axis=0)
        return np.asarray(counts.reshape(len(counts), -1).argmax(axis=1))

    def samples(self, chosen: Sequence[int]) -> Trace:
        """The trace of some samples of the batch alone."""
        index = list(chosen)
        return self._each(lambda array: array[:, index])

    def _each(self, change: Callable[[Array], Array]) -> Trace:
        """A trace with every array changed."""
        return Trace(
            {name: change(array) for name, array in self.spikes.items()},
            {name: change(array) for name, array in self.outputs.items()},
            {layer: {r: change(a) for r, a in registers.items()} for layer, registers in self.states.items()},
            tuple(rehearsal._each(change) for rehearsal in self.rehearsals),
        )

    def save(self, path: Path) -> None:
        """Write an `.npz` without pickle; the same trace gives the same bytes."""
        arrays: dict[str, Any] = {"format": np.array(FORMAT), **self.named()}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    def description(self) -> dict[str, Any]:
        """The names, types and shapes of a file that `save` writes, as plain values (`trace.schema.json`)."""
        arrays = {n: {"dtype": a.dtype.name, "shape": list(a.shape)} for n, a in self.named().items()}
        return {"format": FORMAT, "arrays": arrays}

    def named(self) -> dict[str, Array]:
        """Every array by its name in a file."""
        arrays = {f"spikes/{name}": array for name, array in self.spikes.items()}
        arrays |= {f"outputs/{name}": array for name, array in self.outputs.items()}
        arrays |= {f"states/{n}/{r}": a for n, registers in self.states.items() for r, a in registers.items()}
        for number, rehearsal in enumerate(self.rehearsals):
            arrays |= {f"rehearsals/{number}/{name}": array for name, array in rehearsal.named().items()}
        return arrays

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Read what `save` wrote (DataError where the file is missing, damaged or foreign)."""
        arrays = read_npz(path)
        if str(arrays.pop("format", "")) != FORMAT:
            raise DataError(f"{path} is not a trace of format {FORMAT}; record it again with this version")
        return cls._of(arrays)

    @classmethod
    def _of(cls, named: Mapping[str, Array]) -> Trace:
        """The trace of arrays by their names in a file."""
        groups = _grouped(named)
        earlier = _grouped(groups.get("rehearsals", {}))
        return cls(
            groups.get("spikes", {}),
            groups.get("outputs", {}),
            _grouped(groups.get("states", {})),
            tuple(
                cls._of(earlier[number])
                for number in sorted(earlier, key=lambda number: (len(number), number))
            ),
        )


def _grouped(named: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    """Arrays by the first part of their names, then by the rest."""
    groups: dict[str, dict[str, Array]] = {}
    for key, array in named.items():
        group, _, rest = key.partition("/")
        groups.setdefault(group, {})[rest] = array
    return groups


def checked_inputs(
    graph: Graph, inputs: Mapping[str, Array], unread: Callable[[Array], bool] | None = None
) -> dict[str, Array]:
    """The inputs as plain arrays `[T, B, *shape]`, in the graph's order, after every check.

    Values of spikes for which `unread` is true are left for whoever reads them, unless there is another
    problem.

    Raises DataError with everything that is wrong: missing or surplus names, shapes, windows of
    different length or batch, or of another length than a sum over the window takes, and values outside what
    the input was declared to carry.
    """
    wanted = {node.name: node for node in graph.inputs}
    arrays = {name: np.asarray(array) for name, array in inputs.items()}
    problems = [f"input {name!r} is missing" for name in wanted.keys() - arrays.keys()]
    problems += [f"there is no input {name!r}" for name in arrays.keys() - wanted.keys()]
    for name, node in wanted.items():
        if name in arrays:
            left = unread is not None and not node.op.message_bits and unread(arrays[name])  # type: ignore[attr-defined]
            problems += _array_problems(node, arrays[name], left)
    heads = {arrays[name].shape[:2] for name in wanted if name in arrays}
    if len(heads) > 1:
        problems.append(f"the inputs have different [T, B]: {', '.join(map(str, sorted(heads)))}")
    problems += _window_problems(graph, {head[0] for head in heads if head})
    if problems and unread is not None:
        return checked_inputs(graph, inputs)
    if problems:
        names = ", ".join(
            f"{n.name} [T, B, {', '.join(map(str, graph.shapes[n.name]))}]" for n in graph.inputs
        )
        listed = "\n".join(f"  - {problem}" for problem in sorted(problems))
        raise DataError(f"the inputs do not fit the network, which takes {names}:\n{listed}")
    return {name: arrays[name] for name in wanted}


def _window_problems(graph: Graph, lengths: set[int]) -> list[str]:
    wanted = {
        node.op.steps: node.name  # type: ignore[attr-defined]
        for node in reversed(graph.select(lambda op: op.kind == "WindowSum"))
    }
    return [
        f"the window has {length} steps, but {name} adds up the {steps} of the window it was made for"
        for steps, name in wanted.items()
        for length in lengths - {steps}
    ]


def _array_problems(node: Node, array: Array, unread: bool) -> list[str]:
    name, shape = node.name, node.op.output_shape(())
    if array.dtype.kind not in "fiub":
        return [f"input {name!r} has dtype {array.dtype}, but must be numbers"]
    if array.ndim != 2 + len(shape) or array.shape[2:] != shape or 0 in array.shape:
        return [f"input {name!r} has shape {array.shape}, but must be [T, B, {', '.join(map(str, shape))}]"]
    fractional = array.dtype.kind == "f"
    if fractional and not np.all(np.isfinite(array)):
        return [f"input {name!r} has values that are not finite"]
    bits = node.op.message_bits  # type: ignore[attr-defined]
    if bits is None:
        return []
    if not 0 <= bits <= MAX_MESSAGE_BITS:
        return [f"input {name!r} declares messages of {bits} bits, but the chip has 0 to {MAX_MESSAGE_BITS}"]
    if unread:
        return []
    low, high = (0, 1) if bits == 0 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    broken = fractional and bool(np.any(array != np.round(array)))
    unsigned = array.dtype.kind in "ub"
    if broken or array.max() > high or (not unsigned and array.min() < low):
        what = "spikes (0 or 1)" if bits == 0 else f"integers in [{low}, {high}]"
        return [f"input {name!r} has values in [{array.min()}, {array.max()}], but must be {what}"]
    return []
