"""How a core's memory fills: the rules of each kind of chip, over whole grids of pieces at once.

**pool** (Loihi 2), from the tables that lava-dl's netx tutorials print. Derived, and reproduced by every
convolution of PilotNet and YOLO-KP and by the dense layers of Oxford:

- dense synapses: `axons x ceil((neurons x (bits + 12) + 16) / 64)` words, one axon a source neuron; weights
  of zero are stored (PilotNet's row of 2,560 axons into 8 neurons prints 7,253 words, 6 % below the 7,680)
- convolution: `kH x kW x C_in x (ceil(C x bits / 64) + 1)` words for C channels on the core
- AxonMap: one word a neuron where dense synapses or a read-out listen; where a convolution listens, one
  word a position (h, w) of the piece, not a neuron
- AxonMem: where a convolution listens, 16 bits for each position and each core that the piece can reach,
  the overlap of windows included; nothing for dense synapses, however many cores hold them
- one neuron group a piece (YOLO-KP's last layer, whose state is read out, has two)

A piece of a convolution has as many input axons, and its AxonMap and AxonMem count as many times, as its
number of channels has ones in binary: derived for 1 (16, 32, 64, 128, 256 channels) and 2 (24, 36, 48);
assumed for other numbers. It is never below the tables: the one row that it misses, PilotNet's input layer of
3 channels, counts once there.

The tables only show pieces whose width is a power of two, and no core with pieces of two layers. Whether
that is a rule of the chip or of the compiler's search is not published; here boxes of any size may share
cores up to the limits of the columns: assumed.

Assumed, on the safe side, because no table shows it: a synapse with a delay takes 6 bits more (the delay's
width, Davies et al. 2018); of a convolution with groups every channel that reaches the piece is stored for
all of its channels; layers that listen to one layer each have their own AxonMap.

**separate** (Loihi), limits from Davies et al. 2018. Assumed: the dense formula above for every input axon
by the synapses that it has on the core, convolutions unshared (the chip can share, but no rule was
published), and one output axon a neuron for each core that it reaches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from avnir.ir.operation import Array
from avnir.place.axis import lengths, units
from avnir.place.grid import Grid, product, reached
from avnir.place.network import Layer, Link, Network
from avnir.place.resources import NAMES

WORD = 64
INDEX_BITS = 12
HEADER_BITS = 16
DESTINATIONS_PER_WORD = 4

Grids = Mapping[str, Grid]


class Rules(Protocol):
    """What pieces take, as resources `[..., 7]` by `avnir.place.resources.NAMES`."""

    def least(self, network: Network, layer: Layer, sizes: Sequence[Array]) -> Array:
        """At least this much for pieces of `sizes` (three arrays that broadcast), wherever they lie."""

    def taken(self, network: Network, layer: Layer, grids: Grids) -> Array:
        """Exactly this much for every piece of the layer's grid, `[C, H, W, 7]`."""


