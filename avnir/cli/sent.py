"""What `verify` keeps of what the integers sent, when not every trace is held: counts, times, all spikes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avnir.compile import Compiled
    from avnir.cost.latency import Latency
    from avnir.cost.synops import SynapticOperations
    from avnir.ir.operation import Array
    from avnir.pieces import Need, Totals
    from avnir.target import Target
    from avnir.trace import Trace
    from avnir.verify.golden import Golden


@dataclass
class Sent:
    """Of a run of the integers over `inputs` `[T, B, *shape]`: `totals`, and what was asked for besides.

    `timed`: the latencies of samples that follow each other, where these are asked for; `whole`: the trace,
    where all spikes are recorded, or held against a recording.
    """

    compiled: Compiled
    chip: Target
    inputs: Mapping[str, Array]
    totals: Totals
    whole: Trace | None
    times: bool
    timed: list[Latency] = field(default_factory=list)

    @classmethod
    def of(
        cls, compiled: Compiled, chip: Target, inputs: Mapping[str, Array], spikes: bool, times: bool
    ) -> Sent:
        """Nothing yet; with `spikes` room for all of them, with `times` latencies too."""
        from avnir.pieces import Totals
        from avnir.trace import Trace

        graph = compiled.program.graph
        steps, batch = next(iter(inputs.values())).shape[:2]
        whole = Trace.empty(graph, steps, batch, states=False) if spikes else None
        return cls(compiled, chip, inputs, Totals(graph, steps, batch), whole, times)

    def take(self, samples: slice, inputs: Mapping[str, Array], trace: Trace) -> None:
        """What was sent in some samples, whose `inputs` gave `trace`."""
        from avnir.cost.latency import latency
        from avnir.pieces import pieces_of, put

        for piece in pieces_of(trace, samples):
            self.totals.add(piece)
            if self.whole is not None:
                put(self.whole, piece)
        if self.times:
            placed = self.compiled.program, self.compiled.placement
            self.timed.append(latency(*placed, self.chip, inputs, trace))

    @property
    def need(self) -> Need:
        """Memory that `take` takes."""
        from avnir.cost.held import timed_need
        from avnir.pieces import Need

        placed = self.compiled.program, self.compiled.placement
        return timed_need(*placed, self.chip, self.inputs) if self.times else Need(0)

    @property
    def kept(self) -> int:
        """Bytes that are kept, and those of a copy where it is put together."""
        from avnir.cost.held import timed_bytes
        from avnir.verify.held import trace_bytes

        program, placement = self.compiled.program, self.compiled.placement
        times = timed_bytes(program, placement, self.chip, self.inputs) if self.times else 0
        spikes = 2 * trace_bytes(program.graph, self.totals.steps) if self.whole is not None else 0
        return self.totals.size + self.totals.samples * (times + spikes)

    @property
    def synops(self) -> SynapticOperations:
        """The synaptic operations of a sample."""
        from avnir.cost.synops import operations

        return operations(self.compiled.program, self.totals.sent(self.inputs), self.totals.samples)

    @property
    def latency(self) -> float | None:
        """Seconds of a window, the mean over the samples, where they were asked for."""
        from avnir.cost.latency import joined

        return float(joined(self.timed).windows.mean()) * 1e-9 if self.times else None

    @property
    def golden(self) -> Golden:
        """All spikes, which were asked for."""
        from avnir.verify.golden import Golden

        assert self.whole is not None
        return Golden.of(self.compiled.program, self.inputs, self.whole)
