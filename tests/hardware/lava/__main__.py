"""`python -m tests.hardware.lava`: random networks on the definition, the CPU engine and Lava, all compared.

Every spike, message, output and register of every network must be equal; on Lava's message-passing
runtime every spike, message and output. Status 1, and the seeds, where one differs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from itertools import islice, product
from pathlib import Path

from avnir.hardware.cpu import backend as cpu
from avnir.hardware.lava.backend import LavaSession
from avnir.hardware.lava.environment import require
from avnir.hardware.lava.supervisor import Worker, scratch
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program
from tests.hardware.lava.lava_networks import (
    coded_network,
    differences,
    graded_network,
    looped_network,
    residual_network,
    summed_network,
)

MAKERS = (residual_network, looped_network, graded_network, coded_network, summed_network)
SECONDS = 120.0


def main() -> int:
    """Print how many networks there were, what they held, and which of them differ."""
    parser = ArgumentParser(prog="python -m tests.hardware.lava", description=__doc__)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--runtime", type=int, default=50, help="of them on Lava's runtime too")
    options = parser.parse_args()
    begin, held, slots, wrong = time.perf_counter(), Counter[str](), 0, []
    with scratch() as own, Worker(require(), own) as worker:
        for index, (seed, make) in enumerate(islice(product(range(10**6), MAKERS), options.networks)):
            graph, inputs = make(seed)
            program = Program(graph, "test")
            held.update({node.op.kind for node in graph})
            expected = interpret_integer(graph, inputs, states=True)
            slots += sum(array.size for array in expected.spikes.values())
            with cpu.session(program) as session:
                found = differences(expected, session.run(inputs, states=True), states=True)
            with tempfile.TemporaryDirectory() as folder:
                program.save(Path(folder) / "program")
                for way in ("in-process", "runtime")[: 1 + (index < options.runtime)]:
                    session = LavaSession(worker, program, Path(folder), way, SECONDS)
                    states = way == "in-process"
                    found += differences(expected, session.run(inputs, states), states)
            wrong += [f"{make.__name__}({seed}): {', '.join(found)}"] * bool(found)
    runtime = min(options.runtime, options.networks)
    print(
        f"{options.networks} networks, {slots} spike slots, {runtime} on the runtime too: {len(wrong)} differ"
    )
    print("networks with " + ", ".join(f"{kind} {count}" for kind, count in sorted(held.items())))
    print("\n".join([*wrong, f"{time.perf_counter() - begin:.0f} s"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
