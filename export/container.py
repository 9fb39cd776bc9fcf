"""A `model.pt` as bytes: `torch.save` of one dict of text and tensors, nothing that runs code.

    {"format": "avnir-model-2", "record": <JSON text>, "arrays": {<digest>: <tensor>}, "digest": <digest>}

Any PyTorch reads it with `torch.load(path, weights_only=True)`. An array is named by the SHA-256 of its
type, shape and bytes, so equal arrays are kept once and a changed one is noticed. `digest` is the SHA-256
of these names and of the record's text, so that a record edited by hand is noticed too. It is no
signature: who renews it on purpose makes another model. The same content gives the same bytes.

Reading trusts nothing: the zip file's entries must be stored plainly, once each, with the right
checksums and no larger in total than the file; they are copied into a fresh archive before PyTorch
sees them, so that two readers of one archive cannot disagree on what it holds.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avnir.errors import CheckpointError
from avnir.ir.operation import Array, digest

FORMAT = "avnir-model-2"
MAX_BYTES = 2 << 30
"""Files above this are refused before they are read; a network for a chip has some megabytes."""
MAX_ENTRIES = 100_000
"""Entries of the archive: one for each array and a handful of PyTorch's own."""

TENSORS = (
    torch.float32,
    torch.float64,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint8,
    torch.bool,
)
"""Types of tensors that a file may hold."""

AGAIN = "Save the model again with avnir.save"
_FOREIGN = "Build the model, load its weights, and call avnir.save(model, example_inputs, path)"


def to_bytes(record: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """The file's content; ValueError or TypeError where the record is not JSON."""
    text = json.dumps(record, sort_keys=True, allow_nan=False)
    tensors = {name: torch.tensor(arrays[name]) for name in sorted(arrays)}
    file = io.BytesIO()
    content = {"format": FORMAT, "record": text, "arrays": tensors, "digest": content_digest(text, tensors)}
    torch.save(content, file)
    return file.getvalue()


def content_digest(record: str, names: Iterable[str]) -> str:
    """SHA-256 of the arrays' names in order, a line each, and the record's text."""
    return hashlib.sha256("\n".join((*sorted(names), record)).encode()).hexdigest()


def read(path: Path) -> bytes:
    """The whole file; CheckpointError where it is missing, empty, or too large."""
    try:
        size = path.stat().st_size
        if not path.is_file() or not 0 < size <= MAX_BYTES:
            raise CheckpointError(f"{path} has {size} bytes, but a model file has 1 to {MAX_BYTES}. {AGAIN}")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}). Check the path") from error


def from_bytes(content: bytes, path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The record and the arrays of a file's content, both checked against their digests.

    Raises CheckpointError where it is damaged, foreign, unsafe, or of another format version.
    """
    loaded = _unpickled(_repacked(content, path), path)
    version = loaded.get("format") if isinstance(loaded, dict) else None
    if version != FORMAT:
        what = (
            f"its format is {version!r}"
            if isinstance(version, str)
            else "it is a plain state_dict or other data"
        )
        remedy = AGAIN if isinstance(version, str) else _FOREIGN
        raise CheckpointError(f"{path} is not a model of format {FORMAT}: {what[:120]}. {remedy}")
    arrays = {str(name): _array(name, tensor, path) for name, tensor in loaded["arrays"].items()}
    if content_digest(loaded["record"], arrays) != loaded["digest"]:
        raise CheckpointError(f"{path} was changed after it was written. {AGAIN}")
    record = json.loads(loaded["record"], parse_constant=_no_constant)
    if not isinstance(record, dict):
        raise CheckpointError(f"{path}: its record is a {type(record).__name__}, not an object. {AGAIN}")
    return record, arrays


def _repacked(content: bytes, path: Path) -> io.BytesIO:
    fresh = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(fresh, "w") as copy:
            entries = archive.infolist()
            if problem := _archive_problem(entries, len(content)):
                raise CheckpointError(f"{path}: its archive {problem}. {AGAIN}")
            for entry in entries:
                copy.writestr(entry.filename, archive.read(entry))
    except CheckpointError:
        raise
    except Exception as error:  # damaged archives raise a dozen types
        reason = f"{type(error).__name__}: {error}"[:200]
        raise CheckpointError(f"{path} is damaged or no model file ({reason}). {AGAIN}") from error
    fresh.seek(0)
    return fresh


def _archive_problem(entries: list[zipfile.ZipInfo], size: int) -> str | None:
    if len(entries) > MAX_ENTRIES:
        return f"has {len(entries)} entries, more than {MAX_ENTRIES}"
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        return "is compressed, which avnir.save never does"
    if sum(entry.file_size for entry in entries) > size:
        return f"says that it holds more than its own {size} bytes"
    if len({entry.filename for entry in entries}) != len(entries):
        return "holds one name twice"
    return None


def _unpickled(archive: io.BytesIO, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(archive, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises whatever its parts raise
        reason = (str(error).splitlines() or [""])[0][:200]
        raise CheckpointError(
            f"{path} holds something else than text and tensors, and was not run "
            f"({type(error).__name__}: {reason}). {_FOREIGN}"
        ) from error


def _array(name: Any, tensor: Any, path: Path) -> Array:
    place = f"{path}: array {str(name)[:12]}"
    if type(tensor) is not Tensor or tensor.layout is not torch.strided or not tensor.is_contiguous():
        raise CheckpointError(f"{place} is not a plain tensor. {AGAIN}")
    if tensor.numel() * tensor.element_size() != tensor.untyped_storage().nbytes():
        raise CheckpointError(f"{place} does not fill its storage. {AGAIN}")
    if tensor.dtype not in TENSORS or not bool(torch.isfinite(tensor).all()):
        what = f"is {tensor.dtype} or holds NaN or infinity"
        raise CheckpointError(f"{place} {what}. Train again, and save again")
    array: Array = tensor.detach().numpy()
    if digest(array) != name:
        raise CheckpointError(f"{place} was changed after it was written. {AGAIN}")
    return array


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")
