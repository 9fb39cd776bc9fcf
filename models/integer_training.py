"""Fine-tuning on the chip's own arithmetic: what is trained is the program that will run.

The integers of a model (`avnir.compile`) become a module that computes exactly as the chip does
(`integer_network`), and are trained on by the loop of `training`. The program's interpreter, the CPU engine
and Lava give the same spikes, every one. The result is saved as a snnTorch network of which the compiler
makes these very integers (`lattice`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from avnir.backend import find
from avnir.compile import compile_graph
from avnir.errors import GateError
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.models.data.pairs import PairedData
from avnir.models.integer_network import IntegerNetwork
from avnir.models.lattice import LatticeNetwork, moved, settled
from avnir.models.training import EpochMetrics, Files, Progress, TrainingConfig, train
from avnir.program import Program
from avnir.target import Target
from avnir.verify.compare import compare

LEAST_RATE = 2e-3
"""Tried on the digit networks; in the largest weight that the bits hold."""
STEP_RATE = 1e-2
"""In steps of the integers, for few bits: with 2, the largest weight is one step, and to cross half of one at
the least rate would take most of an epoch."""


def fine_tuning(weight_bits: int, epochs: int = 1, seed: int = 0) -> TrainingConfig:
    """How to train on integers.

    The learning rate counts in the largest weight that the bits hold, and in thresholds for biases. Weights
    do not decay: the scale of a layer was chosen when training starts.
    """
    rate = max(LEAST_RATE, STEP_RATE / ((1 << (weight_bits - 1)) - 1))
    return TrainingConfig(epochs, learning_rate=rate, weight_decay=0.0, seed=seed)


@dataclass(frozen=True)
class FineTuned:
    """Integers before and after: `start` as compiled from the model, `network` with those that were trained.

    `model` is what is saved: compiled for the same target and bits it gives `network.program`. `moved` counts
    the weights that this compilation changed after training.
    """

    start: Program
    network: IntegerNetwork
    model: LatticeNetwork
    moved: int
    history: list[EpochMetrics]


def fine_tune(
    graph: Graph,
    target: Target,
    data: PairedData,
    steps: int,
    weight_bits: int = 8,
    config: TrainingConfig | None = None,
    *,
    files: Files | None = None,
    progress: Progress = lambda done, total: None,
) -> FineTuned:
    """Compile a real graph with inputs `image`, `audio` or both, and train its integers.

    `steps` is the length of the window, `config` by default `fine_tuning(weight_bits)`. Raises what
    `compile_graph` raises, UnsupportedError where the integers have no form in snnTorch, DataError where the
    data do not fit.
    """
    start = compile_graph(graph, target, weight_bits).program
    IntegerNetwork(start, weight_bits, steps)  # refuses what cannot be trained
    first, _ = settled(start, target, weight_bits)
    network = IntegerNetwork(first, weight_bits, steps)
    config = config or fine_tuning(weight_bits)
    history = train(network, data, config, files=files, progress=progress)
    trained = network.trained()
    program, model = settled(trained, target, weight_bits)
    return FineTuned(
        start, IntegerNetwork(program, weight_bits, steps).eval(), model, moved(trained, program), history
    )


def prove(network: IntegerNetwork, inputs: Mapping[str, Array], backend: str = "cpu") -> int:
    """Run the program on a backend too, over `inputs` `[T, B, *shape]`; the spike slots that were compared.

    Raises GateError at the first that differs from the module's.
    """
    with find(backend).session(network.program) as session:
        run = session.run(inputs)
    comparison = compare(network.trace(inputs), run, ("training", backend))
    if not comparison.identical:
        raise GateError(f"{backend} differs from the trained network, first at {comparison.divergence}")
    return sum(layer.slots for layer in comparison.layers)
