"""A quantised program as a NIR file: a legal graph for any reader, and the same program for avnir.

The nodes mean, in real numbers, the network that the integers mean; what the chip adds is its rounding and
the width of its registers. A connection takes no time here, as everywhere in NIR, so the delays that
balance the chip's steps are in the metadata alone. One unit is an int8 weight of 1: a register divided by
2^6 (`avnir.numerics.fixed.ALIGN`). With A = decay_u + 1, D = decay_v, all over 4096, theta = threshold and
b = (bias_mantissa << bias_exponent) / 2^6, the chip's neuron (`avnir.ir.integer.Lif`) is

    u <- (1 - A) u + I,     v <- (1 - D) v + u + b,     a spike where v > theta

and a reader steps NIR's by forward Euler (`avnir.export.nir_read`), which gives

    LIF      A = 1      tau = dt / D,  r = 1,  v_threshold = D theta,  v_leak = b       its v is D v
    IF       and D = 0  r = 1 / dt,  v_threshold = theta
    CubaLIF  A < 1      tau_syn = dt / A,  w_in = tau_syn / dt,  tau_mem = dt / D,  r = tau_mem / dt,
                        v_threshold = theta,  v_leak = r b

Where only some neurons of a layer have D = 0, or an IF would need a bias, those have D = 2^-60, whose
1 - dt / tau is 1 in float64, with r = tau / dt, v_threshold = theta and v_leak = r b. A bias is that of the
weights in front (Affine, Conv2d) where these can have it, and v_leak where not: other layers share them, it
differs within one map of a convolution, or there is a current, which would smear it. All states start at 0.

    Dense    Linear or Affine of the int8 weight, its input through a Flatten if it is no vector
    Conv     Conv2d of the int8 weight, a square kernel and one group (`avnir.export.nir_conv`); or the
             matrix of the same map where that has no such form or NIR cannot shape its input
             (`avnir.export.nir_program_form`)
    << e     Scale of 2^e behind it
    lag n    Delay of n dt behind that; none where a layer sees its own spikes of the step before, which in
             other frameworks is a cycle without (`avnir.export.nir_loops`)

A reset other than "zero" is a hard reset for who does not read the metadata. These say exactly what each
node of the program is; a weight that a field holds is not said twice. Reading makes the program again,
compares its digest, and then the whole file with what writing that program gives.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avnir.errors import AvnirError, InterchangeError
from avnir.export.nir_conv import narrowed
from avnir.export.nir_guard import MAX_BYTES
from avnir.export.nir_hdf5 import BROKEN, read_file, write_file
from avnir.export.nir_program_encode import encode
from avnir.export.nir_schema import ArrayRecord, NirFile, NirNode
from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array, same_array
from avnir.program import OPERATIONS, Program


def write_program_nir(program: Program, path: Path) -> None:
    """Write `program` to `path`, whole or not at all; the same program gives the same bytes.

    Raises UnsupportedError where the arrays would take more than a NIR file may hold.
    """
    write_file(encode(program), Path(path))


def read_program_nir(path: Path) -> Program:
    """The program of a file that `write_program_nir` wrote: its equal, digest and all.

    Raises InterchangeError, and nothing else, where the file is missing, unsafe, damaged, holds a real
    network, or was changed in any field.
    """
    path = Path(path)
    content = read_file(path, program=True)
    try:
        return _program(content)
    except (AvnirError, *BROKEN) as error:
        reason = str(error) if isinstance(error, AvnirError) else f"{type(error).__name__}: {error}"
        remedy = "it was damaged or changed after it was written; export it again"
        raise InterchangeError(f"{path} is no program as avnir writes it ({reason}); {remedy}") from error


def _program(content: NirFile) -> Program:
    record = content.record
    assert record is not None and record.program is not None, "read_file refuses other files"
    nodes = tuple(_node(name, content) for name in record.order)
    graph = verified(Graph("integer", nodes, record.dt))
    program = Program(graph, record.program.target, record.program.provenance)
    if program.digest != record.digest:
        raise InterchangeError(f"its digest is not the {record.digest[:12]} of the metadata")
    if different := sorted(_differences(content, encode(program))):
        raise InterchangeError(f"{', '.join(different[:5])}: not what its program gives")
    return program


def _node(name: str, content: NirFile) -> Node:
    nir = content.nodes[name]
    said = nir.record.integer
    if said is None:
        raise InterchangeError(f"{name} lacks avnir's metadata")
    values = {key: _value(value) for key, value in said.values.items()}
    kind = OPERATIONS[said.op]
    if "weight" not in values and "weight" in nir.fields:
        values["weight"] = _weight(nir, values)
    for field in dataclasses.fields(kind):
        if not _TYPES[str(field.type)](values[field.name]):
            raise InterchangeError(
                f"{name}: {field.name} is {values[field.name]!r}, but must be {field.type}"
            )
    return Node(name, kind(**values), tuple(said.inputs), nir.record.source)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) is float,
    "str": lambda value: type(value) is str,
    "Array": lambda value: isinstance(value, np.ndarray),
    "Shape": lambda value: type(value) is tuple,
    "Pair": lambda value: type(value) is tuple and len(value) == 2,
}
"""Whether a value is of the type that a parameter of an operation is declared with."""


def _value(value: Any) -> Any:
    if isinstance(value, ArrayRecord):
        return _array(value)
    return tuple(value) if isinstance(value, list) else value


def _array(said: ArrayRecord) -> Array:
    values, counts = zip(*said.runs, strict=True) if said.runs else ((), ())
    if sum(counts) != math.prod(said.shape):
        raise InterchangeError(f"runs of {sum(counts)} numbers do not fill the shape {said.shape}")
    if sum(counts) > MAX_BYTES:
        raise InterchangeError(
            f"an array of {sum(counts)} numbers is more than a file may hold ({MAX_BYTES} bytes)"
        )
    with np.errstate(invalid="ignore"):
        exact = np.array(values).astype(said.dtype)
    if exact.tolist() != list(values):
        raise InterchangeError(f"{min(values)} to {max(values)} are no numbers of type {said.dtype}")
    return np.repeat(exact, counts).reshape(said.shape)


def _weight(nir: NirNode, values: Mapping[str, Any]) -> Array:
    """The int8 weight that a field of NIR holds: as it is, or inside a square kernel."""
    weight = nir.array("weight")
    if nir.record.kernel is None:
        return weight
    rows, columns = nir.array("padding").tolist()
    square = real.Conv2d(weight, None, padding=(rows, columns), dilation=values["dilation"])
    return narrowed(square, nir.record.kernel, values["padding"], values["groups"]).weight


def _differences(found: NirFile, again: NirFile) -> Iterator[str]:
    """Where a file is not the one that its program gives."""
    if found.record != again.record:
        yield "the graph's metadata"
    if found.edges != again.edges:
        yield "the edges"
    yield from found.nodes.keys() ^ again.nodes.keys()
    for name in found.nodes.keys() & again.nodes.keys():
        one, other = found.nodes[name], again.nodes[name]
        if (one.kind, one.record, one.fields.keys()) != (other.kind, other.record, other.fields.keys()):
            yield name
        else:
            yield from (f"{name}.{f}" for f in one.fields if not same_array(one.array(f), other.array(f)))
