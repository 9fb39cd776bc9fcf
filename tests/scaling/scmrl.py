"""The largest of the published systems in its full size: S-CMRL for CREMA-D, 2.5 million neurons.

Random weights make half of the layers silent, and potentials that meet their thresholds to float32's
rounding: in a network of this size there is always one. So each layer is scaled by the statistics of what it
gets, and every weight is a whole multiple of LATTICE, which float32 adds up exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import avnir
from avnir import target
from avnir.backend import Piecewise, find
from avnir.compile import TO_NIR, to_integers
from avnir.export import load
from avnir.models.blocks import ConvUnit
from avnir.models.scmrl import SCMRL, scmrl
from avnir.models.scmrl_config import SCMRLConfig
from avnir.pieces import Totals
from avnir.place import place
from avnir.program import Program

FULL = SCMRLConfig(image_shape=(3, 128, 128), audio_shape=(1, 128, 128), channels=256, classes=6, steps=4)
"""CREMA-D's (arXiv 2502.12488): 4,204,038 parameters, 2,523,136 neurons."""
LATTICE = 2.0**-10
DENSITY = 0.3
"""Share of input entries that are spikes."""

Step = tuple[str, Callable[[], Any]]


def network(config: SCMRLConfig = FULL) -> tuple[SCMRL, tuple[Tensor, ...]]:
    """A lively network with random weights, in evaluation mode, and the inputs of one sample."""
    with torch.random.fork_rng(devices=()), torch.no_grad():
        torch.manual_seed(0)
        made = scmrl(config)
        inputs = tuple((torch.rand(config.steps, 1, *made.shapes[n]) < DENSITY).float() for n in made.inputs)
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the statistics of the one batch that it sees
                nn.init.ones_(module.bias)
        made.train().window(*inputs)
        for module in made.modules():
            if isinstance(module, ConvUnit) and isinstance(module.norm, nn.BatchNorm2d):
                _scale(module.conv, module.norm)
        for values in made.parameters():
            values.div_(LATTICE).round_().mul_(LATTICE)
    return made.eval(), inputs


def _scale(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """The division by the standard deviation moved into the convolution; the mean on the lattice."""
    assert norm.running_mean is not None and norm.running_var is not None
    factor = 1 / (norm.running_var + norm.eps).sqrt()
    conv.weight.mul_(factor.view(-1, 1, 1, 1))
    if conv.bias is not None:
        conv.bias.mul_(factor)
    norm.running_mean.mul_(factor).div_(LATTICE).round_().mul_(LATTICE)
    norm.running_var.fill_(1.0)
    norm.eps = 0.0


def steps(folder: Path, room: int, samples: int, chips: int, config: SCMRLConfig = FULL) -> Iterator[Step]:
    """Name and function of each step, from building the network to running `samples` of it in `room` bytes.

    Each must have run before the next is asked for.
    """
    done: dict[str, Any] = {}
    chip = target.load("loihi2")

    def step(name: str, work: Callable[[], Any]) -> Step:
        return name, lambda: done.update({name: work()})

    yield step("build", lambda: network(config))
    yield step("trace, replay, save", lambda: _save(*done.pop("build"), folder / "model.pt"))
    yield step("load", lambda: load(folder / "model.pt"))
    checkpoint = done.pop("load")
    graph = checkpoint.graph
    for change in (*TO_NIR, *to_integers(chip)):
        yield step(change.name, lambda graph=graph, change=change: change(graph)[0])  # type: ignore[misc]
        graph = done.pop(change.name)
    yield step("check the program", lambda: Program(graph, "loihi2"))
    program = done.pop("check the program")
    yield step("save the program", lambda: program.save(folder / "program"))
    yield step("load the program", lambda: Program.load(folder / "program"))
    yield step(f"place on {chips} chips", lambda: place(program, chip, chips=chips))
    many = {name: array.repeat(samples, axis=1) for name, array in checkpoint.inputs.items()}
    yield step(f"run {samples} samples", lambda: _run(program, many, room))


def _save(model: SCMRL, inputs: tuple[Tensor, ...], path: Path) -> None:
    avnir.save(model, inputs, path, time="window")


def _run(program: Program, inputs: dict[str, Any], room: int) -> None:
    length, samples = next(iter(inputs.values())).shape[:2]
    totals = Totals(program.graph, length, samples)
    with find("cpu").session(program) as session:
        assert isinstance(session, Piecewise)
        session.run_in_pieces(inputs, totals.add, room=room)
