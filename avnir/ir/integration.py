"""How neurons of the integer level integrate: what Lif and Readout share.

    u <- wrap( tz(u (4096 - (decay_u + 1)), 12) + (a << 6) )
    v <- clip( tz(v (4096 - decay_v), 12) + u + (bias_mantissa << bias_exponent) )

tz rounds toward zero, wrap and clip are the 24-bit registers'; the sums are made in 32 bits, which wrap.
Authority: lava-nc 0.10.0, `lava/proc/lif/models.py: AbstractPyLifModelFixed`.
"""

from __future__ import annotations

import numpy as np

from avnir.errors import GraphError
from avnir.ir.operation import Array, Operation, Shape, require
from avnir.numerics import fixed


def check_arrays(op: Operation, shape: Shape, *names: str) -> None:
    """Raise GraphError where one of these parameters is not int32, 0-d or `shape`."""
    for name in names:
        array = getattr(op, name)
        if array.dtype != np.int32 or array.shape not in ((), shape):
            raise GraphError(
                f"{op.kind}.{name} is {array.dtype}{array.shape}, but must be int32, 0-d or {shape}"
            )


def check_integration(op: Operation, shape: Shape) -> None:
    """Raise GraphError where a decay, the bias or the scale of `op` is out of its range."""
    check_arrays(op, shape, "decay_u", "decay_v", "bias_mantissa")
    decay_u, decay_v, mantissa, exponent, scale = (
        getattr(op, name) for name in ("decay_u", "decay_v", "bias_mantissa", "bias_exponent", "scale")
    )
    fits = scale.dtype == np.float64 and scale.shape in ((), shape)
    require(fits and bool(np.all(scale > 0)), op, "scale", f"float64, 0-d or {shape}, above 0")
    require(fixed.CURRENT_DECAY.holds(decay_u), op, "decay_u", str(fixed.CURRENT_DECAY))
    in_range = decay_v.min() >= 0 and decay_v.max() <= fixed.DECAY_ONE
    require(bool(in_range), op, "decay_v", f"in [0, {fixed.DECAY_ONE}]")
    require(fixed.BIAS_MANTISSA.holds(mantissa), op, "bias_mantissa", str(fixed.BIAS_MANTISSA))
    require(fixed.BIAS_EXPONENT.holds(exponent), op, "bias_exponent", str(fixed.BIAS_EXPONENT))


def next_current(u: Array, a: Array, decay_u: Array) -> Array:
    """The current after a step in which `a` arrives; all int64."""
    kept = fixed.toward_zero(u * (fixed.DECAY_ONE - (decay_u.astype(np.int64) + 1)), fixed.DECAY_BITS)
    return fixed.wrap_current(fixed.wrap32(kept + (a << fixed.ALIGN)))


def leaked(v: Array, decay_v: Array) -> Array:
    """What a step leaves of the potential, before anything is added."""
    return fixed.toward_zero(v * (fixed.DECAY_ONE - decay_v.astype(np.int64)), fixed.DECAY_BITS)
