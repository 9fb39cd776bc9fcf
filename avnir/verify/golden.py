"""Golden traces: what the integers of a deployment sent once, to be sent again by every later one.

A golden trace is an `.npz` without pickle: the spikes of every layer, in every presentation of the window,
eight to a byte (messages as int32), the digest of the program that sent them, and the SHA-256 of each
sample's inputs. So it is known what it holds for, and the inputs themselves need not be kept twice. The
same trace gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avnir.errors import DataError
from avnir.files import atomic_path, read_npz
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.trace import Trace
from avnir.verify.compare import Comparison, compare
from avnir.verify.gate import GOLDEN, Check

FORMAT = "avnir-golden-1"
HEAD = "golden"
"""The JSON beside the arrays: format, program, and each layer's shape and type."""
TYPES = ("uint8", "int32")
"""Of binary spikes, which are packed, and of messages (`avnir.trace.Trace`)."""


@dataclass(frozen=True)
class Golden:
    """What the program of that digest sent: `spikes[layer]` `[presentations * T, B, *shape]`.

    `inputs`: the SHA-256 of each sample's inputs, uint8 `[B, 32]`.
    """

    program: str
    inputs: Array
    spikes: Mapping[str, Array]

    @classmethod
    def of(cls, program: Program, inputs: Mapping[str, Array], trace: Trace) -> Golden:
        """That of a run over `inputs`, integers `[T, B, *shape]`, which gave `trace`."""
        batch = next(iter(inputs.values())).shape[1]
        digests = np.array([list(_digest(inputs, sample)) for sample in range(batch)], np.uint8)
        return cls(program.digest, digests, trace.sent)

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        layers = {n: {"shape": list(a.shape), "type": str(a.dtype)} for n, a in self.spikes.items()}
        head = json.dumps({"format": FORMAT, "program": self.program, "layers": layers})
        packed = {f"spikes/{name}": _packed(array) for name, array in self.spikes.items()}
        arrays: dict[str, Any] = {HEAD: np.array(head), "inputs": self.inputs, **packed}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> Golden:
        """Read what `save` wrote; DataError where the file is missing, damaged or foreign."""
        arrays = read_npz(path)
        try:
            head = json.loads(str(arrays.pop(HEAD)))
            if head["format"] != FORMAT:
                raise ValueError(f"its format is {head['format']!r}, not {FORMAT!r}")
            inputs = arrays.pop("inputs")
            spikes = {n: _unpacked(arrays.pop(f"spikes/{n}"), **layer) for n, layer in head["layers"].items()}
            return cls(str(head["program"]), *_checked(inputs, spikes, arrays))
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise DataError(
                f"{path} is not a golden trace ({what}); avnir verify MODEL --record FILE writes one"
            ) from error

    def first(self, samples: int) -> Golden:
        """That of the first samples alone."""
        spikes = {name: array[:, :samples] for name, array in self.spikes.items()}
        return Golden(self.program, self.inputs[:samples], spikes)


def check_golden(golden: Golden, now: Golden, path: Path, model: str) -> tuple[Check, Comparison | None]:
    """Whether `now` sends every spike of the trace recorded in `path`; the layers' comparison if they fit.

    `model`: how it is called on the command line.
    The samples that both hold are compared, from the first on. That the program's digest changed while every
    spike is equal is told, no failure. Raises DataError where the trace was recorded on other inputs.
    """
    samples = min(len(golden.inputs), len(now.inputs))
    wanted, found = golden.first(samples), now.first(samples)
    again = f"where that is meant, record it again: avnir verify {model} --record {path}"
    differing = np.flatnonzero(np.any(wanted.inputs != found.inputs, axis=1))
    if len(differing):
        raise DataError(
            f"{path} was recorded on other inputs: sample {differing[0]} is the first that differs; {again}"
        )
    limit = f"every spike of {path.name}"
    if unlike := list(_unlike(wanted, found)):
        problem = f"the layers are not those of {path.name}: {', '.join(unlike)}; {again}"
        return Check(GOLDEN, "golden", "other layers", limit, problem), None
    comparison = compare(Trace(wanted.spikes, {}), Trace(found.spikes, {}), ("golden", "integer"))
    if comparison.identical:
        told = f"equal in {samples} of {len(golden.inputs)} samples{_program(golden, now)}"
        return Check(GOLDEN, "golden", told, limit), comparison
    where = f"first at {comparison.divergence}"
    problem = f"the integers differ from {path.name}, {where}; {again}"
    return Check(GOLDEN, "golden", f"differs, {where}", limit, problem), comparison


def _program(golden: Golden, now: Golden) -> str:
    if golden.program == now.program:
        return ""
    return f"; the program changed from {golden.program[:12]} to {now.program[:12]}"


def _unlike(golden: Golden, now: Golden) -> Iterator[str]:
    """Layers that only one of the two has, or that have another shape."""
    for name in golden.spikes.keys() | now.spikes.keys():
        shapes = [t.spikes[name].shape if name in t.spikes else "missing" for t in (golden, now)]
        if shapes[0] != shapes[1]:
            yield f"{name} was {shapes[0]}, is {shapes[1]}"


def _digest(inputs: Mapping[str, Array], sample: int) -> bytes:
    found = hashlib.sha256()
    for name, array in sorted(inputs.items()):
        values = np.ascontiguousarray(array[:, sample], np.int32)
        found.update(f"{name} {values.shape}".encode() + values.tobytes())
    return found.digest()


def _packed(array: Array) -> Array:
    return np.packbits(array) if array.dtype == np.uint8 else array.ravel()


def _unpacked(array: Array, shape: list[int], type: str) -> Array:
    if type not in TYPES or min(shape) < 1:
        raise ValueError(f"a layer of type {type!r} and shape {shape}")
    size = int(np.prod(shape, dtype=object))
    if array.dtype != type or array.shape != ((size + 7) // 8 if type == "uint8" else size,):
        raise ValueError(f"{array.dtype}{list(array.shape)} is no layer of shape {shape}")
    flat = np.unpackbits(array, count=size) if type == "uint8" else array
    return flat.reshape(shape)


def _checked(
    inputs: Array, spikes: Mapping[str, Array], surplus: Mapping[str, Array]
) -> tuple[Array, Mapping[str, Array]]:
    """The digests and the spikes, if they belong together."""
    if inputs.dtype != np.uint8 or inputs.ndim != 2 or inputs.shape[1] != 32:
        raise ValueError(f"{inputs.dtype}{list(inputs.shape)} is no SHA-256 of each sample")
    heads = {array.shape[:2] for array in spikes.values()}
    if surplus or len(heads) != 1 or next(iter(heads))[1] != len(inputs):
        raise ValueError("its layers, samples and arrays do not belong together")
    return inputs, spikes
