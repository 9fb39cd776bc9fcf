"""What is to be mapped, onto cores of which kind."""

from __future__ import annotations

from dataclasses import dataclass, replace

from avnir.place.memory import Rules
from avnir.place.network import Network
from avnir.place.resources import Capacity
from avnir.place.work import Spikes


@dataclass(frozen=True)
class Problem:
    """`mean`: spikes of each neuron in a step where they were measured; None: the most there can be."""

    network: Network
    rules: Rules
    core: Capacity
    mean: Spikes | None = None

    def but(self, network: Network) -> Problem:
        """The same for another network."""
        return replace(self, network=network)
