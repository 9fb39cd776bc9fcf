"""Pooling in all its spellings, as windows over (C, H, W)."""

from __future__ import annotations

from collections.abc import Mapping

from avnir.export.aten_arguments import pair, value_of
from avnir.export.aten_rows import in_rows, row
from avnir.export.builder import Call, Handler, Refused, Value
from avnir.ir import real
from avnir.ir.geometry import Pair


def _avg_pool2d(call: Call) -> Value:
    if call["divisor_override"] is not None:
        raise Refused("divisor_override", "Leave it out and fold the factor into the next layer's weights")
    return call.emit(real.AvgPool2d(*_window(call), _average_padding(call)), value_of(call, "self"))


def _avg_pool1d(call: Call) -> Value:
    _, padding = _average_padding(call)
    return in_rows(call, real.AvgPool2d(*_row_window(call), (0, padding)), value_of(call, "self"))


def _average_padding(call: Call) -> Pair:
    padding = pair(call["padding"])
    if any(padding) and not call["count_include_pad"]:
        raise Refused("count_include_pad=False with padding", "Use count_include_pad=True or no padding")
    return padding


def _max_pool2d(call: Call) -> Value:
    return call.emit(real.MaxPool2d(*_window(call), _max_padding(call)), value_of(call, "self"))


def _max_pool1d(call: Call) -> Value:
    _, padding = _max_padding(call)
    return in_rows(call, real.MaxPool2d(*_row_window(call), (0, padding)), value_of(call, "self"))


def _max_padding(call: Call) -> Pair:
    if pair(call["dilation"]) != (1, 1):
        raise Refused("max-pooling with a dilation", "Use dilation=1")
    return pair(call["padding"])


def _window(call: Call) -> tuple[Pair, Pair]:
    if call["ceil_mode"]:
        raise Refused(
            "ceil_mode=True", "Use ceil_mode=False, and pad or crop the input where a window is cut"
        )
    kernel = pair(call["kernel_size"])
    return kernel, pair(call["stride"]) if call["stride"] else kernel


def _row_window(call: Call) -> tuple[Pair, Pair]:
    (_, kernel), (_, stride) = _window(call)
    return row(kernel, 1), row(stride, 1)


def _adaptive_avg_pool2d(call: Call) -> Value:
    x = value_of(call, "self")
    if len(x.shape) != 3:
        raise Refused(f"pools samples {x.shape}", "Keep a channel axis: [B, C, H, W]")
    kernel = _fixed(x.shape[1], call.result.shape[-2]), _fixed(x.shape[2], call.result.shape[-1])
    return call.emit(real.AvgPool2d(kernel, kernel), x)


def _adaptive_avg_pool1d(call: Call) -> Value:
    x = value_of(call, "self")
    kernel = (1, _fixed(x.shape[-1], call.result.shape[-1]))
    return in_rows(call, real.AvgPool2d(kernel, kernel), x)


def _fixed(size: int, wanted: int) -> int:
    if size % wanted:
        raise Refused(
            f"adaptive pooling of {size} to {wanted} has windows of different sizes",
            "Use nn.AvgPool2d (or 1d) with a fixed kernel, or an output size that divides the input's",
        )
    return size // wanted


HANDLERS: Mapping[str, Handler] = {
    "aten.avg_pool1d.default": _avg_pool1d,
    "aten.avg_pool2d.default": _avg_pool2d,
    "aten.max_pool1d.default": _max_pool1d,
    "aten.max_pool2d.default": _max_pool2d,
    "aten.adaptive_avg_pool1d.default": _adaptive_avg_pool1d,
    "aten.adaptive_avg_pool2d.default": _adaptive_avg_pool2d,
}
