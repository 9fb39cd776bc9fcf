"""S-CMRL, for timing: its integers, and the same network in snnTorch, eager."""

from __future__ import annotations

import time

import torch

from avnir import target
from avnir.compile import TO_NIR, run_passes, to_integers
from avnir.export.tracing import traced
from avnir.ir.operation import Array
from avnir.models import build
from avnir.models.classifier import Classifier
from avnir.program import Program
from avnir.speed.contest import Contestant, Entry
from avnir.speed.machine import versions
from avnir.speed.programs import INPUT_DENSITY
from avnir.speed.results import size_text
from avnir.speed.turns import Run

STEPS = 16
SAMPLES = 16
SHAPES = {"image": (2, 28, 28), "audio": (1, 28, 28)}
CONFIG = {
    "channels": 32,
    "steps": STEPS,
    "image_shape": list(SHAPES["image"]),
    "audio_shape": list(SHAPES["audio"]),
}
"""The published size for digits: event camera and cochlea, 16 steps."""
SETTLING = 40
"""Batches after which the running statistics of batch normalisation are those of the inputs."""
GAIN = 2.75
"""Of batch normalisation: most neurons spike in 10 to 22 % of the steps, as in `examples/scmrl.pt`, which is
trained."""
TARGET = "loihi2"


def system(name: str, title: str, samples: int | None = None) -> tuple[Entry, Contestant]:
    """The program of a network with random weights, and snnTorch's loop over it; both over random spikes.

    `samples` are SAMPLES by default. The weights are PyTorch's initial ones with seed 0; batch normalisation
    has the statistics of these inputs and GAIN, which keeps the neurons active.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = build("scmrl", CONFIG)
        inputs = tuple(_spikes(shape, samples or SAMPLES) for shape in SHAPES.values())
        assert isinstance(network, Classifier)
        _settle(network, inputs)
    examples = tuple(x[:, :2] for x in inputs)
    nir_graph, _ = run_passes(traced(network, examples, "window", None, None).graph, TO_NIR)
    integers, _ = run_passes(nir_graph, to_integers(target.load(TARGET)))
    arrays: dict[str, Array] = {
        node.name: x.numpy().astype("uint8") for node, x in zip(integers.inputs, inputs, strict=True)
    }
    entry = Entry(name, title, Program(integers, TARGET), arrays)
    return entry, _eager(network, inputs)


def _spikes(shape: tuple[int, ...], samples: int) -> torch.Tensor:
    return (torch.rand(STEPS, samples, *shape) < INPUT_DENSITY).float()


@torch.no_grad()
def _settle(network: Classifier, inputs: tuple[torch.Tensor, ...]) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.fill_(GAIN)
    network.train()
    for _ in range(SETTLING):
        network.reset_state()
        network.window(*inputs)
    network.eval()
    network.reset_state()


def _eager(network: Classifier, inputs: tuple[torch.Tensor, ...]) -> Contestant:
    """snnTorch's neurons, called step by step, with as many threads as are faster: one, or the default."""
    run = _run(network, inputs)
    threads = torch.get_num_threads()
    by_default = min(run()[0] for _ in range(2))
    torch.set_num_threads(1)
    if min(run()[0] for _ in range(2)) > by_default:
        torch.set_num_threads(threads)
    used = torch.get_num_threads()
    how = f"{size_text(inputs[0].shape[1], STEPS)}, {used} thread{'s' * (used > 1)}"
    return Contestant("snntorch", "snnTorch, eager", run, how, versions=versions(("snntorch", "torch")))


def _run(network: Classifier, inputs: tuple[torch.Tensor, ...]) -> Run:
    @torch.no_grad()
    def run() -> tuple[float, int]:
        started = time.perf_counter()
        network.reset_state()
        network(*inputs)
        return time.perf_counter() - started, STEPS * inputs[0].shape[1]

    return run
