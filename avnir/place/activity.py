"""What a run does on every core in a step: neuron spikes, synaptic operations, and messages between tiles.

A spike is one message to each core that holds a synapse of it, other than its own. Spikes of inputs come
from off the chip and load no link; their synaptic operations count. All of a spike's work falls into the
chip step in which it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.ir.operation import Array
from avnir.place.axis import member
from avnir.place.grid import Grid, contracted
from avnir.place.mesh import Mesh
from avnir.place.network import Link, Network
from avnir.place.placement import Piece, Placement
from avnir.place.work import Spikes, operations


@dataclass(frozen=True)
class Step:
    """One chip step of B samples, by core `[B, K]` in the order of the placement's addresses.

    `operations`: the synaptic ones by kind of connection (`Link.kind`); `messages` `[B]`: from core to core;
    `links` `[B, chips * links]`: those on every link; `between_chips` `[B]`: those from chip to chip, which
    load no link.
    """

    spikes: Array
    operations: Mapping[str, Array]
    messages: Array
    links: Array
    between_chips: Array


@dataclass(frozen=True)
class Activity:
    """Reads steps off the spikes `[T, B, C, H, W]` of a run; `late`: chip steps of each layer or input."""

    network: Network
    placement: Placement
    mesh: Mesh
    spikes: Spikes
    late: Mapping[str, int]

    @property
    def steps(self) -> int:
        """Chip steps of a window: its length and the latency of the last layer."""
        return len(next(iter(self.spikes.values()))) + max(self.late[name] for name in self.spikes)

    def at(self, step: int) -> Step:
        """What happens in one chip step."""
        sent = {
            name: array[step - self.late[name]] for name, array in self.spikes.items() if self._on(name, step)
        }
        batch = next(iter(self.spikes.values())).shape[1]
        placed, chips = self.placement, self.placement.chips
        spikes = np.zeros((batch, placed.cores))
        done = {link.kind: np.zeros((batch, placed.cores)) for link in self.network.links}
        tiles = np.zeros((batch, chips * self.mesh.tiles, chips * self.mesh.tiles))
        for name in sent.keys() & self.network.layers.keys():
            own = _members(placed.grids[name])
            np.add.at(spikes.T, self._cores[name], _flat(contracted(sent[name], own)).T)
        for link in self.network.links:
            if link.source in sent:
                into = operations(link, placed.grids[link.target], sent[link.source])
                np.add.at(done[link.kind].T, self._cores[link.target], _flat(into).T)
                if link.source in self.network.layers:
                    tiles += self._between_tiles(link, sent[link.source])
        links, between = self._per_chip(tiles)
        return Step(spikes, done, tiles.sum(axis=(1, 2)), links, between)

    def _on(self, name: str, step: int) -> bool:
        return 0 <= step - self.late[name] < len(self.spikes[name])

    @cached_property
    def _cores(self) -> Mapping[str, Array]:
        """For each piece of each layer the index of its core."""
        index = {address: i for i, address in enumerate(self.placement.addresses)}
        layers = self.placement.layers.items()
        return {
            name: np.array([index[piece.chip, piece.core] for piece in pieces]) for name, pieces in layers
        }

    @cached_property
    def _tiles(self) -> Mapping[str, Array]:
        """For each piece of each layer its tile among those of all chips, one-hot `[P, chips * tiles]`."""
        one_hot = np.eye(self.placement.chips * self.mesh.tiles)
        layers = self.placement.layers.items()
        return {name: one_hot[[self._tile(piece) for piece in pieces]] for name, pieces in layers}

    def _tile(self, piece: Piece) -> int:
        return piece.chip * self.mesh.tiles + self.mesh.tile(piece.core)

    def _between_tiles(self, link: Link, sent: Array) -> Array:
        """Messages of a link from tile to tile, those within a core left out, float64 `[B, tiles, tiles]`."""
        sent_to = messages(link, self.placement.grids[link.source], self.placement.grids[link.target], sent)
        elsewhere = self._cores[link.source][:, None] != self._cores[link.target]
        return self._tiles[link.source].T @ (sent_to * elsewhere) @ self._tiles[link.target]

    def _per_chip(self, tiles: Array) -> tuple[Array, Array]:
        chips, count = self.placement.chips, self.mesh.tiles
        blocks = tiles.reshape(-1, chips, count, chips, count)
        own = np.stack([blocks[:, chip, :, chip] for chip in range(chips)], axis=1)
        loads = own.reshape(len(own), chips, -1) @ self.mesh.routes
        return loads.reshape(len(own), -1), tiles.sum(axis=(1, 2)) - own.sum(axis=(1, 2, 3))


def messages(link: Link, source: Grid, target: Grid, sent: Array) -> Array:
    """Messages from each source piece to each target piece, float64 `[B, S, T]`; `sent` `[B, C, H, W]`."""
    return link.joins.messages(source, target, sent)


def _members(grid: Grid) -> list[Array]:
    return [member(bounds) for bounds in grid.bounds]


def _flat(values: Array) -> Array:
    return values.reshape(len(values), -1)
