"""How long a chip step and an inference take, from what a run did on every core.

The runtime law (Timcheck et al., arXiv 2601.10035, r >= 0.97 on Loihi 2): a step takes at least as long as

- `neurons`: the neuron updates and spikes of the core with the most,
- `synapses`: the synaptic operations of the core with the most,
- `link`: the messages on the busiest link,
- `barrier`: the barrier over the tiles in use;

the largest of these, not their sum. The law's further term, reads of synaptic memory, has no published time,
and is left out and named. A link is held for a hop's time by each message: assumed, from published hop
times. So every figure here is a lower bound, of the network alone: inputs are on the chip already, and no
reading out is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avnir.errors import ProgramError
from avnir.ir.latency import latencies
from avnir.ir.operation import Array
from avnir.place.activity import Activity, Step
from avnir.place.mesh import EAST, WEST, mesh
from avnir.place.network import network_of
from avnir.place.placement import Placement
from avnir.place.work import spikes_of
from avnir.program import Program
from avnir.target import Cost, Target
from avnir.trace import Trace

BUSY = ("neurons", "synapses")
TERMS = (*BUSY, "link", "barrier")
BOUNDARY = "the network alone: inputs on the chip before the window, nothing read out"
NOT_TIMED = "reads of synaptic memory, messages between chips: no time was ever published"


@dataclass(frozen=True)
class Latency:
    """Of S chip steps (the window, each time that it is shown, and the latency of its last layer), B samples.

    terms: ns `[S, B]` by `TERMS`. cores: for `neurons` and `synapses` the core with the most, as an index
    into the placement's addresses, `[S, B]`. messages, between_chips: sums per sample `[B]`; links: messages
    on every link, `[B, chips * links]`. figures: the costs that were used, with their grades and sources.
    """

    terms: Mapping[str, Array]
    cores: Mapping[str, Array]
    messages: Array
    links: Array
    between_chips: Array
    figures: Mapping[str, Cost]

    @property
    def hops(self) -> Array:
        """Hops from tile to tile by direction (`avnir.place.mesh`), sums per sample `[B, 4]`."""
        return self.links.reshape(len(self.links), -1, 4).sum(axis=1)

    @property
    def steps(self) -> Array:
        """ns of each chip step, `[S, B]`: the largest term."""
        return np.max([self.terms[name] for name in TERMS], axis=0)

    @property
    def windows(self) -> Array:
        """ns from the first input to the last answer of a window, `[B]`."""
        return self.steps.sum(axis=0)

    @property
    def binds(self) -> Mapping[str, float]:
        """The share of steps in which each term is the largest; of equals the first of `TERMS`."""
        first = np.argmax([self.terms[name] for name in TERMS], axis=0)
        return {name: float((first == i).mean()) for i, name in enumerate(TERMS)}

    @property
    def busiest(self) -> tuple[int, str]:
        """The core that is the busiest for the longest, as an index, and by which term for most of that."""
        longer = self.terms["synapses"] > self.terms["neurons"]
        core = np.where(longer, self.cores["synapses"], self.cores["neurons"])
        ns = np.where(longer, self.terms["synapses"], self.terms["neurons"])
        most = int(np.bincount(core.ravel(), weights=ns.ravel()).argmax())
        by_synapses = ns[(core == most) & longer].sum() > ns[(core == most) & ~longer].sum()
        return most, "synapses" if by_synapses else "neurons"


def latency(
    program: Program, placement: Placement, target: Target, inputs: Mapping[str, Array], trace: Trace
) -> Latency:
    """The latency of a run of `program`, placed so; `inputs` `[T, B, *shape]` gave `trace`.

    Raises TargetError where a time that is needed was never published, ProgramError where the placement is
    another program's, DataError where the trace lacks a layer.
    """
    if placement.program != program.digest:
        raise ProgramError("the placement was made for another program; place this one")
    network = network_of(program.graph, target.limits.delay_steps.value.bit_length())
    chip = mesh(target.limits)
    late = latencies(program.graph)
    activity = Activity(network, placement, chip, spikes_of(network, inputs, trace), late)
    kinds = {link.kind: _synaptic_figure(link.kind, target) for link in network.links}
    figures = _figures(placement, target, kinds.values())
    price = {name: cost.value or 0.0 for name, cost in figures.items()}
    updates = _neurons(placement) * (price["neuron_access_latency"] + price["neuron_update_latency"])
    hop = np.tile(_hop_times(price), chip.tiles * placement.chips)
    timed = [_timed(activity.at(step), updates, hop, price, kinds) for step in range(activity.steps)]
    return Latency(
        terms={name: np.stack([each.terms[name] for each in timed]) for name in TERMS},
        cores={name: np.stack([each.cores[name] for each in timed]) for name in BUSY},
        messages=np.sum([each.messages for each in timed], axis=0),
        links=np.sum([each.links for each in timed], axis=0),
        between_chips=np.sum([each.between_chips for each in timed], axis=0),
        figures=figures,
    )


def joined(parts: Sequence[Latency]) -> Latency:
    """The latency over all samples from those over samples that follow each other."""
    return Latency(
        terms={name: np.concatenate([part.terms[name] for part in parts], axis=1) for name in TERMS},
        cores={name: np.concatenate([part.cores[name] for part in parts], axis=1) for name in BUSY},
        messages=np.concatenate([part.messages for part in parts]),
        links=np.concatenate([part.links for part in parts]),
        between_chips=np.concatenate([part.between_chips for part in parts]),
        figures=parts[0].figures,
    )


@dataclass(frozen=True)
class _Timed:
    """One chip step: ns `[B]` of each term, the core of the largest, and messages as in `Latency`."""

    terms: Mapping[str, Array]
    cores: Mapping[str, Array]
    messages: Array
    links: Array
    between_chips: Array


def _timed(
    step: Step, updates: Array, hop: Array, price: Mapping[str, float], kinds: Mapping[str, str]
) -> _Timed:
    neurons = updates + step.spikes * price["spike_out_latency"]
    synapses = np.sum([done * price[kinds[kind]] for kind, done in step.operations.items()], axis=0)
    terms = {
        "neurons": neurons.max(axis=1),
        "synapses": synapses.max(axis=1),
        "link": (step.links * hop).max(axis=1),
        "barrier": np.full(len(neurons), price["barrier"]),
    }
    cores = {"neurons": neurons.argmax(axis=1), "synapses": synapses.argmax(axis=1)}
    return _Timed(terms, cores, step.messages, step.links, step.between_chips)


def _synaptic_figure(kind: str, target: Target) -> str:
    """The time of a synaptic operation of a kind of connection: its own where the target has one."""
    own = f"synaptic_operation_{kind}_latency"
    return own if own in target.costs else "synaptic_operation_latency"


def _figures(placement: Placement, target: Target, synaptic: Iterable[str]) -> Mapping[str, Cost]:
    """Every price that is needed; the barrier's is that over the tiles in use."""
    chip = mesh(target.limits)
    tiles = {(number, chip.tile(core)) for number, core in placement.addresses}
    needed = (
        "neuron_access_latency",
        "neuron_update_latency",
        "spike_out_latency",
        *synaptic,
        "hop_east_west_latency",
        "hop_north_south_latency",
    )
    return {name: target.price(name) for name in needed} | {"barrier": target.barrier(len(tiles))}


