"""Convolution by products of tiles: one program node, or several into one layer, laid out for its kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.hardware.cpu import tiles
from avnir.hardware.cpu.conv import ConvStage
from avnir.hardware.cpu.conv_layout import ungrouped
from avnir.hardware.cpu.kernels_conv_tiles import (
    COLUMN,
    FRAMES,
    RUNS,
    WIDE,
    Form,
    Source,
    Workshop,
    adding_kernel,
    driving_kernel,
)
from avnir.hardware.cpu.kernels_lif import LANES
from avnir.hardware.cpu.lif import AS_SENT, Registers
from avnir.hardware.cpu.sent import Sent
from avnir.ir import integer
from avnir.ir.geometry import conv_size
from avnir.ir.operation import Array, Shape
from avnir.numerics import fixed
from avnir.packed import WORD, words_of

QUAD = 4
"""Input channels side by side, as the second factor of a product of tiles wants them."""
LEAST_AREA = 12
"""Outputs of a channel from which tiles are full enough to be faster than adding kernels: 3 x 3 convolutions
of 8 channels, of which 10 % spike, to 2 to 16 channels of 2 x 2 were slower, of 3 x 3 about as fast, of 4 x 4
faster but for one that was a tenth slower."""
MOST_GROUPED = 512
"""Weights of an output of a convolution of groups, with the zeros between them, up to which tiles are taken:
3 x 3 pooling of 16 channels to 14 x 14 took 3.1 ms in place of 7.0, of 32 to 7 x 7 2.3 in place of 6.2."""


def fits(op: integer.Conv, shape: Shape) -> bool:
    """Whether a convolution fills tiles; one of groups with its zeros, where they are few."""
    area = math.prod(conv_size(op, shape, op.weight.shape[2:]))
    dense = op.groups == 1 or shape[0] * math.prod(op.weight.shape[2:]) <= MOST_GROUPED
    return dense and area >= LEAST_AREA


def joinable(ops: Sequence[integer.Conv], shapes: Sequence[Shape]) -> bool:
    """Whether they are one convolution of all their inputs, of which no sum reaches 24 bits."""
    forms = {
        (op.weight.shape[2:], op.stride, op.padding, op.dilation, shape[1:])
        for op, shape in zip(ops, shapes, strict=True)
    }
    worst = sum(worst_sum(op) for op in ops)
    return len(forms) == 1 and worst < fixed.STATE_LIMIT


def worst_sum(op: integer.Conv) -> int:
    """The largest sum of |weight| of an output channel, shifted."""
    return int(np.abs(op.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max()) << op.exponent


@dataclass(frozen=True)
class TiledConvs:
    """`places[k]` and `values[k]` of each source, `form`: see `avnir.hardware.cpu.kernels_conv_tiles`.

    `area`: outputs of a channel; `frame`: bytes of one; `exponent`: the smallest; `worst`: the largest |sum|.
    """

    places: tuple[Array, ...]
    values: tuple[int, ...]
    form: Form
    channels: int
    area: int
    frame: int
    exponent: int
    worst: int

    @classmethod
    def plan(cls, ops: Sequence[integer.Conv], shapes: Sequence[Shape]) -> TiledConvs:
        """Lay out convolutions of one form into one layer, with inputs of `shapes`, (C_in, H, W)."""
        size = conv_size(ops[0], shapes[0], ops[0].weight.shape[2:])
        frame = _Frame(ops, shapes)
        pieces, groups = _pieces(frame.bases(size), frame.taps.size)
        weight = _tiled(np.concatenate([_in_quads(ungrouped(op)) for op in ops], axis=1))
        least = min(op.exponent for op in ops)
        return cls(
            tuple(frame.places()),
            tuple(1 << (op.exponent - least) for op in ops),
            (frame.taps, pieces, groups, weight),
            len(ops[0].weight),
            math.prod(size),
            frame.bytes,
            least,
            sum(worst_sum(op) for op in ops),
        )

    def sums(self, x: Sent) -> Array:
        """int32 `[S * B, C_out * H' * W']` wrapped to 24 bits, of spikes, of the only source."""
        out = np.empty((x.count, self.channels * self.area), np.int32)
        adding_kernel(self._bits)(
            *self._sources([x]), self.form, self.exponent, self._workshop(1), out, self.area
        )
        return out

    def drive(self, layer: Registers, given: Sequence[Sent], sent: Sent) -> None:
        """Fill `sent` with what the layer sends that nothing but these synapses feeds, with spikes."""
        kernel = driving_kernel(self._bits, len(given), layer.stage.kind(self.worst))
        laid_out = (self.form, self.exponent, self._workshop(FRAMES))
        at_work = (layer.stage.neurons, layer.u, layer.v, sent.rows, sent.matrix)
        kernel(tuple(self._sources(given)), *laid_out, *at_work, self.area, self.channels)

    def _sources(self, given: Sequence[Sent]) -> Iterator[Source]:
        for x, place, value in zip(given, self.places, self.values, strict=True):
            yield x.matrix, x.rows, place, value

    @property
    def order(self) -> Array:
        """Which neuron lies where in memory: those of a channel begin a group; what fills it up is neuron 0.

        A group that held neurons of two channels would be written in part and then read whole, for which a
        processor waits.
        """
        if self.area % LANES == 0:
            return AS_SENT
        numbers = np.arange(self.channels * self.area, dtype=np.int32).reshape(self.channels, self.area)
        return np.pad(numbers, ((0, 0), (0, -self.area % LANES))).ravel()

    @property
    def _bits(self) -> int:
        return 8 * self.places[0].itemsize

    def _workshop(self, frames: int) -> Workshop:
        """Room of a thread, with what may be copied beyond the end of a frame or a column."""
        taps, _, _, weight = self.form
        blocks, height = weight.shape[:2]
        rows, columns = min(tiles.ROWS, self.channels), min(tiles.ROWS, len(taps))
        sizes = (*[tiles.BYTES] * 4, QUAD * columns, *[tiles.BYTES] * 3)
        return (
            np.zeros((frames, self.frame + tiles.BYTES), np.uint8),
            tiles.aligned(((RUNS * height * tiles.ROWS + 1) * COLUMN,), np.uint8),
            tiles.aligned((blocks * tiles.ROWS, WIDE), np.int32),
            tiles.shapes((*[rows] * 5, *[columns] * 3), sizes),
            np.empty(max(map(len, self.places)), self.places[0].dtype),
            tiles.aligned((frames, words_of(self.channels * self.area) * WORD), np.uint8),
        )


@dataclass(frozen=True)
class TiledConvStage:
    """One convolution of inputs of `shape` that drives no neurons, laid out once something arrives."""

    op: integer.Conv
    shape: Shape

    @classmethod
    def plan(cls, op: integer.Conv, shape: Shape) -> TiledConvStage:
        """Nothing is laid out before it is needed."""
        return cls(op, shape)

    @cached_property
    def by_tiles(self) -> TiledConvs:
        """For spikes."""
        return TiledConvs.plan([self.op], [self.shape])

    @cached_property
    def by_events(self) -> ConvStage:
        """For messages."""
        return ConvStage.plan(self.op, self.shape)

    def __call__(self, x: Sent) -> Array:
        """Sums, int32 `[S * B, C_out * H' * W']` wrapped to 24 bits, of spikes or messages."""
        return self.by_tiles.sums(x) if x.binary else self.by_events(x)


class _Frame:
    """Where the inputs of convolutions of one form lie in a frame.

    Place (y, x) of the padded input lies in phase (y mod s_y, x mod s_x), at (y // s_y, x // s_x) of it.
    """

    def __init__(self, ops: Sequence[integer.Conv], shapes: Sequence[Shape]) -> None:
        self._op, self._shapes = ops[0], shapes
        self._quads = sum(_quads(shape[0]) for shape in shapes)
        padded = [
            length + 2 * padding for length, padding in zip(shapes[0][1:], self._op.padding, strict=True)
        ]
        self._size = [-(-length // stride) for length, stride in zip(padded, self._op.stride, strict=True)]
        self.bytes = QUAD * self._quads * math.prod(self._size) * math.prod(self._op.stride)

    def places(self) -> Iterator[Array]:
        """`place` of each source."""
        dtype, before = np.uint16 if self.bytes <= 1 << 16 else np.int32, 0
        for shape in self._shapes:
            c, y, x = np.indices(shape).reshape(3, -1)
            place = tiles.aligned((words_of(len(c)) * WORD + tiles.BYTES,), dtype)
            place[: len(c)] = self._at(QUAD * before + c, y + self._op.padding[0], x + self._op.padding[1])
            before += _quads(shape[0])
            yield place

    def _at(self, c: Array, y: Array, x: Array) -> Array:
        """The bytes at which places of the padded input lie, int32."""
        (rows, columns), (height, width) = self._op.stride, self._size
        phase = y % rows * columns + x % columns
        plane = phase * self._quads + c // QUAD
        return (((plane * height + y // rows) * width + x // columns) * QUAD + c % QUAD).astype(np.int32)

    @cached_property
    def taps(self) -> Array:
        """int32 `[C_in / 4 * kH * kW]`: what each place of the kernel sees for the first output."""
        kernel = self._op.weight.shape[2:]
        quad, y, x = np.indices((self._quads, *kernel)).reshape(3, -1)
        return self._at(quad * QUAD, y * self._op.dilation[0], x * self._op.dilation[1])

    def bases(self, size: tuple[int, int]) -> Array:
        """int32 `[H' * W']`: what the first place of the kernel sees for each output."""
        y, x = np.indices(size).reshape(2, -1)
        return self._at(np.zeros_like(y), y * self._op.stride[0], x * self._op.stride[1])


def _quads(channels: int) -> int:
    return -(-channels // QUAD)


def _pieces(bases: Array, taps: int) -> tuple[Array, Array]:
    """`pieces` and `groups` of outputs that see what begins at `bases`."""
    output = np.arange(len(bases))
    breaks = np.diff(bases, prepend=-2 * QUAD) != QUAD
    begins = output[breaks | (output % tiles.ROWS == 0)]
    height = -(-taps // tiles.ROWS) * tiles.ROWS
    column = begins % WIDE // tiles.ROWS * height * COLUMN + begins % tiles.ROWS * QUAD
    groups = np.searchsorted(begins, np.arange(0, len(bases) + WIDE, WIDE))
    return np.stack([column, bases[begins]], axis=1).astype(np.int32), groups.astype(np.int32)


def _in_quads(weight: Array) -> Array:
    """`[C_out, C_in, kH, kW]` with zeros for channels that fill the last four up."""
    missing = -weight.shape[1] % QUAD
    return np.pad(weight, ((0, 0), (0, missing), (0, 0), (0, 0)))


def _tiled(weight: Array) -> Array:
    """int8 `[C_out / 16, taps / 16, 16, 64]` of weights in quads, zeros beyond channels and taps."""
    out, channels = weight.shape[:2]
    by_tap = weight.reshape(out, channels // QUAD, QUAD, -1).transpose(0, 1, 3, 2).reshape(out, -1)
    blocks, height = -(-out // tiles.ROWS), -(-by_tap.shape[1] // tiles.BYTES)
    whole = np.zeros((blocks * tiles.ROWS, height * tiles.BYTES), np.int8)
    whole[:out, : by_tap.shape[1]] = by_tap
    tiled = tiles.aligned((blocks, height, tiles.ROWS, tiles.BYTES), np.int8)
    tiled[:] = whole.reshape(blocks, tiles.ROWS, height, tiles.BYTES).transpose(0, 2, 1, 3)
    return tiled
