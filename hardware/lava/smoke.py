"""One layer of neurons run on Lava's runtime and compared with the definition: does an environment work?"""

from __future__ import annotations

import numpy as np

from avnir.errors import BackendError
from avnir.hardware.lava.backend import LavaSession
from avnir.hardware.lava.environment import Environment
from avnir.hardware.lava.supervisor import Worker, scratch
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program

LIMIT_SECONDS = 300.0
"""The first import compiles every module of Lava, scipy and numpy."""


def smoke(environment: Environment) -> None:
    """Run the layer in the environment; BackendError where it fails or its spikes are not the expected."""
    program = Program(_one_layer(), target="smoke")
    inputs = {"x": np.array([1, 0, 1, 1, 1, 0, 1, 1], np.uint8).reshape(8, 1, 1)}
    expected = interpret_integer(program.graph, inputs)
    with scratch() as folder:
        program.save(folder / "program")
        with Worker(environment, folder) as worker:
            trace = LavaSession(worker, program, folder, "runtime", LIMIT_SECONDS).run(inputs)
    if not np.array_equal(trace.spikes["layer"], expected.spikes["layer"]):
        raise BackendError(
            "Lava ran, but its spikes are not those of its published neuron; nothing was set up"
        )


def _one_layer() -> Graph:
    decay_u, decay_v, threshold, bias = (np.asarray(value, np.int32) for value in (4095, 410, 100, 0))
    nodes = (
        Node("x", integer.Input((1,))),
        Node("synapse", integer.Dense(np.array([[60], [120]], np.int8)), ("x",)),
        Node("layer", integer.Lif((2,), decay_u, decay_v, threshold, bias), ("synapse",)),
        Node("y", integer.Output((2,)), ("layer",)),
    )
    return verified(Graph("integer", nodes))
