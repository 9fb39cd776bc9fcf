"""Convolution by products of tiles: one program node, laid out for its kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avnir.hardware.cpu import tiles
from avnir.hardware.cpu.conv import ConvStage
from avnir.hardware.cpu.kernels_conv_tiles import (
    COLUMN,
    FRAMES,
    RUNS,
    WIDE,
    Places,
    Workshop,
    adding_kernel,
    driving_kernel,
)
from avnir.hardware.cpu.lif import Registers
from avnir.hardware.cpu.sent import Sent
from avnir.ir import integer
from avnir.ir.geometry import conv_size
from avnir.ir.operation import Array, Shape
from avnir.packed import WORD, words_of

QUAD = 4
"""Input channels side by side, as the second factor of a product of tiles wants them."""
LEAST_AREA, LEAST_CHANNELS = 12, 4
"""Outputs of a channel, and channels, from which tiles are full enough to be faster than adding kernels."""


def fits(op: integer.Conv, shape: Shape) -> bool:
    """Whether a convolution is worked out so: where there are tiles, and it fills them."""
    area = math.prod(conv_size(op, shape, op.weight.shape[2:]))
    full = op.groups == 1 and area >= LEAST_AREA and len(op.weight) >= LEAST_CHANNELS
    return full and tiles.available()


@dataclass(frozen=True)
class TiledConvStage:
    """`weight`, `places`: see `avnir.hardware.cpu.kernels_conv_tiles`; `frame`: the bytes of one;

    `by_events` does what these products do not: messages.
    """

    by_events: ConvStage
    weight: Array
    places: Places
    frame: int

    @classmethod
    def plan(cls, op: integer.Conv, shape: Shape) -> TiledConvStage:
        """Lay out weights and places for inputs of `shape`, (C_in, H, W)."""
        by_events = ConvStage.plan(op, shape)
        form = _Frame(op, shape)
        pieces, groups = _pieces(form.bases(by_events.size), form.taps.size)
        weight = _tiled(op.weight)
        return cls(by_events, weight, (form.place, form.taps, pieces, groups), form.bytes)

    @property
    def op(self) -> integer.Conv:
        """What is laid out."""
        return self.by_events.op

    @property
    def drives(self) -> bool:
        """As of all convolutions."""
        return self.by_events.drives

    def __call__(self, x: Sent) -> Array:
        """Sums, int32 `[S * B, C_out * H' * W']` wrapped to 24 bits, of spikes or messages."""
        if not x.binary:
            return self.by_events(x)
        out = np.empty((x.count, len(self.op.weight) * self._area), np.int32)
        laid_out = (self.places, self.weight, self.op.exponent, self._workshop(1))
        adding_kernel(self._bits)(x.matrix, x.rows, *laid_out, out, self._area)
        return out

    def drive(self, layer: Registers, x: Sent, sent: Sent) -> None:
        """Fill `sent` with what the layer sends that nothing but these synapses feeds, with spikes."""
        kernel = driving_kernel(self._bits, layer.stage.kind(self.by_events.worst_row << self.op.exponent))
        laid_out = (self.places, self.weight, self.op.exponent, self._workshop(FRAMES))
        at_work = (layer.stage.neurons, layer.u, layer.v, sent.rows, sent.matrix)
        kernel(x.matrix, x.rows, *laid_out, *at_work, self._area, len(self.op.weight))

    @property
    def _bits(self) -> int:
        return 8 * self.places[0].itemsize

    @property
    def _area(self) -> int:
        return math.prod(self.by_events.size)

    def _shapes(self) -> Array:
        """Tiles 0 to 3 are sums, 4 is of weights, the others of columns; none larger than it need be."""
        channels = min(tiles.ROWS, len(self.op.weight))
        taps = min(tiles.ROWS, len(self.places[1]))
        wide, whole = QUAD * taps, tiles.BYTES
        return tiles.shapes((*[channels] * 5, *[taps] * 3), (*[whole] * 4, wide, *[whole] * 3))

    def _workshop(self, frames: int) -> Workshop:
        """Room of a thread, with what may be copied beyond the end of a frame or a column."""
        blocks, height = self.weight.shape[:2]
        return (
            np.zeros((frames, self.frame + tiles.BYTES), np.uint8),
            tiles.aligned(((RUNS * height * tiles.ROWS + 1) * COLUMN,), np.uint8),
            tiles.aligned((blocks * tiles.ROWS, WIDE), np.int32),
            self._shapes(),
            np.empty_like(self.places[0]),
            np.zeros((frames, words_of(len(self.op.weight) * self._area) * WORD), np.uint8),
        )


class _Frame:
    """Where the inputs of a convolution lie in a frame.

    Place (y, x) of the padded input lies in phase (y mod s_y, x mod s_x), at (y // s_y, x // s_x) of it.
    """

    def __init__(self, op: integer.Conv, shape: Shape) -> None:
        self._op, self._quads = op, -(-shape[0] // QUAD)
        padded = [length + 2 * padding for length, padding in zip(shape[1:], op.padding, strict=True)]
        self._size = [-(-length // stride) for length, stride in zip(padded, op.stride, strict=True)]
        self.bytes = QUAD * self._quads * math.prod(self._size) * math.prod(op.stride)
        c, y, x = np.indices(shape).reshape(3, -1)
        place = self._at(c, y + op.padding[0], x + op.padding[1])
        dtype = np.uint16 if self.bytes <= 1 << 16 else np.int32
        self.place = np.zeros(words_of(len(place)) * WORD + tiles.BYTES, dtype)
        self.place[: len(place)] = place

    def _at(self, c: Array, y: Array, x: Array) -> Array:
        """The bytes at which places of the padded input lie, int32."""
        (rows, columns), (height, width) = self._op.stride, self._size
        phase = y % rows * columns + x % columns
        plane = phase * self._quads + c // QUAD
        return (((plane * height + y // rows) * width + x // columns) * QUAD + c % QUAD).astype(np.int32)

    @property
    def taps(self) -> Array:
        """int32 `[C_in / 4 * kH * kW]`: what each place of the kernel sees for the first output."""
        kernel = self._op.weight.shape[2:]
        quad, y, x = np.indices((self._quads, *kernel)).reshape(3, -1)
        return self._at(quad * QUAD, y * self._op.dilation[0], x * self._op.dilation[1])

    def bases(self, size: tuple[int, int]) -> Array:
        """int32 `[H' * W']`: what the first place of the kernel sees for each output."""
        y, x = np.indices(size).reshape(2, -1)
        return self._at(np.zeros_like(y), y * self._op.stride[0], x * self._op.stride[1])


def _pieces(bases: Array, taps: int) -> tuple[Array, Array]:
    """`pieces` and `groups` of outputs that see what begins at `bases`."""
    output = np.arange(len(bases))
    breaks = np.diff(bases, prepend=-2 * QUAD) != QUAD
    begins = output[breaks | (output % tiles.ROWS == 0)]
    height = -(-taps // tiles.ROWS) * tiles.ROWS
    column = begins % WIDE // tiles.ROWS * height * COLUMN + begins % tiles.ROWS * QUAD
    groups = np.searchsorted(begins, np.arange(0, len(bases) + WIDE, WIDE))
    return np.stack([column, bases[begins]], axis=1).astype(np.int32), groups.astype(np.int32)


def _tiled(weight: Array) -> Array:
    """int8 `[C_out / 16, taps / 16, 16, 64]` of `[C_out, C_in, kH, kW]`, zeros beyond channels and taps."""
    out, channels, *kernel = weight.shape
    quads = -(-channels // QUAD)
    padded = np.zeros((out, quads * QUAD, *kernel), np.int8)
    padded[:, :channels] = weight
    by_tap = padded.reshape(out, quads, QUAD, -1).transpose(0, 1, 3, 2).reshape(out, -1)
    blocks, height = -(-out // tiles.ROWS), -(-by_tap.shape[1] // tiles.BYTES)
    whole = np.zeros((blocks * tiles.ROWS, height * tiles.BYTES), np.int8)
    whole[:out, : by_tap.shape[1]] = by_tap
    tiled = tiles.aligned((blocks, height, tiles.ROWS, tiles.BYTES), np.int8)
    tiled[:] = whole.reshape(blocks, tiles.ROWS, height, tiles.BYTES).transpose(0, 2, 1, 3)
    return tiled
