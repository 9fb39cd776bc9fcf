"""How a core's memory fills: the rules of each kind of chip, over whole grids of pieces at once.

**pool** (Loihi 2), from the tables that lava-dl's netx tutorials print. Derived, and reproduced by every
convolution of PilotNet and YOLO-KP and by the dense layers of Oxford:

- dense synapses: `axons x ceil((neurons x (bits + 12) + 16) / 64)` words, one axon a source neuron; weights
  of zero are stored (PilotNet's row of 2,560 axons into 8 neurons prints 7,253 words, 6 % below the 7,680)
- listed synapses: the same list of each axon, as long as its synapses on the core are many, and one axon a
  source neuron that has any there: `sum over axons of ceil((synapses x (bits + 12) + 16) / 64)`; assumed, as
  no table shows it: the dense rule is this one for lists of all neurons
- convolution: `kH x kW x C_in x (ceil(C x bits / 64) + 1)` words for C channels on the core
- AxonMap: one word a neuron where dense or listed synapses or a read-out listen; where a convolution
  listens, one word a position (h, w) of the piece, not a neuron
- AxonMem: where a convolution listens, 16 bits for each position and each core that the piece can reach,
  the overlap of windows included; nothing for dense or listed synapses, however many cores hold them
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

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from avnir.ir.operation import Array
from avnir.place.axis import lengths
from avnir.place.grid import Grid
from avnir.place.joins import WORD
from avnir.place.network import Kernel, Layer, Link, Network
from avnir.place.resources import NAMES

INDEX_BITS = 12
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
            if link.kernel:
                axons, words = axons + _ones(channels), words + _kernel_words(link, link.kernel, channels)
            else:
                axons = axons + link.joins.fewest(np.ones_like(size))
                words = words + link.joins.least_words(size, _synapse_bits(link))
        mapped = _mapped(network, layer, sizes)
        return _stacked(axons_in=axons, neurons=size, synaptic_words=words, axon_map=mapped)

    def taken(self, network: Network, layer: Layer, grids: Grids) -> Array:
        grid = grids[layer.name]
        sizes = np.meshgrid(*(lengths(bounds) for bounds in grid.bounds), indexing="ij")
        size = sizes[0] * sizes[1] * sizes[2]
        axons, words, memory = size * 0, size * 0, size * 0
        for link in network.into(layer.name):
            if link.kernel:
                axons, words = axons + _ones(sizes[0]), words + _kernel_words(link, link.kernel, sizes[0])
            else:
                axons = axons + link.joins.axons(grid)
                words = words + link.joins.words(grid, _synapse_bits(link))
        entries = sizes[1] * sizes[2] * _ones(sizes[0])
        for link in network.out_of(layer.name):
            if link.kernel:
                listed = entries * link.joins.reached(grid, grids[link.target])
                memory = memory + -(-listed // DESTINATIONS_PER_WORD)
        return _stacked(
            axons_in=axons,
            neurons=size,
            synaptic_words=words,
            axon_map=_mapped(network, layer, sizes),
            axon_memory=memory,
        )


class Separate:
    """Memories of their own for synapses and axons: Loihi."""

    def least(self, network: Network, layer: Layer, sizes: Sequence[Array]) -> Array:
        size = sizes[0] * sizes[1] * sizes[2]
        axons, words = size * 0, size * 0
        for link in network.into(layer.name):
            axons = axons + link.joins.fewest(np.ones_like(size))
            words = words + link.joins.least_words(size, _synapse_bits(link))
        everywhere = sum(link.kind == "dense" for link in network.out_of(layer.name))
        leaving = size * (layer.read_out + everywhere)
        return _stacked(axons_in=axons, neurons=size, synaptic_words=words, axons_out=leaving)

    def taken(self, network: Network, layer: Layer, grids: Grids) -> Array:
        grid = grids[layer.name]
        sizes = np.meshgrid(*(lengths(bounds) for bounds in grid.bounds), indexing="ij")
        size = sizes[0] * sizes[1] * sizes[2]
        axons, words, leaving = size * 0, size * 0, size * layer.read_out
        for link in network.into(layer.name):
            axons = axons + link.joins.axons(grid)
            words = words + link.joins.words(grid, _synapse_bits(link))
        for link in network.out_of(layer.name):
            leaving = leaving + link.joins.axons_out(grid, grids[link.target])
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


def _kernel_words(link: Link, kernel: Kernel, channels: Array) -> Array:
    """Words of a kernel shared by all positions, for pieces of so many output channels."""
    blocks = kernel.channels
    touched = np.minimum((channels - 2) // blocks.per_target + 2, blocks.groups) * blocks.per_source
    return kernel.taps * touched * (-(-channels * (link.bits + link.delay_bits) // WORD) + 1)


def _mapped(network: Network, layer: Layer, sizes: Sequence[Array]) -> Array:
    """Words of AxonMap of pieces of `sizes` (three arrays that broadcast)."""
    channels, rows, columns = sizes
    size = channels * rows * columns
    words = size * layer.read_out
    for link in network.out_of(layer.name):
        words = words + (rows * columns * _ones(channels) if link.kernel else size)
    return words
