"""Several integers as one value of a kernel: the compiler keeps them in vector registers.

LLVM's own vectors of any length, which every processor with vector instructions maps to what it has: 16
numbers of 32 bits are one register of AVX-512, two of AVX2, four of NEON. Loops over arrays would be
vectorised too, but not with sums that stay in registers from one row of weights to the next, and only
behind checks that no two arrays overlap, which cost more than a short row.

Numbers of lanes and of bits are constants where a kernel is compiled. Arrays are C-contiguous and are
addressed by the flat index of the first lane; nothing is checked, and all lanes are read or written.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending, types
from numba.core.typing import templates

Vector = Any
"""What kernels take these values for."""
INT = ir.IntType(32)
TYPES: Any = types
TEMPLATES: Any = templates
EXTENDING: Any = extending


def intrinsic(function: Callable[..., Any]) -> Any:
    """An operation of kernels: a function of Numba's types that gives its signature and emits its code."""
    return EXTENDING.intrinsic(prefer_literal=True)(function)


class Lanes(TYPES.Type):  # type: ignore[misc]
    """`count` signed integers of `bits` bits; of 1 bit, what a comparison gives."""

    def __init__(self, count: int, bits: int) -> None:
        self.count, self.bits = count, bits
        super().__init__(name=f"Lanes({count} x {bits})")

    @property
    def form(self) -> ir.VectorType:
        """The type as LLVM has it."""
        return ir.VectorType(ir.IntType(self.bits), self.count)


class _Held(EXTENDING.models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, lanes.form)


EXTENDING.register_model(Lanes)(_Held)


@intrinsic
def load(typing: Any, array: Any, at: Any, count: Any, bits: Any) -> Any:
    """`count` neighbours of an array from `at` on, sign-extended to `bits`."""
    lanes = Lanes(count.literal_value, bits.literal_value)
    return lanes(array, TYPES.intp, count, bits), _loading(array, lanes)


@intrinsic
def load_like(typing: Any, array: Any, at: Any, like: Any) -> Any:
    """As many neighbours, and of as many bits, as `like` has."""
    return like(array, TYPES.intp, like), _loading(array, like)


def _loading(array: Any, lanes: Lanes) -> Any:
    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        stored = Lanes(lanes.count, array.dtype.bitwidth)
        value = builder.load(_address(context, builder, array, stored, arguments), align=1)
        return value if stored.bits == lanes.bits else builder.sext(value, lanes.form)

    return emit


@intrinsic
def store(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Write all lanes from `at` on, sign-extended or cut to the array's items; comparisons as 0 and 1."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        stored = Lanes(value.count, array.dtype.bitwidth)
        written = _changed(builder, value, arguments[2], stored)
        builder.store(written, _address(context, builder, array, stored, arguments), align=1)
        return context.get_dummy_value()

    return TYPES.void(array, TYPES.intp, value), emit


def _address(context: Any, builder: Any, array: Any, stored: Lanes, arguments: Any) -> Any:
    """Where the lanes lie, of the arguments (array, index, ...)."""
    data = context.make_array(array)(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), stored.form.as_pointer())


@intrinsic
def spread(typing: Any, number: Any, count: Any, bits: Any) -> Any:
    """The same number in every lane."""
    lanes = Lanes(count.literal_value, bits.literal_value)

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        return _spread(builder, arguments[0], lanes)

    return lanes(TYPES.int64, count, bits), emit


@intrinsic
def spread_like(typing: Any, number: Any, like: Any) -> Any:
    """The same number in lanes like these."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        return _spread(builder, arguments[0], like)

    return like(TYPES.int64, like), emit


def _spread(builder: Any, number: Any, lanes: Lanes) -> Any:
    cut = builder.trunc(number, lanes.form.element)
    first = builder.insert_element(ir.Constant(lanes.form, ir.Undefined), cut, INT(0))
    places = ir.Constant(ir.VectorType(INT, lanes.count), [0] * lanes.count)
    return builder.shuffle_vector(first, first, places)


@intrinsic
def repeated(typing: Any, value: Any, like: Any) -> Any:
    """The same lanes again and again, in lanes like these."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        places = [k % value.count for k in range(like.count)]
        chosen = ir.Constant(ir.VectorType(INT, like.count), places)
        return builder.shuffle_vector(arguments[0], arguments[0], chosen)

    return like(value, like), emit