class Pool:
    """One pool of words: Loihi 2."""

    def least(self, network: Network, layer: Layer, sizes: Sequence[Array]) -> Array:
        channels, rows, columns = sizes
        size = channels * rows * columns
        axons, words = size * 0, size * 0
        for link in network.into(layer.name):
            axons = axons + (_ones(channels) if link.shared else link.sources)
            words = words + (_kernel_words(link, channels) if link.shared else _list_words(link, size))
        mapped = size * layer.read_out
        for link in network.out_of(layer.name):
            mapped = mapped + (rows * columns * _ones(channels) if link.shared else size)
        return _stacked(axons_in=axons, neurons=size, synaptic_words=words, axon_map=mapped)

    def taken(self, network: Network, layer: Layer, grids: Grids) -> Array:
        grid = grids[layer.name]
        sizes = np.meshgrid(*(lengths(bounds) for bounds in grid.bounds), indexing="ij")
        entries = sizes[1] * sizes[2] * _ones(sizes[0])
        counts = self.least(network, layer, sizes)
        for link in network.out_of(layer.name):
            if link.shared:
                listed = entries * reached(link, grid, grids[link.target])
                counts[..., NAMES.index("axon_memory")] += -(-listed // DESTINATIONS_PER_WORD)
        return counts


class Separate:
    """Memories of their own for synapses and axons: Loihi."""

    def least(self, network: Network, layer: Layer, sizes: Sequence[Array]) -> Array:
        size = sizes[0] * sizes[1] * sizes[2]
        axons, bits = size * 0, size * 0
        for link in network.into(layer.name):
            axons = axons + (1 if link.shared else link.sources)
            bits = bits + size * _least_fan_in(link) * _synapse_bits(link)
        everywhere = sum(not link.shared for link in network.out_of(layer.name))
        leaving = size * (layer.read_out + everywhere)
        return _stacked(axons_in=axons, neurons=size, synaptic_words=bits // WORD, axons_out=leaving)

    def taken(self, network: Network, layer: Layer, grids: Grids) -> Array:
        grid = grids[layer.name]
        sizes = np.meshgrid(*(lengths(bounds) for bounds in grid.bounds), indexing="ij")
        size = sizes[0] * sizes[1] * sizes[2]
        axons, words, leaving = size * 0, size * 0, size * layer.read_out
        for link in network.into(layer.name):
            axons = axons + (_axons(link, grid) if link.shared else link.sources)
            words = words + (_window_words(link, grid) if link.shared else _list_words(link, size))
        for link in network.out_of(layer.name):
            leaving = leaving + _axons_out(link, grid, grids[link.target])
        return _stacked(axons_in=axons, neurons=size, synaptic_words=words, axons_out=leaving)


RULES: Mapping[str, Rules] = {"pool": Pool(), "separate": Separate()}
"""By `avnir.target.Target.core_memory`."""


def _stacked(**counts: Array) -> Array:
    shape = counts["neurons"].shape
    made = np.zeros((*shape, len(NAMES)), np.int64)
    made[..., NAMES.index("groups")] = 1
    for name, values in counts.items():
        made[..., NAMES.index(name)] = values
    return made


def _ones(values: Array) -> Array:
    """Ones in the binary form of each number."""
    return sum(((values >> bit) & 1 for bit in range(32)), np.zeros_like(values))


def _synapse_bits(link: Link) -> int:
    return link.bits + INDEX_BITS + link.delay_bits


def _list_words(link: Link, neurons: Array) -> Array:
    """Words of all-to-all synapses into so many neurons."""
    bits = neurons * _synapse_bits(link) + HEADER_BITS
    return link.sources * -(-bits // WORD)


def _kernel_words(link: Link, channels: Array) -> Array:
    """Words of a kernel shared by all positions, for pieces of so many output channels."""
    blocks = link.axes[0]
    touched = np.minimum((channels - 2) // blocks.per_target + 2, blocks.groups) * blocks.per_source
    return link.taps * touched * (-(-channels * (link.bits + link.delay_bits) // WORD) + 1)


def _fan_in(link: Link, grid: Grid) -> list[Array]:
    """On each axis: synapses of each source index into each interval of the target, `[sources, T]`."""
    return [axis.joined(units(axis.sources), b) for axis, b in zip(link.axes, grid.bounds, strict=True)]


def _least_fan_in(link: Link) -> int:
    """Synapses that the neuron with the fewest has."""
    return math.prod(int(axis.joined((0, axis.sources), units(axis.targets)).min()) for axis in link.axes)


def _axons(link: Link, grid: Grid) -> Array:
    """Source neurons that reach each piece, `[C, H, W]`."""
    return product([(joined > 0).sum(axis=0) for joined in _fan_in(link, grid)])


def _window_words(link: Link, grid: Grid) -> Array:
    """Words of the synapses of a convolution, each axon with a list of its own, `[C, H, W]`."""
    words = np.zeros(grid.shape, np.int64)
    spread = [
        [np.unique(column, return_counts=True) for column in joined.T] for joined in _fan_in(link, grid)
    ]
    for at in np.ndindex(*grid.shape):
        values, counts = zip(*(axis[i] for axis, i in zip(spread, at, strict=True)), strict=True)
        lists = product(values)
        each = np.where(lists > 0, -(-(lists * _synapse_bits(link) + HEADER_BITS) // WORD), 0)
        words[at] = (each * product(counts)).sum()
    return words


def _axons_out(link: Link, source: Grid, target: Grid) -> Array:
    """Output axons of each source piece: the pieces that its neurons reach, summed over them, `[C, H, W]`."""
    into = [(joined > 0).sum(axis=1) for joined in _fan_in(link, target)]
    sums = [np.add.reduceat(n, bounds[:-1]) for n, bounds in zip(into, source.bounds, strict=True)]
    return product(sums)
