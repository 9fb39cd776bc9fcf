"""Which neurons a run updates: the events that a price for updates is for.

A neuron is updated in a step of its window in which a spike reaches it, whatever the weight, or its membrane
registers, if it has any, are not all 0 from the step before, or it has a bias. That is when SANA-FE's Loihi
neuron (whose fit prices them) is updated; every other neuron is accessed only.
"""

from __future__ import annotations

import numpy as np

from avnir.errors import DataError
from avnir.ir.operation import Array
from avnir.place.axis import units
from avnir.place.grid import Grid
from avnir.place.network import Layer, Network
from avnir.place.work import Spikes, operations
from avnir.program import Program
from avnir.trace import Trace


def updates(program: Program, network: Network, sent: Spikes, trace: Trace) -> int:
    """Neuron updates of all samples; `sent` bool `[T, B, C, H, W]` as `spikes_of` gives it.

    Raises DataError where the trace was recorded without states.
    """
    stateful = [name for name in network.layers if program.graph[name].op.stateful]
    if missing := [name for name in stateful if not trace.states.get(name)]:
        raise DataError(f"the trace has no states of {', '.join(missing)}; record it with states")
    samples = next(iter(sent.values())).shape[1]
    found = 0
    for sample in range(samples):
        of_sample = {name: array[:, sample] for name, array in sent.items()}
        for layer in network.layers.values():
            found += _of_sample(program, network, layer, of_sample, _registers(trace, layer.name, sample))
    return found


_Registers = list[dict[str, Array]]
"""Of each presentation of a window the registers after each step, `[T, ...]`, by name."""


def _registers(trace: Trace, layer: str, sample: int) -> _Registers:
    states = [presented.states.get(layer, {}) for presented in trace.presented]
    return [{name: values[:, sample] for name, values in found.items() if name != "u"} for found in states]


def _of_sample(program: Program, network: Network, layer: Layer, sent: Spikes, registers: _Registers) -> int:
    """Updates of one layer in one sample, in all presentations of its window; `sent` `[T, C, H, W]`."""
    found, steps = 0, len(sent[layer.name]) // len(registers)
    left: dict[str, Array] = {}
    for number, after in enumerate(registers):
        shown = {name: array[number * steps :][:steps] for name, array in sent.items()}
        found += _updated(program, network, layer, shown, after, left)
        left = {name: values[-1] for name, values in after.items()}
        program.graph[layer.name].op.begin(left)
    return found


def _updated(
    program: Program,
    network: Network,
    layer: Layer,
    sent: Spikes,
    after: dict[str, Array],
    left: dict[str, Array],
) -> int:
    """Updates of one layer in one presentation: registers `after` each step, and `left` before the first."""
    updated = np.zeros((len(sent[layer.name]), *layer.box), bool)
    for register in after.values():
        updated[1:] |= register[:-1].reshape(-1, *layer.box) != 0
    for register in left.values():
        updated[0] |= register.reshape(layer.box) != 0
    bias = np.asarray(getattr(program.graph[layer.name].op, "bias_mantissa", 0)) != 0
    updated |= bias.reshape(layer.box if bias.ndim else ())
    single = Grid(*(units(size) for size in layer.box))
    for link in network.into(layer.name):
        lag = program.graph[link.name].op.lag  # type: ignore[attr-defined]
        reached = operations(link, single, sent[link.source][: max(0, len(updated) - lag)])
        updated[lag:] |= reached > 0
    return int(updated.sum())