@intrinsic
def store_first(typing: Any, array: Any, at: Any, value: Any, count: Any) -> Any:
    """`store` of the first `count` lanes only."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        stored = Lanes(value.count, array.dtype.bitwidth)
        where = _address(context, builder, array, stored, arguments)
        numbers = ir.Constant(Lanes(value.count, 32).form, list(range(value.count)))
        chosen = builder.icmp_signed("<", numbers, _spread(builder, arguments[3], Lanes(value.count, 32)))
        kind = ir.FunctionType(ir.VoidType(), [stored.form, where.type, INT, chosen.type])
        name = f"llvm.masked.store.v{value.count}i{stored.bits}.p0"
        written = _changed(builder, value, arguments[2], stored)
        builder.call(declared(builder, name, kind), [written, where, INT(1), chosen])
        return context.get_dummy_value()

    return TYPES.void(array, TYPES.intp, value, TYPES.int64), emit


def _changed(builder: Any, value: Any, written: Any, stored: Lanes) -> Any:
    """Lanes with as many bits as an array's items: sign-extended or cut; comparisons as 0 and 1."""
    if value.bits == stored.bits:
        return written
    change = builder.zext if value.bits == 1 else builder.sext
    return (builder.trunc if value.bits > stored.bits else change)(written, stored.form)


@intrinsic
def ascending(typing: Any, like: Any) -> Any:
    """0, 1, 2, ... in lanes like these."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        return ir.Constant(like.form, list(range(like.count)))

    return like(like), emit


@intrinsic
def where(typing: Any, chosen: Any, first: Any, second: Any) -> Any:
    """Lanes of `first` where `chosen`, of `second` elsewhere."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return first(chosen, first, second), emit


@intrinsic
def portion(typing: Any, value: Any, factor: Any) -> Any:
    """The whole part of `value` times the float32 numbers whose bits `factor` holds, both of 32 bits.

    The product is rounded as `round_toward_zero` says, so it is exact where it stays below 2^24.
    """
    real = ir.VectorType(ir.FloatType(), value.count)

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        name = f"llvm.experimental.constrained.fmul.v{value.count}f32"
        kind = ir.FunctionType(real, [real, real, ir.MetaDataType(), ir.MetaDataType()])
        how = [ir.MetaDataString(builder.module, text) for text in ("round.towardzero", "fpexcept.ignore")]
        numbers = builder.sitofp(arguments[0], real), builder.bitcast(arguments[1], real)
        return builder.fptosi(builder.call(declared(builder, name, kind), [*numbers, *how]), value.form)

    return value(value, factor), emit


@intrinsic
def round_toward_zero(typing: Any) -> Any:
    """Let this thread's real numbers be rounded so from now on; gives what `round_as` takes to end it."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        before = builder.call(declared(builder, "llvm.get.rounding", ir.FunctionType(INT, [])), [])
        _set_rounding(builder, INT(0))
        return before

    return TYPES.int32(), emit


@intrinsic
def round_as(typing: Any, before: Any) -> Any:
    """Let them be rounded as they were."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        _set_rounding(builder, arguments[0])
        return context.get_dummy_value()

    return TYPES.void(TYPES.int32), emit


def _set_rounding(builder: Any, mode: Any) -> None:
    builder.call(declared(builder, "llvm.set.rounding", ir.FunctionType(ir.VoidType(), [INT])), [mode])


def declared(builder: Any, name: str, kind: Any) -> Any:
    """One of LLVM's own functions, for code that is being emitted."""
    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)


