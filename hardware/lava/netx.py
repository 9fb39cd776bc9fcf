"""Chains of layers as lava-dl's netx reads them: one HDF5 file, a group a layer.

Layout (lava-dl 0.6.0, `lava/lib/dl/netx/hdf5.py`): `layer/<n>` with `type` (`input`, `conv`, `flatten`,
`dense`, `dense_rec`), `shape` (C, H, W), `weight` as PyTorch has it, and `neuron`. What belongs to single
neurons of a convolution is in netx's own order, (W, H, C). A spike in the input at step t shows in the k-th
layer of neurons at t + k, so `Network(file, reset_interval=T, reset_offset=1)` runs samples of T steps one
after the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from avnir.files import atomic_path
from avnir.hardware.lava.netx_chain import Link, bias, chain
from avnir.ir import integer
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.numerics import fixed
from avnir.program import Program

PACK_FROM = 4096
"""Arrays of this many bytes or more are packed (gzip)."""


def write_netx(program: Program, path: Path) -> None:
    """Write the file whole or not at all; the same program gives the same bytes.

    Raises UnsupportedError with everything in the program that netx has no form for.
    """
    links = chain(program.graph)
    with h5py.File(path, "w", driver="core", backing_store=False) as file:
        for index, entry in enumerate(_entries(program.graph, links)):
            _write_group(file.create_group(f"layer/{index}"), entry)
        file.flush()
        content = file.id.get_file_image()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _entries(graph: Graph, links: tuple[Link, ...]) -> Iterator[dict[str, Any]]:
    """The groups of the file in order."""
    shape = graph.shapes[graph.inputs[0].name]
    yield {"type": "input", "shape": shape}
    for link in links:
        if link.flattens:
            yield {"type": "flatten", "shape": (math.prod(shape),)}
        convolution = link.forward.op.kind == "Conv"
        entry = _convolution(link) if convolution else _dense(link)
        yield {**entry, "shape": link.shape, "neuron": _neuron(link), **_biases(link)}
        shape = link.shape


def _dense(link: Link) -> dict[str, Any]:
    weight, *recurrent = link.weights
    return {
        "type": "dense_rec" if recurrent else "dense",
        "inFeatures": weight.shape[1],
        "outFeatures": weight.shape[0],
        "weight": weight,
        **({"weight_rec": recurrent[0]} if recurrent else {}),
    }


def _convolution(link: Link) -> dict[str, Any]:
    op: integer.Conv = link.forward.op  # type: ignore[assignment]
    (weight,) = link.weights
    return {
        "type": "conv",
        "inChannels": weight.shape[1] * op.groups,
        "outChannels": len(weight),
        "kernelSize": weight.shape[2:],
        "stride": op.stride,
        "padding": op.padding,
        "dilation": op.dilation,
        "groups": op.groups,
        "weight": weight,
    }


def _neuron(link: Link) -> dict[str, Any]:
    lif = link.lif
    return {
        "type": "CUBA",
        "iDecay": _values(link, lif.decay_u + 1),
        "vDecay": _values(link, lif.decay_v),
        "vThMant": _values(link, lif.threshold),
        "refDelay": 1,
        "gradedSpike": False,
    }


def _biases(link: Link) -> dict[str, Array]:
    whole = bias(link.lif) >> fixed.ALIGN
    if not np.any(whole):
        return {}
    values = _values(link, whole.astype(np.int32))
    return {"bias": values if values.ndim else np.full(link.shape[0], values)}


def _values(link: Link, array: Array) -> Array:
    """A parameter as netx reads it: one a layer, one a channel, or (W, H, C)."""
    if not array.ndim:
        return array
    array = array.reshape(link.shape)
    if np.all(array == array.flat[0]):
        return np.asarray(array.flat[0])
    first = array.reshape(len(array), -1)[:, :1]
    one_a_channel = np.all(array.reshape(len(array), -1) == first)
    return first[:, 0] if one_a_channel else array.transpose()


def _write_group(group: Any, entry: dict[str, Any]) -> None:
    for name, value in entry.items():
        if isinstance(value, dict):
            _write_group(group.create_group(name), value)
            continue
        array = np.array([value.encode()]) if isinstance(value, str) else np.asarray(value)
        packing = {"compression": "gzip"} if array.nbytes >= PACK_FROM else {}
        group.create_dataset(name, data=array, **packing)
