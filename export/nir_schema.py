"""What a NIR file holds, between its bytes and a graph; and what avnir adds to it.

A node of NIR is a type and named fields. What NIR has no field for travels as one JSON text in the
metadata of a node, and one in the metadata of the graph, both under the key `avnir`. Other readers
leave it alone; `avnir.export.nir_read` checks it against the fields and refuses what went stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, NonNegativeInt, PositiveInt
from pydantic.json_schema import models_json_schema

from avnir.errors import InterchangeError
from avnir.ir.operation import Array

FORMAT: Literal["avnir-nir-1"] = "avnir-nir-1"
KEY = "avnir"
"""The one metadata key under which avnir writes."""
NIR_VERSION = "1.0.8"
"""The release of the `nir` package whose file layout this is (nir/serialization.py, nir/ir/*.py)."""
Form = Literal["standard", "strict"]
"""Whether a file says the network as other frameworks do, or all of it in NIR's operations."""
MAX_NODES = 2048
"""More nodes than this are refused: a node is a layer, not a neuron."""
MAX_DELAY = 1 << 16
"""Delays of more steps than this are refused: what runs the network keeps each step."""


class Record(BaseModel):
    """A JSON text with nothing missing, nothing unknown, and no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    def to_json(self) -> str:
        """The text; the same record gives the same text."""
        return json.dumps(self.model_dump(exclude_unset=True), sort_keys=True, allow_nan=False)


class ProgramRecord(Record):
    """What a quantised program is, besides its nodes (`avnir.program.Program`)."""

    target: str
    provenance: dict[str, JsonValue]


class LoopRecord(Record):
    """A Delay of one step that the file leaves out, from the neurons `after` to the nodes `before`."""

    after: str
    before: list[str]
    source: str = ""


class ResetRecord(Record):
    """Neurons that the file spells out: their reset, and the nodes besides their threshold, in order."""

    reset: str
    nodes: list[str]


class GraphRecord(Record):
    """What avnir adds to the graph; `digest` is `avnir.ir.text.graph_digest` of what was written.

    `loops`, `rows` and `resets` say where the file's nodes are not the graph's: delays that it leaves out
    (`avnir.export.nir_loops`), nodes whose samples (C, 1, L) it holds as (C, L) (`avnir.export.nir_rows`),
    and, in the strict form, neurons that it spells out (`avnir.passes.spell_resets`). With `program` the
    file holds integers (`avnir.export.nir_program`): `digest` is the program's.
    """

    format: Literal["avnir-nir-1"]
    dt: float
    order: list[str]
    digest: str
    metadata: dict[str, JsonValue] = {}
    form: Form = "standard"
    loops: dict[str, LoopRecord] = {}
    rows: list[str] = []
    resets: dict[str, ResetRecord] = {}
    program: ProgramRecord | None = None


class ArrayRecord(Record):
    """Numbers of a shape in row-major order, as runs of (value, how many times)."""

    dtype: Literal["int8", "int32", "float64"]
    shape: list[NonNegativeInt]
    runs: list[tuple[int | float, PositiveInt]]


class IntegerRecord(Record):
    """An operation of the integer level with what feeds it; an array that is left out is a field of NIR."""

    op: str
    inputs: list[str]
    values: dict[str, int | float | str | list[NonNegativeInt] | ArrayRecord]


class NodeRecord(Record):
    """What avnir adds to a node; a key that is left out has the meaning of a file without metadata.

    `beta` and `alpha` are the exact leaks of the potential and of the synaptic current, one value or the
    neurons' in row-major order. `shape` is the own shape of a Scale or an
    Output, where NIR needs that of its input, or of a Flatten that adds an axis of 1. `kernel`, `padding`,
    `groups` and `bias` say what a convolution was before it took the form that NIR can hold, `pool` that
    it was no convolution. `integer` is in programs alone.
    """

    source: str = ""
    message_bits: int | None = 0
    reset: str = "zero"
    beta: float | list[float] | None = None
    alpha: float | list[float] | None = None
    shape: list[int] | None = None
    kernel: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None
    groups: int = 1
    bias: bool = True
    pool: Literal["AvgPool2d", "SumPool2d"] | None = None
    integer: IntegerRecord | None = None


@dataclass(frozen=True)
class NirNode:
    """A node: NIR's type and its fields, numbers as arrays."""

    kind: str
    fields: Mapping[str, Array | str]
    record: NodeRecord = field(default_factory=NodeRecord)

    def array(self, name: str) -> Array:
        """A field that is numbers; InterchangeError where it is a text."""
        value = self.fields[name]
        if isinstance(value, str):
            raise InterchangeError(f"{name} is {value!r}, but must be numbers")
        return value


@dataclass(frozen=True)
class NirFile:
    """All that avnir writes into a file and reads from one; `record` is None in a foreign file."""

    nodes: Mapping[str, NirNode]
    edges: tuple[tuple[str, str], ...]
    record: GraphRecord | None = None


FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    kind: (frozenset(needed.split()), frozenset(optional.split()))
    for kind, needed, optional in (
        ("Input", "shape", ""),
        ("Output", "shape", ""),
        ("Flatten", "start_dim end_dim", "input_type"),
        ("Linear", "weight", ""),
        ("Affine", "weight bias", ""),
        ("Conv2d", "weight bias stride padding dilation groups", "input_shape"),
        ("Conv1d", "weight bias stride padding dilation groups", "input_shape"),
        ("AvgPool2d", "kernel_size stride padding", ""),
        ("SumPool2d", "kernel_size stride padding", ""),
        ("Scale", "scale", ""),
        ("Threshold", "threshold", ""),
        ("Delay", "delay", ""),
        ("LI", "tau r v_leak", ""),
        ("I", "r", ""),
        ("CubaLI", "tau_syn tau_mem r v_leak", "w_in"),
        ("LIF", "tau r v_leak v_threshold", "v_reset"),
        ("IF", "r v_threshold", "v_reset"),
        ("CubaLIF", "tau_syn tau_mem r v_leak v_threshold", "v_reset w_in"),
    )
}
"""The types that avnir takes, with the fields that each must and may have."""


def metadata_schema() -> dict[str, Any]:
    """The JSON schema of the texts under the key `avnir`: of the graph, and of its nodes.

    It is published as `nir_metadata.schema.json`, which `python -m avnir.export.nir_schema` prints.
    """
    models = [(GraphRecord, "validation"), (NodeRecord, "validation")]
    places = {"graph": "#/$defs/GraphRecord", "node": "#/$defs/NodeRecord"}
    _, schema = models_json_schema(models, title="avnir metadata of a NIR file", description=__doc__)  # type: ignore[arg-type]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    parts = {"properties": {place: {"$ref": name} for place, name in places.items()}}
    return {**head, "type": "object", **parts, "additionalProperties": False, **schema}


if __name__ == "__main__":
    json.dump(metadata_schema(), sys.stdout, indent=1)
    print()
