"""`python -m tests.quantisation MODEL [DATA]`: what integers cost with and without calibration, in Markdown.

MODEL is a model.pt of `avnir train av-digits`; DATA the folder of MNIST and FSDD, if it was trained on them.
Calibration sees training pairs, agreement and accuracy are of test pairs, which nothing was chosen on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from avnir import target
from avnir.compile import compile_graph
from avnir.export import load
from avnir.hardware.cpu import backend
from avnir.ir.graph import Graph
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.models import build
from avnir.models.av_digits import DigitNetwork
from avnir.models.data.generator import load_generator
from avnir.models.data.mnist_fsdd import load_mnist_fsdd
from avnir.models.data.pairs import PairedData, Split
from avnir.models.training import example_inputs
from avnir.verify.compare import compare

BITS = (8, 6, 4, 3, 2)
CALIBRATION_PAIRS = 50
TEST_PAIRS = 497
HEAD = "| weight bits | integers | slots that agree | least in a layer | accuracy | compiled in |"


@dataclass(frozen=True)
class Row:
    """What one program keeps of the model on the test pairs; shares in [0, 1]."""

    bits: int
    calibrated: bool
    agreement: float
    least: float
    accuracy: float
    seconds: float

    def __str__(self) -> str:
        shares = (f"{100 * share:.2f} %" for share in (self.agreement, self.least, self.accuracy))
        how = "calibrated" if self.calibrated else "data-free"
        return f"| {self.bits} | {how} | {' | '.join(shares)} | {self.seconds:.1f} s |"


def main(model: Path, data_dir: Path | None = None) -> None:
    """Print the table, a row at a time."""
    checkpoint = load(model)
    assert checkpoint.architecture is not None, f"{model} is not a model of avnir train"
    network = cast(DigitNetwork, build(*checkpoint.architecture))
    pairs: PairedData = load_mnist_fsdd(data_dir) if data_dir else load_generator(4 * CALIBRATION_PAIRS)
    calibration, _ = encoded(network, pairs.train, CALIBRATION_PAIRS)
    inputs, labels = encoded(network, pairs.test, TEST_PAIRS)
    print(f"{pairs.name}, {len(labels)} test pairs, calibrated on {CALIBRATION_PAIRS} training pairs\n")
    print(f"{HEAD}\n|{'---|' * 6}")
    for row in rows(checkpoint.graph, calibration, inputs, labels):
        print(row, flush=True)


def encoded(network: DigitNetwork, split: Split, count: int) -> tuple[dict[str, Array], Array]:
    """The first pairs as spikes `[T, B, c, h, w]` by input, and their labels `[B]`."""
    tensors, labels = example_inputs(network, split, count)
    return dict(zip(network.inputs, (tensor.numpy() for tensor in tensors), strict=True)), labels.numpy()


def rows(
    graph: Graph, calibration: Mapping[str, Array], inputs: Mapping[str, Array], labels: Array
) -> Iterator[Row]:
    """Each width of the weights, without and with calibration, run on the CPU engine."""
    real, chip = interpret_real(graph, inputs), target.load("loihi2")
    for bits in BITS:
        for data in (None, calibration):
            begin = time.perf_counter()
            program = compile_graph(graph, chip, bits, data).program
            seconds = time.perf_counter() - begin
            with backend.session(program) as session:
                trace = session.run(inputs)
            comparison = compare(real, trace, ("real", "integer"))
            least = min(layer.agreement for layer in comparison.layers)
            right = float((trace.decisions() == labels).mean())
            yield Row(bits, data is not None, comparison.agreement, least, right, seconds)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
