"""What a run did, counted some samples after others: all that costs are made of, but for times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from avnir.cost.synops import SynapticOperations, operations, sent_in
from avnir.cost.updates import updates
from avnir.ir.operation import Array
from avnir.place.network import Network
from avnir.place.work import Spikes, spikes_of
from avnir.program import Program
from avnir.trace import Trace


@dataclass
class Counts:
    """Of `samples` x `steps` of a program, each shown `presentations` times; all are 0 before the first.

    `sent`: messages of every neuron and input in all of them, int64 of the layer's shape; `updates` of all
    neurons (`avnir.cost.updates`).
    """

    program: Program
    network: Network
    samples: int = 0
    steps: int = 0
    presentations: int = 0
    sent: dict[str, Array] = field(default_factory=dict)
    updates: int = 0

    def add(self, inputs: Mapping[str, Array], trace: Trace) -> None:
        """Count further samples: `inputs` `[T, B, *shape]` gave `trace`, with states (else DataError)."""
        self.steps, batch = next(iter(trace.outputs.values())).shape[:2]
        self.samples += batch
        self.presentations = len(trace.presented)
        shown = spikes_of(self.network, inputs, trace)
        self.updates += updates(self.program, self.network, shown, trace)
        for name, messages in sent_in(self.program.graph, inputs, trace).items():
            self.sent[name] = self.sent.get(name, 0) + messages

    @property
    def synops(self) -> SynapticOperations:
        """The synaptic operations of a sample."""
        return operations(self.program, self.sent, self.samples)

    @property
    def boxed(self) -> Spikes:
        """`sent` as the mapper sees it, `[C, H, W]`."""
        wanted = [*self.network.inputs, *self.network.layers]
        return {name: self.sent[name].reshape(self.network.box(name)) for name in wanted}

    @property
    def means(self) -> Spikes:
        """Messages of each neuron and input in a step, the mean, float64 `[C, H, W]`."""
        slots = self.presentations * self.steps * self.samples
        return {name: np.true_divide(messages, slots) for name, messages in self.boxed.items()}
