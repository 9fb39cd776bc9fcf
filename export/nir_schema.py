"""What a NIR file holds, between its bytes and a graph; and what avnir adds to it.

A node of NIR is a type and named fields. What NIR has no field for travels as one JSON text in the
metadata of a node, and one in the metadata of the graph, both under the key `avnir`. Other readers
leave it alone; `avnir.export.nir_read` checks it against the fields and refuses what went stale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from avnir.errors import InterchangeError
from avnir.ir.operation import Array

FORMAT: Literal["avnir-nir-1"] = "avnir-nir-1"
KEY = "avnir"
"""The one metadata key under which avnir writes."""
NIR_VERSION = "1.0.8"
"""The release of the `nir` package whose file layout this is (nir/serialization.py, nir/ir/*.py)."""
MAX_NODES = 2048
"""More nodes than this are refused: a node is a layer, not a neuron."""


class Record(BaseModel):
    """A JSON text with nothing missing, nothing unknown, and no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    def to_json(self) -> str:
        """The text; the same record gives the same text."""
        return json.dumps(self.model_dump(exclude_unset=True), sort_keys=True, allow_nan=False)


class GraphRecord(Record):
    """What avnir adds to the graph; `digest` is `avnir.ir.text.graph_digest` of what was written."""

    format: Literal["avnir-nir-1"]
    dt: float
    order: list[str]
    digest: str
    metadata: dict[str, JsonValue] = {}


class NodeRecord(Record):
    """What avnir adds to a node; a key that is left out has the meaning of a file without metadata.

    `beta` and `alpha` are the exact leaks of the potential and of the synaptic current, one value or the
    neurons' in row-major order. `shape` is a Scale's or an
    Output's own shape, where NIR needs that of its input. `kernel`, `padding`, `groups` and `bias` say
    what a convolution was before it took the form that NIR can hold.
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
        ("AvgPool2d", "kernel_size stride padding", ""),
        ("SumPool2d", "kernel_size stride padding", ""),
        ("Scale", "scale", ""),
        ("Threshold", "threshold", ""),
        ("LIF", "tau r v_leak v_threshold", "v_reset"),
        ("IF", "r v_threshold", "v_reset"),
        ("CubaLIF", "tau_syn tau_mem r v_leak v_threshold", "v_reset w_in"),
    )
}
"""The types that avnir takes, with the fields that each must and may have."""
