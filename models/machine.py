"""Where training runs: the CPU, a GPU, or several processes that torchrun started, by Lightning Fabric."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

import torch
from torch import Tensor, nn

from avnir.errors import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["32", "bf16-mixed", "16-mixed"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class Machine:
    """`devices` of one kind, each with its own process where there are several; "auto" is CUDA if there is.

    Of mixed precision, matrix products are in 16 bits; `avnir.models.neuron.fused` stays in float32.
    Raises `UserError` for what is not there.
    """

    device: Device = "cpu"
    devices: int = 1
    precision: Precision = "32"

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise UserError("; ".join(problems))

    @property
    def kind(self) -> str:
        """`cpu` or `cuda`."""
        found = "cuda" if torch.cuda.is_available() else "cpu"
        return found if self.device == "auto" else self.device


def _problems(machine: Machine) -> Iterable[str]:
    if machine.kind == "cuda" and torch.cuda.device_count() < machine.devices:
        yield f"{machine.devices} CUDA devices were asked for, {torch.cuda.device_count()} are there"
    if machine.precision == "16-mixed" and machine.kind == "cpu":
        yield "16-mixed needs a CUDA device; on the CPU use bf16-mixed"
    started = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if machine.devices != started:
        yield (
            f"{machine.devices} devices, but {started} processes; start them with "
            f"torchrun --nproc-per-node {machine.devices} --no-python avnir train ..."
        )


def is_first() -> bool:
    """Whether this process is the only one, or the one of several that writes files and prints."""
    return os.environ.get("RANK", "0") == "0"


def launch(machine: Machine) -> Fabric:
    """Fabric on this machine, with the processes connected."""
    from lightning_fabric import Fabric

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    fabric = Fabric(
        accelerator=machine.kind,
        devices=machine.devices,
        num_nodes=processes // machine.devices,
        strategy="ddp" if processes > 1 else "auto",
        precision="32-true" if machine.precision == "32" else machine.precision,
    )
    fabric.launch()
    return fabric


def shard(chosen: Tensor, fabric: Fabric) -> Tensor:
    """The part of a batch for this process; all of it where parts of two would not be left, as for a norm."""
    if len(chosen) < 2 * fabric.world_size:
        return chosen
    return chosen[fabric.global_rank :: fabric.world_size]


def mean_gradients(network: nn.Module, fabric: Fabric) -> None:
    """Give every process the mean of all processes' gradients."""
    if fabric.world_size > 1:
        _average([values.grad for values in network.parameters() if values.grad is not None], fabric)


def mean_buffers(network: nn.Module, fabric: Fabric) -> None:
    """The same of floating-point buffers: the statistics of normalisations."""
    if fabric.world_size > 1:
        _average([values for values in network.buffers() if values.is_floating_point()], fabric)


@torch.no_grad()
def _average(tensors: list[Tensor], fabric: Fabric) -> None:
    """One message for all, each overwritten in place."""
    if not tensors:
        return
    flat = torch.cat([values.flatten() for values in tensors])
    mean = cast(Tensor, fabric.all_reduce(flat, reduce_op="mean"))
    for values, part in zip(tensors, torch.split(mean, [x.numel() for x in tensors]), strict=True):
        values.copy_(part.view_as(values))
