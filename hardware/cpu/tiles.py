"""Products of small matrices in one instruction, where the processor has them: Intel's AMX.

Eight registers, numbered 0 to 7, hold a tile each: 16 rows of 64 bytes. `dot` multiplies one of bytes by
another of bytes and adds the result to a third of 32-bit integers, modulo 2^32: 16,384 products at once, as
exact as adding them one by one. The second factor holds four rows of its matrix side by side:
its row k has, for each of 16 columns, the entries of rows 4 k to 4 k + 3.

(Intel, Architecture Instruction Set Extensions Programming Reference, chapter 3, "Intel AMX".)

Arrays are C-contiguous and are addressed by bytes from their beginning. Tiles that do not lie at multiples of
64 bytes take three times as long to load (measured on a Xeon 6), see `aligned`.
"""

from __future__ import annotations

import ctypes
import math
import platform
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]

from avnir.hardware.cpu.vector import TYPES, declared, intrinsic
from avnir.ir.operation import Array

ROWS, BYTES = 16, 64
"""Of a tile."""
TILE = ROWS * BYTES
FEATURES = ("amx-tile", "amx-int8")
"""What LLVM calls them."""
ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA = 158, 0x1023, 18
"""How a process asks Linux for the registers (Linux kernel documentation, "Using XSTATE features")."""

BYTE, LONG, VOID = ir.IntType(8), ir.IntType(64), ir.VoidType()
POINTER = BYTE.as_pointer()


@cache
def available() -> bool:
    """Whether this process may use them; asks the system for it."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        return False
    if not all(binding.get_host_cpu_features().get(name, False) for name in FEATURES):
        return False
    return ctypes.CDLL(None).syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0


def aligned(shape: Sequence[int], dtype: type) -> Array:
    """Zeros that begin at a multiple of 64 bytes."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    held = np.zeros(size + BYTES, np.uint8)
    begin = -held.ctypes.data % BYTES
    return held[begin : begin + size].view(dtype).reshape(shape)


def shapes(rows: Sequence[int] = (ROWS,) * 8, size: Sequence[int] = (BYTES,) * 8) -> Array:
    """What `configure` takes: palette 1, then for each tile the bytes of a row, and its rows."""
    held = np.zeros(64, np.uint8)
    held[0] = 1
    held[16:32].view(np.uint16)[:] = size
    held[48:56] = rows
    return held


@intrinsic
def configure(typing: Any, held: Any) -> Any:
    """Let this thread use the registers; `held`: see `shapes`."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        where = _address(context, builder, held, arguments[0], LONG(0))
        builder.call(declared(builder, "llvm.x86.ldtilecfg", ir.FunctionType(VOID, [POINTER])), [where])
        return context.get_dummy_value()

    return TYPES.void(held), emit


@intrinsic
def release(typing: Any) -> Any:
    """End it, so that the system need not keep the registers."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        builder.call(declared(builder, "llvm.x86.tilerelease", ir.FunctionType(VOID, [])), [])
        return context.get_dummy_value()

    return TYPES.void(), emit


@intrinsic
def zero_tile(typing: Any, register: Any) -> Any:
    """Set all entries to 0."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(VOID, [BYTE])
        builder.call(declared(builder, "llvm.x86.tilezero", kind), [BYTE(register.literal_value)])
        return context.get_dummy_value()

    return TYPES.void(register), emit


@intrinsic
def load_tile(typing: Any, register: Any, array: Any, at: Any, stride: Any) -> Any:
    """Take the rows that lie `stride` bytes apart from byte `at` of an array on."""
    return _moving("llvm.x86.tileloadd64", register, array)


@intrinsic
def store_tile(typing: Any, register: Any, array: Any, at: Any, stride: Any) -> Any:
    """Put them there."""
    return _moving("llvm.x86.tilestored64", register, array)


def _moving(name: str, register: Any, array: Any) -> Any:
    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(VOID, [BYTE, POINTER, LONG])
        where = _address(context, builder, array, arguments[1], arguments[2])
        builder.call(declared(builder, name, kind), [BYTE(register.literal_value), where, arguments[3]])
        return context.get_dummy_value()

    return TYPES.void(register, array, TYPES.int64, TYPES.int64), emit


def _address(context: Any, builder: Any, array: Any, value: Any, at: Any) -> Any:
    data = context.make_array(array)(context, builder, value).data
    return builder.gep(builder.bitcast(data, POINTER), [at])


@intrinsic
def dot_spikes(typing: Any, total: Any, spikes: Any, weights: Any) -> Any:
    """Add the product of unsigned bytes by signed bytes to the tile of 32-bit integers in `total`."""
    return _multiplying("llvm.x86.tdpbusd", total, spikes, weights)


@intrinsic
def dot_weights(typing: Any, total: Any, weights: Any, spikes: Any) -> Any:
    """The same of signed bytes by unsigned bytes."""
    return _multiplying("llvm.x86.tdpbsud", total, weights, spikes)


def _multiplying(name: str, *registers: Any) -> Any:
    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        numbers = [BYTE(register.literal_value) for register in registers]
        builder.call(declared(builder, name, ir.FunctionType(VOID, [BYTE] * 3)), numbers)
        return context.get_dummy_value()

    return TYPES.void(*registers), emit
