"""NIR files as HDF5: written the same byte for byte, read without trust.

Layout (nir 1.0.8, nir/serialization.py): `/version`; `/node` is the graph, with `type`, `edges`
(text, `[E, 2]`), `nodes/<name>/<field>` and `metadata`; each node has a `type`, and may have a `metadata`.
Before anything is read, `avnir.export.nir_guard` has seen that it is safe.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from pydantic import ValidationError

from avnir.errors import InterchangeError
from avnir.export.nir_guard import MAX_BYTES, Tree, check_heaps, checked_tree, is_text
from avnir.export.nir_schema import (
    FIELDS,
    KEY,
    MAX_NODES,
    NIR_VERSION,
    GraphRecord,
    NirFile,
    NirNode,
    NodeRecord,
    Record,
)
from avnir.files import atomic_path
from avnir.ir.operation import Array

MAX_EDGES = 8 * MAX_NODES
PACK_FROM = 4096
"""Arrays of this many bytes or more are packed (gzip)."""
BROKEN = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)
"""What h5py and HDF5 raise on damaged files."""

R = TypeVar("R", bound=Record)


def write_file(content: NirFile, path: Path) -> None:
    """Write the whole file or nothing; the same content gives the same bytes.

    It is made in memory first: where the disk is full, HDF5 itself crashes the process.
    """
    with h5py.File(path, "w", driver="core", backing_store=False, track_order=False) as file:
        _write_text(file, "version", NIR_VERSION)
        graph = file.create_group("node")
        _write_text(graph, "type", "NIRGraph")
        graph.create_dataset("edges", data=list(content.edges), dtype=h5py.string_dtype())
        if content.record is not None:
            _write_text(graph.create_group("metadata"), KEY, content.record.to_json())
        nodes = graph.create_group("nodes")
        for name, node in content.nodes.items():
            _write_node(nodes.create_group(name), node)
        file.flush()
        content_bytes = file.id.get_file_image()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content_bytes)


def _write_node(group: Any, node: NirNode) -> None:
    _write_text(group, "type", node.kind)
    for name in node.fields:
        value = node.array(name)
        packing = {"compression": "gzip"} if value.nbytes >= PACK_FROM else {}
        group.create_dataset(name, data=value, **packing)
    if node.record.model_fields_set:
        _write_text(group.create_group("metadata"), KEY, node.record.to_json())


def _write_text(group: Any, name: str, text: str) -> None:
    group.create_dataset(name, data=text, dtype=h5py.string_dtype())


def read_file(path: Path, max_bytes: int = MAX_BYTES, program: bool = False) -> NirFile:
    """What the file says, numbers of plain types; InterchangeError where it is unsafe or damaged.

    `program` says which of avnir's two kinds of files is wanted, a quantised program or a real network.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise InterchangeError(f"it has more than {max_bytes} bytes")
        with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_heaps(data)
            with h5py.File(path, "r") as file:
                return _of_kind(_content(checked_tree(file, data, max_bytes)), program)
    except InterchangeError as error:
        raise InterchangeError(f"{path}: {error}") from error
    except BROKEN as error:
        reason = f"{type(error).__name__}: {error}"
        raise InterchangeError(f"{path} cannot be read as a NIR file ({reason}); write it again") from error


def _of_kind(content: NirFile, program: bool) -> NirFile:
    """The content itself, if it is of the kind that was asked for."""
    found = content.record is not None and content.record.program is not None
    if found and not program:
        raise InterchangeError(
            "it holds a quantised program, not a real network; `avnir run` runs it, and the network that it "
            "was made from is the graph.nir that was exported with it"
        )
    if program and not found:
        raise InterchangeError(
            "it holds a real network, not a quantised program; `avnir export` makes a program.nir of it"
        )
    return content


def _content(tree: Tree) -> NirFile:
    graph = _group(tree, "node", "/")
    kind = _text(graph, "type", "/node")
    if kind != "NIRGraph":
        raise InterchangeError(f"/node is a {kind}, but must be a NIRGraph")
    groups = _group(graph, "nodes", "/node")
    if len(groups) > MAX_NODES:
        raise InterchangeError(f"it has {len(groups)} nodes, more than the limit of {MAX_NODES}")
    edges = _edges(_dataset(graph, "edges", "/node"))
    nodes = {name: _node(_group(groups, name, "/node/nodes"), f"/node/nodes/{name}") for name in groups}
    record = _record_text(graph, "/node")
    return NirFile(nodes, edges, None if record is None else _parsed(GraphRecord, record, "/node"))


def _node(tree: Tree, place: str) -> NirNode:
    """A node; of a type that avnir does not take only the name is read."""
    kind = _text(tree, "type", place)
    names = [name for name in tree if name not in ("type", "metadata")] if kind in FIELDS else []
    fields = {name: _value(_dataset(tree, name, place), f"{place}/{name}") for name in names}
    record = _record_text(tree, place)
    return NirNode(kind, fields, NodeRecord() if record is None else _parsed(NodeRecord, record, place))


def _group(tree: Tree, name: str, place: str) -> Tree:
    found = tree.get(name)
    if not isinstance(found, dict):
        raise InterchangeError(f"{place} lacks the group {name!r}")
    return found


def _dataset(tree: Tree, name: str, place: str) -> Any:
    found = tree.get(name)
    if found is None or isinstance(found, dict):
        raise InterchangeError(f"{place} lacks the data set {name!r}")
    return found


def _value(dataset: Any, place: str) -> Array | str:
    if is_text(dataset):
        return _decoded(dataset, place)
    return np.asarray(dataset[()])


def _text(tree: Tree, name: str, place: str) -> str:
    return _decoded(_dataset(tree, name, place), f"{place}/{name}")


def _decoded(dataset: Any, place: str) -> str:
    if dataset.shape != () or not is_text(dataset):
        raise InterchangeError(f"{place}: is {dataset.dtype}{dataset.shape}, but must be one text")
    value = dataset[()]
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _edges(dataset: Any) -> tuple[tuple[str, str], ...]:
    shape = dataset.shape
    if not is_text(dataset) or len(shape) != 2 or shape[1] != 2 or shape[0] > MAX_EDGES:
        limit = f"text [E, 2] with E at most {MAX_EDGES}"
        raise InterchangeError(f"/node/edges: is {dataset.dtype}{shape}, but must be {limit}")
    return tuple((before.decode("utf-8"), after.decode("utf-8")) for before, after in dataset[()])


def _record_text(tree: Tree, place: str) -> str | None:
    metadata = tree.get("metadata", {})
    if not isinstance(metadata, Mapping) or KEY not in metadata:
        return None
    return _text(dict(metadata), KEY, f"{place}/metadata")


def _parsed(kind: type[R], text: str, place: str) -> R:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise InterchangeError(
            f"{place}/metadata/{KEY} is not avnir's ({found}); write the file again"
        ) from error
