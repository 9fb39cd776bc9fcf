"""A real graph in ONNX Runtime: the exported step in a loop, an opinion that shares no code with ours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime

from avnir.export.onnx_write import onnx_bytes
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.trace import Trace, checked_inputs


def onnx_trace(graph: Graph, inputs: Mapping[str, Array]) -> Trace:
    """Spikes of every layer, uint8, and outputs, float32, each `[T, B, *shape]`, computed in float32.

    Raises DataError where an input does not fit, UnsupportedError where an operation has no ONNX form.
    """
    arrays = {n: a.astype(np.float32) for n, a in checked_inputs(graph, inputs).items()}
    steps, batch = next(iter(arrays.values())).shape[:2]
    session = onnxruntime.InferenceSession(onnx_bytes(graph), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    state = {
        value.name: np.zeros((batch, *value.shape[1:]), np.float32)
        for value in session.get_inputs()
        if value.name not in arrays
    }
    history: list[dict[str, Array]] = []
    for t in range(steps):
        given = {**{name: array[t] for name, array in arrays.items()}, **state}
        history.append(dict(zip(names, session.run(names, given), strict=True)))
        state = {name: history[-1].pop(f"{name}_next") for name in state}
    return Trace(
        spikes={n.name: _over_time(history, n.name).astype(np.uint8) for n in graph.neurons},
        outputs={n.name: _over_time(history, n.name) for n in graph.outputs},
    )


def _over_time(history: list[dict[str, Array]], name: str) -> Array:
    return np.stack([step[name] for step in history])