@intrinsic
def squeezed(typing: Any, value: Any, chosen: Any) -> Any:
    """The chosen lanes moved to the front; what is behind them has no meaning."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        form = value.form
        kind = ir.FunctionType(form, [form, chosen.form, form])
        name = f"llvm.experimental.vector.compress.v{value.count}i{value.bits}"
        return builder.call(declared(builder, name, kind), [*arguments, ir.Constant(form, ir.Undefined)])

    return value(value, chosen), emit


@intrinsic
def width(typing: Any, value: Any) -> Any:
    """How many lanes there are."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(64), value.count)

    return TYPES.intp(value), emit


@intrinsic
def bits_of(typing: Any, chosen: Any) -> Any:
    """Which of 64 lanes a comparison chose, bit by bit."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return TYPES.int64(chosen), emit


@intrinsic
def store_bits(typing: Any, array: Any, at: Any, chosen: Any) -> Any:
    """Write which lanes a comparison chose, bit by bit, from item `at` on; whole items of bits."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        stored = ir.IntType(chosen.count)
        data = context.make_array(array)(context, builder, arguments[0]).data
        where = builder.bitcast(builder.gep(data, [arguments[1]]), stored.as_pointer())
        builder.store(builder.bitcast(arguments[2], stored), where, align=1)
        return context.get_dummy_value()

    return TYPES.void(array, TYPES.intp, chosen), emit


@intrinsic
def chosen_by(typing: Any, word: Any, count: Any, bits: Any) -> Any:
    """The lowest `count` bits of a number of 64 as lanes of `bits` bits, 0 or 1; of 1 bit, as compared."""
    compared, lanes = Lanes(count.literal_value, 1), Lanes(count.literal_value, bits.literal_value)

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        cut = builder.trunc(arguments[0], ir.IntType(compared.count)) if compared.count < 64 else arguments[0]
        chosen = builder.bitcast(cut, compared.form)
        return chosen if lanes.bits == 1 else builder.zext(chosen, lanes.form)

    return lanes(TYPES.int64, count, bits), emit


@intrinsic
def chosen_like(typing: Any, word: Any, like: Any) -> Any:
    """The lowest bits of a number of 64 as what a comparison of lanes like these would choose."""
    compared = Lanes(like.count, 1)

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.trunc(arguments[0], ir.IntType(like.count)), compared.form)

    return compared(TYPES.int64, like), emit


@intrinsic
def lowest(typing: Any, word: Any) -> Any:
    """The place of the lowest bit that is 1, of a number that is not 0."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return TYPES.int64(TYPES.int64), emit


@intrinsic
def number(typing: Any, chosen: Any) -> Any:
    """How many lanes a comparison chose."""

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], ir.IntType(chosen.count))
        return builder.zext(builder.ctpop(bits), ir.IntType(64))

    return TYPES.int64(chosen), emit


def _operator(symbol: Any, emitted: str, compares: bool) -> None:
    """Lane by lane, modulo 2^bits or signed; the second may be a whole number for all lanes."""

    class Signature(TEMPLATES.AbstractTemplate):  # type: ignore[misc]
        def generic(self, arguments: Any, keywords: Any) -> Any:
            first, second = arguments
            if not isinstance(first, Lanes) or not (second == first or isinstance(second, TYPES.Integer)):
                return None
            given = Lanes(first.count, 1) if compares else first
            return TEMPLATES.signature(given, first, second if second == first else TYPES.int64)

    def emit(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        first, second = arguments
        if made.args[1] != made.args[0]:
            second = _spread(builder, second, made.args[0])
        if compares:
            return builder.icmp_signed(emitted, first, second)
        return getattr(builder, emitted)(first, second)

    TEMPLATES.infer_global(symbol)(Signature)
    for second in (Lanes, TYPES.Integer):
        EXTENDING.lower_builtin(symbol, Lanes, second)(emit)


for _symbol, _emitted in (
    (operator.add, "add"),
    (operator.sub, "sub"),
    (operator.mul, "mul"),
    (operator.and_, "and_"),
    (operator.or_, "or_"),
    (operator.xor, "xor"),
    (operator.lshift, "shl"),
    (operator.rshift, "ashr"),
):
    _operator(_symbol, _emitted, compares=False)
for _symbol, _emitted in ((operator.gt, ">"), (operator.lt, "<")):
    _operator(_symbol, _emitted, compares=True)