def _neurons(placement: Placement) -> Array:
    """Neurons on each core, `[K]`."""
    counts = [sum(piece.neurons for piece in placement.on(address)) for address in placement.addresses]
    return np.array(counts, np.float64)


def _hop_times(price: Mapping[str, float]) -> Array:
    """ns that a message holds each of a tile's four links."""
    along, across = price["hop_east_west_latency"], price["hop_north_south_latency"]
    return np.array([along if direction in (EAST, WEST) else across for direction in range(4)])


def summary(found: Latency, placement: Placement) -> list[tuple[str, str]]:
    """What to print of a latency: a name and a text a row."""
    core, by = found.busiest
    chip, number = placement.addresses[core]
    layers = ", ".join(dict.fromkeys(piece.layer for piece in placement.on((chip, number))))
    steps, windows = found.steps, found.windows
    rows = [
        ("chip step, mean", f"{steps.mean():.0f} ns"),
        ("chip step, longest", f"{steps.max():.0f} ns"),
        ("window, mean", f"{windows.mean() / 1000:.2f} us of {len(steps)} chip steps"),
        ("window, longest", f"{windows.max() / 1000:.2f} us"),
        (
            "binds",
            ", ".join(f"{name} in {100 * share:.0f} %" for name, share in found.binds.items() if share),
        ),
        ("busiest core", f"chip {chip}, core {number} ({layers}), by its {by}"),
        ("messages, hops a sample", f"{found.messages.mean():.0f}, {found.hops.sum(axis=1).mean():.0f}"),
        ("covers", BOUNDARY),
        ("not in it", NOT_TIMED),
    ]
    if found.between_chips.any():
        rows.insert(-2, ("messages between chips a sample", f"{found.between_chips.mean():.0f}, not timed"))
    return rows


def figure_rows(found: Latency) -> list[tuple[str, str, str, str]]:
    """The costs that a latency was made of: name, value, grade, source."""
    return [(name, f"{c.value:g} {c.unit}", c.grade, c.source) for name, c in found.figures.items()]
