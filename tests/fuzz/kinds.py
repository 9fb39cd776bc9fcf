"""The kinds of files that avnir reads: how a sound one is made, what damages it, and how it is read."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import nn

import avnir
from avnir import target
from avnir.compile import compile_graph
from avnir.errors import CheckpointError, DataError, InterchangeError, ProgramError
from avnir.export import Checkpoint, load, read_nir, write_nir
from avnir.export.container import content_digest
from avnir.export.nir_program import read_program_nir, write_program_nir
from avnir.ir.interpret_real import interpret_real
from avnir.program import ARRAYS, STRUCTURE, Program
from avnir.trace import Trace
from tests.export.nets import Hidden, seeded, spikes
from tests.export.nir_cases import CASES
from tests.fuzz.mutate import BYTES, Mutation, archive, exchange, hdf5, record
from tests.networks import audio_visual
from tests.networks import spikes as windows


@dataclass(frozen=True)
class Kind:
    """`make` writes sound files into a folder; `read` gives what they mean, equal if it is the same.

    `mutations` by file name; `error` is the only exception that reading may raise. What is `sealed`
    carries digests, and must not be read as anything else than what was written.
    """

    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    error: type[Exception]
    mutations: Mapping[str, tuple[Mutation, ...]]
    sealed: bool = True

    def damage(self, sound: Path, place: Path, dice: Random, other: Path) -> None:
        """A copy of the sound files in `place`, one of them changed."""
        chosen = dice.choice(sorted(self.mutations))
        for name in self.mutations:
            content = (sound / name).read_bytes()
            if name == chosen:
                content = dice.choice(self.mutations[name])(content, dice, other)
            (place / name).write_bytes(content)


def _make_nir(folder: Path) -> None:
    write_nir(CASES["audio_visual"](), folder / "net.nir")
    write_nir(CASES["convolutions"](), folder / "deep.nir")


def _read_nir(folder: Path) -> Any:
    return [read_nir(folder / name) for name in ("net.nir", "deep.nir")]


def _make_program_nir(folder: Path) -> None:
    write_program_nir(compile_graph(audio_visual(0), target.load("loihi2")).program, folder / "program.nir")


def _read_program_nir(folder: Path) -> Any:
    return read_program_nir(folder / "program.nir")


def _make_model(folder: Path) -> None:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model: nn.Module = seeded(Hidden())
    avnir.save(model, spikes(5, 2, 6), folder / "model.pt")


def _read_model(folder: Path) -> Any:
    return _plain(load(folder / "model.pt"))


def _plain(checkpoint: Checkpoint) -> Any:
    groups = (checkpoint.inputs, checkpoint.recorded.spikes, checkpoint.recorded.outputs, checkpoint.state)
    arrays = [{name: (a.dtype, a.shape, a.tobytes()) for name, a in group.items()} for group in groups]
    labels = None if checkpoint.labels is None else np.asarray(checkpoint.labels).tobytes()
    return checkpoint.graph, arrays, labels, checkpoint.architecture, checkpoint.notes, checkpoint.versions


def edited(content: bytes, dice: Random, other: Path) -> bytes:
    """The JSON in a `model.pt`, as an editor changes it; the archive stays sound, and the arrays too."""
    loaded = torch.load(io.BytesIO(content), weights_only=True)
    damage = dice.choice((record, exchange))
    loaded["record"] = damage(loaded["record"].encode(), dice, other).decode()
    return _saved(loaded)


def resealed(content: bytes, dice: Random, other: Path) -> bytes:
    """The same with its digest renewed, so that the record itself must be found wrong."""
    loaded = torch.load(io.BytesIO(edited(content, dice, other)), weights_only=True)
    return _saved({**loaded, "digest": content_digest(loaded["record"], loaded["arrays"])})


def _saved(value: Any) -> bytes:
    fresh = io.BytesIO()
    torch.save(value, fresh)
    return fresh.getvalue()


def _make_program(folder: Path) -> None:
    compile_graph(audio_visual(0), target.load("loihi2")).program.write_into(folder)


def _make_trace(folder: Path) -> None:
    graph = audio_visual(0)
    interpret_real(graph, windows(graph, seed=0, steps=4), states=True).save(folder / "trace.npz")


def _read_trace(folder: Path) -> Any:
    trace = Trace.load(folder / "trace.npz")
    groups = {"spikes": trace.spikes, "outputs": trace.outputs, **trace.states}
    return {group: {name: a.tobytes() for name, a in arrays.items()} for group, arrays in groups.items()}


KINDS: Mapping[str, Kind] = {
    "nir": Kind(
        _make_nir,
        _read_nir,
        InterchangeError,
        dict.fromkeys(("net.nir", "deep.nir"), (*BYTES, hdf5, hdf5, hdf5)),
    ),
    "model": Kind(
        _make_model, _read_model, CheckpointError, {"model.pt": (*BYTES, archive, archive, archive)}
    ),
    "edited": Kind(_make_model, _read_model, CheckpointError, {"model.pt": (edited,)}),
    "resealed": Kind(_make_model, _read_model, CheckpointError, {"model.pt": (resealed,)}, sealed=False),
    "program": Kind(
        _make_program,
        Program.load,
        ProgramError,
        {STRUCTURE: (*BYTES, record, record), ARRAYS: (*BYTES, archive, archive)},
    ),
    "program_nir": Kind(
        _make_program_nir,
        _read_program_nir,
        InterchangeError,
        {"program.nir": (*BYTES, hdf5, hdf5, hdf5)},
    ),
    "trace": Kind(
        _make_trace, _read_trace, DataError, {"trace.npz": (*BYTES, archive, archive)}, sealed=False
    ),
}
