"""One model for each layer of torch.nn, and for each option that changes what it computes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tests.corpus.model import EXACT, Entry, Sample, between, leaky, net

ADAPTIVE = EXACT
IMAGE = (2, 8, 8)


def _pooled(pool: nn.Module) -> Sample:
    """Spikes of a convolution, the pooling, a Linear."""
    parts = {"conv": nn.Conv2d(2, 4, 3, padding=1), "lif1": leaky(), "pool": pool, "fc": nn.LazyLinear(5)}
    nn.Sequential(parts["conv"], parts["pool"], nn.Flatten(), parts["fc"])(torch.zeros(1, *IMAGE))
    return net(lambda m, x: m.lif2(m.fc(m.pool(m.lif1(m.conv(x))).flatten(1))), IMAGE, **parts, lif2=leaky())


def linear_without_bias() -> Sample:
    """A Linear of weights alone."""
    return between(nn.Linear(6, 5, bias=False))


def linear_float64() -> Sample:
    """The model computes in float64."""
    sample = between(nn.Linear(6, 5))
    return Sample(sample.model.double(), {name: x.double() for name, x in sample.inputs.items()})


def linear_on_the_last_axis() -> Sample:
    """One Linear for each row of a sample."""
    return between(nn.Linear(6, 5), shape=(3, 6))


def linear_weight_norm() -> Sample:
    """Weights that are computed in each forward."""
    return between(nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)))


def linear_functional() -> Sample:
    """F.linear with the parameters of a module."""
    return net(lambda m, x: m.lif(F.linear(x, m.fc.weight, m.fc.bias)), fc=nn.Linear(6, 5), lif=leaky())


def linear_bilinear() -> Sample:
    """A bilinear form of the input with itself."""
    return net(lambda m, x: m.lif(m.b(x, x)), b=nn.Bilinear(6, 6, 5), lif=leaky())


def _conv(*arguments: Any, **options: Any) -> Sample:
    return between(nn.Conv2d(*arguments, **options), shape=(4, 8, 8))


def conv_plain() -> Sample:
    """3 x 3, no padding."""
    return _conv(4, 5, 3)


def conv_without_bias() -> Sample:
    """A convolution of weights alone."""
    return _conv(4, 5, 3, bias=False)


def conv_grouped() -> Sample:
    """Two groups."""
    return _conv(4, 6, 3, groups=2)


def conv_depthwise() -> Sample:
    """One group for each channel."""
    return _conv(4, 4, 3, padding=1, groups=4)


def conv_dilated() -> Sample:
    """Dilation 2 down, 1 across."""
    return _conv(4, 5, 3, dilation=(2, 1))


def conv_strided() -> Sample:
    """Stride 2 down, 1 across."""
    return _conv(4, 5, 3, stride=(2, 1))


def conv_rectangular() -> Sample:
    """A kernel that is not square, with padding that is not either."""
    return _conv(4, 5, (1, 5), padding=(0, 2))


def conv_same() -> Sample:
    """padding='same' with an odd kernel."""
    return _conv(4, 5, 3, padding="same")


def conv_same_even() -> Sample:
    """padding='same' with an even kernel pads one side more."""
    return _conv(4, 5, 4, padding="same")


def conv_reflect() -> Sample:
    """Padding that mirrors the border."""
    return _conv(4, 5, 3, padding=1, padding_mode="reflect")


def conv_circular() -> Sample:
    """Padding that wraps round."""
    return _conv(4, 5, 3, padding=1, padding_mode="circular")


def conv_replicate() -> Sample:
    """Padding that repeats the border."""
    return _conv(4, 5, 3, padding=1, padding_mode="replicate")


def conv_transposed() -> Sample:
    """A transposed convolution."""
    return between(nn.ConvTranspose2d(4, 3, 3), shape=(4, 5, 5))


def conv_1d() -> Sample:
    """A convolution along one axis."""
    return between(nn.Conv1d(3, 5, 3, padding=1), shape=(3, 10))


def conv_1d_strided() -> Sample:
    """The same with stride, dilation and groups."""
    return between(nn.Conv1d(4, 6, 3, stride=2, dilation=2, groups=2), shape=(4, 12))


def conv_3d() -> Sample:
    """A convolution along three axes."""
    return between(nn.Conv3d(1, 2, 2), shape=(1, 4, 4, 4))


def batch_norm_1d() -> Sample:
    """After a Linear."""
    return between(nn.Linear(6, 5), nn.BatchNorm1d(5))


def batch_norm_2d() -> Sample:
    """After a Conv2d."""
    return between(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), shape=IMAGE)


def batch_norm_first() -> Sample:
    """Before a padded convolution: the padding stays zero, the silence does not."""
    return between(nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3, padding=1), shape=IMAGE)


def batch_norm_of_spikes() -> Sample:
    """Between two neurons, with no weights to fold into."""
    return between(nn.Linear(6, 5), leaky(), nn.BatchNorm1d(5))


def batch_norm_without_statistics() -> Sample:
    """Normalises by the batch, in eval mode too."""
    return between(nn.Linear(6, 5), nn.BatchNorm1d(5, track_running_stats=False))


def batch_norm_without_affine() -> Sample:
    """No weight and bias of its own."""
    sample = between(nn.Linear(6, 5), nn.BatchNorm1d(5))
    sample.model[1].register_parameter("weight", None)  # type: ignore[index,operator,union-attr]
    sample.model[1].register_parameter("bias", None)  # type: ignore[index,operator,union-attr]
    return sample


def layer_norm() -> Sample:
    """Normalises each sample."""
    return between(nn.Linear(6, 5), nn.LayerNorm(5))


def group_norm() -> Sample:
    """Normalises groups of channels."""
    return between(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), shape=IMAGE)


def identity() -> Sample:
    """nn.Identity between the layers."""
    return between(nn.Linear(6, 5), nn.Identity())


def dropout() -> Sample:
    """nn.Dropout does nothing in eval mode."""
    return between(nn.Linear(6, 5), nn.Dropout(0.5))


def dropout_2d() -> Sample:
    """So does nn.Dropout2d."""
    return between(nn.Conv2d(2, 4, 3), nn.Dropout2d(0.5), shape=IMAGE)


def dropout_always() -> Sample:
    """F.dropout without self.training drops in eval mode too."""
    return net(lambda m, x: m.lif(F.dropout(m.fc(x), 0.5)), fc=nn.Linear(6, 5), lif=leaky())


def average_pool() -> Sample:
    """Average of spikes."""
    return _pooled(nn.AvgPool2d(2))


def average_pool_padded() -> Sample:
    """Average that counts the padding."""
    return _pooled(nn.AvgPool2d(3, stride=2, padding=1))


def average_pool_uncounted() -> Sample:
    """Average that does not count the padding."""
    return _pooled(nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False))


def average_pool_ceiling() -> Sample:
    """Windows that hang over the border."""
    return _pooled(nn.AvgPool2d(3, ceil_mode=True))


def max_pool_of_spikes() -> Sample:
    """Maximum of spikes: OR."""
    return _pooled(nn.MaxPool2d(2))


def max_pool_overlapping() -> Sample:
    """Windows that overlap, with padding."""
    return _pooled(nn.MaxPool2d(3, stride=2, padding=1))


def max_pool_dilated() -> Sample:
    """A dilated window."""
    return _pooled(nn.MaxPool2d(2, dilation=2))


def max_pool_of_currents() -> Sample:
    """Maximum of what is no spike."""
    return between(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), shape=IMAGE)


def max_pool_of_a_sum() -> Sample:
    """Maximum of the sum of two spike trains: 0, 1 or 2."""
    parts = {"conv": nn.Conv2d(2, 2, 3, padding=1), "lif1": leaky(), "pool": nn.MaxPool2d(2), "lif2": leaky()}
    return net(lambda m, x: m.lif2(m.pool(m.lif1(m.conv(x)) + x)), IMAGE, **parts)


def adaptive_average_global() -> Sample:
    """The mean of each channel."""
    return _pooled(nn.AdaptiveAvgPool2d(1))


def adaptive_average_even() -> Sample:
    """Windows of one size."""
    return _pooled(nn.AdaptiveAvgPool2d((4, 2)))


def adaptive_average_uneven() -> Sample:
    """Windows of several sizes."""
    return _pooled(nn.AdaptiveAvgPool2d(3))


def adaptive_max_even() -> Sample:
    """Maximum over windows of one size."""
    return _pooled(nn.AdaptiveMaxPool2d(4))


def relu() -> Sample:
    """An activation of the artificial kind."""
    return between(nn.Linear(6, 5), nn.ReLU())


def upsample() -> Sample:
    """Every pixel twice."""
    return between(nn.Upsample(scale_factor=2), shape=(2, 3, 3))


def pixel_shuffle() -> Sample:
    """Channels become pixels."""
    return between(nn.Conv2d(2, 4, 3), nn.PixelShuffle(2), shape=IMAGE)


THEMES = {
    "`Linear`": (
        Entry(linear_without_bias),
        Entry(linear_float64, "float64"),
        Entry(linear_on_the_last_axis, "Linear on the last axis"),
        Entry(linear_weight_norm, "_weight_norm"),
        Entry(linear_functional),
        Entry(linear_bilinear, "bilinear"),
    ),
    "convolutions": (
        Entry(conv_plain),
        Entry(conv_without_bias),
        Entry(conv_grouped),
        Entry(conv_depthwise),
        Entry(conv_dilated),
        Entry(conv_strided),
        Entry(conv_rectangular),
        Entry(conv_same),
        Entry(conv_same_even, "pads one side more"),
        Entry(conv_reflect, "pad"),
        Entry(conv_circular, "pad"),
        Entry(conv_replicate, "pad"),
        Entry(conv_transposed, "transpose"),
        Entry(conv_1d),
        Entry(conv_1d_strided),
        Entry(conv_3d, "conv3d"),
    ),
    "normalisation and dropout": (
        Entry(batch_norm_1d),
        Entry(batch_norm_2d),
        Entry(batch_norm_first),
        Entry(batch_norm_of_spikes),
        Entry(batch_norm_without_statistics, "statistics of each batch"),
        Entry(batch_norm_without_affine),
        Entry(layer_norm, "layer_norm"),
        Entry(group_norm, "group_norm"),
        Entry(dropout),
        Entry(dropout_2d),
        Entry(dropout_always, "active in eval mode"),
    ),
    "pooling": (
        Entry(average_pool),
        Entry(average_pool_padded),
        Entry(average_pool_uncounted, "count_include_pad=False"),
        Entry(average_pool_ceiling, "ceil_mode=True"),
        Entry(max_pool_of_spikes),
        Entry(max_pool_overlapping),
        Entry(max_pool_dilated, "max-pooling with a dilation"),
        Entry(max_pool_of_currents, "not one binary spike train"),
        Entry(max_pool_of_a_sum, "not one binary spike train"),
        Entry(adaptive_average_global, ADAPTIVE),
        Entry(adaptive_average_even, ADAPTIVE),
        Entry(adaptive_average_uneven, "adaptive"),
        Entry(adaptive_max_even, "adaptive"),
    ),
    "other layers": (
        Entry(identity),
        Entry(relu, "relu"),
        Entry(upsample, "upsample"),
        Entry(pixel_shuffle, "Sparse has no form in NIR", EXACT),
    ),
}
