"""`python -m tests.scaling`: seconds of each step for ten million weights, and for long chains.

Beside the ten million weights stand the seconds that `nir` itself takes to write and read them.
`python -m tests.scaling scmrl`: seconds and peak memory of each step for S-CMRL in its full size.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
from torch import nn

from tests.scaling import scmrl
from tests.scaling.steps import perceptron, spikes, steps

TEN_MILLION = (2_000, 4_000, 500)
"""2,000 x 4,000 + 4,000 x 500 weights."""
LENGTHS = (100, 300, 1_000)
ROOM, SAMPLES, CHIPS = 1 << 30, 8, 16
"""What the full-size run may take beside program and inputs, for how many samples; the chips that hold it."""


def main() -> None:
    """Print the tables of a case in Markdown."""
    parser = ArgumentParser(prog="python -m tests.scaling", description=__doc__)
    parser.add_argument("case", nargs="?", choices=("weights", "scmrl"), default="weights")
    {"weights": _weights, "scmrl": _scmrl}[parser.parse_args().case]()


def _scmrl() -> None:
    print("| step | s | peak memory, MiB |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, work in scmrl.steps(Path(folder), ROOM, SAMPLES, CHIPS):
            CLEARED.write_text(NEW_PEAK)
            took = _timed(work)
            print(f"| {name} | {took:.2f} | {_peak() >> 20:,} |", flush=True)


CLEARED, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
NEW_PEAK = "5"
"""Lets the highest resident memory count anew (proc(5))."""


def _peak() -> int:
    """The most bytes of memory that this process had since it was cleared."""
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) << 10


def _weights() -> None:
    large = _seconds(perceptron(*TEN_MILLION), TEN_MILLION[0])
    writing, reading = _nir_seconds()
    print(f"ten million weights: {sum(large.values()):.2f} s in all\n")
    print("| step | avnir, s | nir, s |\n|---|---|---|")
    for name, took in large.items():
        beside = {"write NIR": writing, "read NIR": reading}.get(name)
        print(f"| {name} | {took:.3f} | {'' if beside is None else f'{beside:.3f}'} |")
    chains = [_seconds(perceptron(*[8] * (length + 1)), 8) for length in LENGTHS]
    print("\nchains of Leaky layers, s\n")
    print(f"| step | {' | '.join(map(str, LENGTHS))} |\n|{'---|' * (1 + len(LENGTHS))}")
    for name in chains[0]:
        print(f"| {name} | {' | '.join(f'{chain[name]:.3f}' for chain in chains)} |")


def _seconds(model: nn.Module, size: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return {name: _timed(work) for name, work in steps(model, spikes(size), Path(folder))}


def _timed(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _nir_seconds() -> tuple[float, float]:
    """Seconds in which nir writes and reads the same network."""
    dice = np.random.default_rng(0)
    nodes: dict[str, Any] = {"input": nir.Input(np.array(TEN_MILLION[:1]))}
    for index, (before, after) in enumerate(itertools.pairwise(TEN_MILLION)):
        nodes[f"fc{index}"] = nir.Affine(dice.normal(size=(after, before)), np.zeros(after))
        ones = np.ones(after)
        nodes[f"lif{index}"] = nir.LIF(tau=ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    nodes["output"] = nir.Output(np.array(TEN_MILLION[-1:]))
    graph = nir.NIRGraph(nodes, list(itertools.pairwise(nodes)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        return _timed(lambda: nir.write(path, graph)), _timed(lambda: nir.read(path))


if __name__ == "__main__":
    main()
