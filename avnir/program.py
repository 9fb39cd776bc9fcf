"""What is deployed: a balanced integer graph, the target it was made for, and where it came from.

A program is a folder with `program.json` (structure, readable, schema in `program.schema.json`) and
`arrays.npz` (integers, no pickle). The same program gives the same bytes, and reads back equal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avnir.decision import Decision
from avnir.errors import AvnirError, ProgramError
from avnir.files import atomic_folder, read_npz
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_level import OPERATIONS as OPERATIONS
from avnir.ir.latency import first_output, slack
from avnir.ir.message_bounds import width_problems
from avnir.ir.operation import Array, digest

FORMAT = "avnir-program-1"
STRUCTURE = "program.json"
ARRAYS = "arrays.npz"
MAX_BYTES = 1 << 30
"""Arrays above this many bytes in total are refused before they are read."""

_DAMAGE = (
    OSError,
    RuntimeError,
    MemoryError,
    ArithmeticError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AvnirError,
)
"""What reading a damaged or foreign file can raise."""


@dataclass(frozen=True)
class Program:
    """Integers for one target; `provenance` says what made it: versions, options, digests.

    A `decision` in it, how a host reads the class, must fit the graph: DataError.
    """

    graph: Graph
    target: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.graph.level != "integer":
            raise ProgramError(f"a program needs an integer graph, not one of the {self.graph.level} level")
        if wrong := list(_wiring_problems(self.graph)):
            raise ProgramError("the chip has no such wiring:\n" + "\n".join(f"  - {line}" for line in wrong))
        if wide := list(width_problems(self.graph)):
            raise ProgramError("messages may not fit:\n" + "\n".join(f"  - {line}" for line in wide))
        early = {edge: steps for edge, steps in slack(self.graph).items() if steps}
        if early:
            listed = ", ".join(f"{a} to {b} by {steps}" for (a, b), steps in early.items())
            raise ProgramError(f"spikes come early and need delays (pass balance_delays): {listed}")
        self.decision.check(self.graph)

    @property
    def latency(self) -> int:
        """Chip steps from the first input to the first output, rehearsals of the window included."""
        return first_output(self.graph)

    @property
    def decision(self) -> Decision:
        """How a host reads the class; units of its outputs: `avnir.decision.output_units`."""
        return Decision.of(self.provenance.get("decision", {}))

    @property
    def digest(self) -> str:
        """SHA-256 of the structure, array digests included: equal programs, equal digest."""
        return hashlib.sha256(_json(self._record()).encode()).hexdigest()

    def _record(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "target": self.target,
            "dt": self.graph.dt,
            "nodes": [_node_record(node) for node in self.graph],
            "provenance": dict(self.provenance),
        }

    def save(self, folder: Path) -> None:
        """Write the folder, whole or not at all; an earlier program of that name is replaced."""
        with atomic_folder(folder, STRUCTURE) as made:
            self.write_into(made)

    def write_into(self, folder: Path) -> None:
        """Write the two files into an existing folder."""
        text = _json({**self._record(), "digest": self.digest})
        (folder / STRUCTURE).write_text(text, encoding="utf-8")
        arrays: dict[str, Any] = {
            digest(a): a for node in self.graph for _, a in node.op.items() if isinstance(a, np.ndarray)
        }
        with (folder / ARRAYS).open("wb") as file:
            np.savez_compressed(file, **dict(sorted(arrays.items())))

    @classmethod
    def load(cls, folder: Path) -> Program:
        """Read a folder that `save` wrote, checking formats, digests and every range.

        Raises ProgramError where a file is missing, damaged, foreign or breaks a rule.
        """
        try:
            record = json.loads((folder / STRUCTURE).read_text(encoding="utf-8"))
            if not isinstance(record, dict) or record.get("format") != FORMAT:
                raise ProgramError(f"{folder} is not a program of format {FORMAT}; export it again")
            written = record.pop("digest")
            arrays = _read_arrays(folder / ARRAYS)
            nodes = tuple(_nodes(folder / STRUCTURE, record["nodes"], arrays))
            graph = verified(Graph("integer", nodes, float(record["dt"])))
            program = cls(graph, str(record["target"]), dict(record["provenance"]))
            if program.digest != written:
                raise ProgramError(f"{folder / STRUCTURE} was changed after it was written; export it again")
            return program
        except ProgramError:
            raise
        except _DAMAGE as error:
            what = f"{type(error).__name__}: {error}"
            raise ProgramError(f"{folder} cannot be read as a program ({what}); export it again") from error


def _wiring_problems(graph: Graph) -> Iterator[str]:
    """Spikes go into connections, connections into neurons, and one layer's spikes are an output."""
    for node in graph:
        fed_by = [graph[name].op for name in node.inputs]
        connected = [getattr(op, "connection", False) for op in fed_by]
        if node.op.spiking and not all(connected):
            yield f"{node.name}: neurons are fed by connections only"
        if node.inputs and not all(node.op.ports(node.inputs)):  # type: ignore[attr-defined]
            yield f"{node.name}: a {node.op.kind} has two ports, and one of them is fed by nothing"
        if not node.op.spiking and any(connected):
            yield f"{node.name}: a connection feeds neurons only"
        if node.op.kind == "Output" and not (len(fed_by) == 1 and fed_by[0].spiking):
            yield f"{node.name}: an output shows the spikes of one layer"


def _json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _node_record(node: Node) -> dict[str, Any]:
    values = {k: {"array": digest(v)} if isinstance(v, np.ndarray) else v for k, v in node.op.items()}
    return {
        "name": node.name,
        "op": node.op.kind,
        "inputs": list(node.inputs),
        "source": node.source,
        "values": values,
    }


def _nodes(path: Path, entries: Iterable[Any], arrays: Mapping[str, Array]) -> Iterator[Node]:
    """The nodes of a file; ProgramError with the first that is damaged, by its name or else its place."""
    for place, entry in enumerate(entries):
        try:
            yield _node(entry, arrays)
        except _DAMAGE as error:
            name = entry.get("name", place) if isinstance(entry, dict) else place
            what = f"{type(error).__name__}: {error}"
            raise ProgramError(f"{path}: node {name} cannot be read ({what}); export it again") from error


def _node(entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Node:
    values = {key: _value(value, arrays) for key, value in entry["values"].items()}
    op = OPERATIONS[entry["op"]](**values)
    return Node(str(entry["name"]), op, tuple(map(str, entry["inputs"])), str(entry["source"]))


def _value(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, dict):
        return arrays[value["array"]]
    return tuple(value) if isinstance(value, list) else value


def _read_arrays(path: Path) -> dict[str, Array]:
    arrays = read_npz(path, MAX_BYTES)
    for name, array in arrays.items():
        if digest(array) != name:
            raise ProgramError(f"{path}: array {name[:12]} was changed after it was written; export it again")
    return arrays
