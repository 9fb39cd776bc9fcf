"""Neurons: the operator that stands for a module of snnTorch, and the potentials that a model returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avnir.export import neuron_forms
from avnir.export.aten_arguments import value_of
from avnir.export.builder import Builder, Call, Handler, Membrane, Refused, State, Value, Zeros
from avnir.export.neurons import OPERATOR, RECURRENT, SPIKES, inner_states, kind_of
from avnir.ir import real

_WORDS = {
    SPIKES: "spikes",
    "mem": "membrane potential",
    "syn": "synaptic current",
    "syn_exc": "excitatory current",
    "syn_inh": "inhibitory current",
}


def _neuron(call: Call) -> tuple[Value | Membrane, ...]:
    """The spikes, then each state beside them."""
    x, path = value_of(call), call["layer"]
    if x.window:
        raise Refused("a neuron gets the whole window at once", "Loop over the steps: for x_t in x: lif(x_t)")
    module = call.builder.modules[path]
    kind = kind_of(module)
    assert kind is not None
    operation = neuron_forms.operation(module, x.shape)
    for factor in neuron_forms.scales(module, x.shape):
        x = call.emit(real.Scale(factor), x)
    states = zip(inner_states(kind), call["states"], strict=True)
    kept = [Membrane(path, _own(call, given, name), _WORDS[name], call.node, x) for name, given in states]
    spikes = _recurrent(call, operation, x) if kind in RECURRENT else call.emit(operation, x, path)
    return spikes, *kept


def _recurrent(call: Call, operation: real.Lif | real.Alpha, x: Value) -> Value:
    """The neuron with its own spikes of the step before; what they bring comes first (`recurrence`)."""
    path, builder = call["layer"], call.builder
    state = _own(call, call["spk"], SPIKES)
    back = builder.delay(call.node, x.shape, f"{path}_back")
    brought = call.emit(neuron_forms.recurrence(builder.modules[path], x.shape), back, label="recurrent")
    spikes = call.emit(operation, Value((*brought.producers, *x.producers), x.shape), path)
    builder.close(back, spikes)
    if state is not None:
        builder.own_spikes[state] = spikes
    return spikes


def _own(call: Call, given: Any, name: str) -> int | None:
    """The position of the state handed in, None where the neuron keeps it; Refused for anything else."""
    if isinstance(given, State):
        call.builder.held.add(given.index)
        return given.index
    if given is not None and not (call.builder.window and isinstance(given, Zeros)):
        words = _WORDS[name]
        raise Refused(
            f"the neuron's {words} starts anew each step, or comes from elsewhere",
            f"Hand its own {words} back to it: init_hidden=True, or states that forward takes and returns",
        )
    return None


def potential(builder: Builder, membrane: Membrane) -> Value:
    """The membrane potential as values of the network; Refused where no leaky integrator gives it."""
    module, wanted = builder.modules[membrane.path], membrane.words == _WORDS["mem"]
    integrator = neuron_forms.integrator(module, membrane.x.shape) if wanted else None
    if integrator is None:
        raise Refused(
            f"is the {membrane.words} of {membrane.path}, which stays in the neuron",
            'Return the potential of a Leaky, Synaptic or Lapicque with reset_mechanism="none"',
        )
    made = builder.emit(membrane.node, integrator, membrane.x, label="mem")
    return Value(made.producers, made.shape, membrane.window)


HANDLERS: Mapping[str, Handler] = {OPERATOR: _neuron}
