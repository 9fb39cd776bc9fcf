"""Spiking attention without softmax between two modalities: over the tokens of a step, and over the steps.

q, k and v are spikes `[T, B, C, h, w]`, cut into 16 heads of d = C / 16 channels. With tokens n, m and steps
t, u, each head gives, by the order that the authors' code multiplies in,

    spatial     O[t, n] = 1/4 sum_m (q[t, n] . k[t, m]) v[t, m]        (N x N scores in every step)
    temporal    O[t, n] = 1/4 sum_u (q[t, n] . k[u, n]) v[u, n]        (T x T scores for every token)

and, as nothing stands between the two products, the same numbers in the order that a chip can take them in:

    spatial     O[t, n] = 1/4 q[t, n] sum_m k[t, m] v[t, m]^T          (d x d memory in every step)
    temporal    O[t, n] = 1/4 q[t, n] sum_u k[u, n] v[u, n]^T          (d x d memory for every token)

where k v^T is a coincidence of two spikes, and q gates a sum. Both are whole numbers in float32 before the
factor, so they agree exactly. The causal form sums over u <= t only: a memory that grows step by step.

Source: S-CMRL (He et al., arXiv 2502.12488) and the code published with it; 16 heads and the factor 1/4
are that code's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from avnir.models.blocks import ConvUnit, MakeNeuron
from avnir.models.neuron import Fire

HEADS = 16
SCALE = 0.25
Temporal = Literal["window", "causal"]
Product = Literal["matmul", "broadcast"]
Mix = Callable[[Tensor, Tensor, Tensor], Tensor]
"""q, k, v `[T, B, heads, d, N]` -> sums of the same shape, without the factor."""


def spatial_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Within a step, scores of tokens first."""
    return ((q.mT @ k) @ v.mT).mT


def spatial_memory(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Within a step, the memory of k and v first."""
    memory = _coincidences(k, v).sum(5, keepdim=True)
    return (q.unsqueeze(4) * memory).sum(3)


def temporal_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Within a token and over the whole window, scores of steps first."""
    q, k, v = (_steps_last(x) for x in (q, k, v))
    return _steps_first((q @ k.mT) @ v)


def causal_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Within a token and over the steps so far, scores of steps first."""
    q, k, v = (_steps_last(x) for x in (q, k, v))
    return _steps_first((q @ k.mT).tril() @ v)


def temporal_memory(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Within a token and over the whole window, the memory of k and v first."""
    memory = _coincidences(k, v).sum(0, keepdim=True)
    return (q.unsqueeze(4) * memory).sum(3)


def causal_memory(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Within a token and over the steps so far, the memory of k and v first."""
    memory = _coincidences(k, v).cumsum(0)
    return (q.unsqueeze(4) * memory).sum(3)


def _coincidences(k: Tensor, v: Tensor) -> Tensor:
    """`[T, B, heads, d, N]` twice -> `[T, B, heads, d, d, N]`: each channel of k with each of v."""
    return k.unsqueeze(4) * v.unsqueeze(3)


def _steps_last(x: Tensor) -> Tensor:
    """`[T, B, heads, d, N]` -> `[N, B, heads, T, d]`."""
    return x.permute(4, 1, 2, 0, 3)


def _steps_first(x: Tensor) -> Tensor:
    """`[N, B, heads, T, d]` -> `[T, B, heads, d, N]`."""
    return x.permute(3, 1, 2, 4, 0)


SPATIAL: dict[Product, Mix] = {"matmul": spatial_scores, "broadcast": spatial_memory}
TEMPORAL: dict[tuple[Product, Temporal], Mix] = {
    ("matmul", "window"): temporal_scores,
    ("matmul", "causal"): causal_scores,
    ("broadcast", "window"): temporal_memory,
    ("broadcast", "causal"): causal_memory,
}


def heads(x: Tensor) -> Tensor:
    """`[T, B, C, h, w]` -> `[T, B, heads, d, N]`."""
    steps, batch, channels = x.shape[:3]
    return x.reshape(steps, batch, HEADS, channels // HEADS, -1)


class SpikeAttention(nn.Module):
    """q of one modality, k and v of the other, mixed: two times `[T, B, C, h, w]` -> spikes of that shape.

    `LIF(BN(conv(LIF(O))))`. The neurons on O are made by `on_lattice`: their inputs are multiples of 1/4, so
    whether they fire at a threshold or above it matters.
    """

    def __init__(self, channels: int, mix: Mix, neuron: MakeNeuron, on_lattice: MakeNeuron) -> None:
        super().__init__()
        self.query = ConvUnit(channels, channels, neuron, kernel=1)
        self.key = ConvUnit(channels, channels, neuron, kernel=1)
        self.value = ConvUnit(channels, channels, neuron, kernel=1)
        self.lif = on_lattice()
        self.out = ConvUnit(channels, channels, neuron, kernel=1)
        self.mix = mix

    def forward(self, x: Tensor, y: Tensor, fire: Fire) -> Tensor:
        q, k, v = self.query(x, fire), self.key(y, fire), self.value(y, fire)
        mixed = SCALE * self.mix(heads(q), heads(k), heads(v))
        return self.out(fire(self.lif, mixed.reshape(q.shape)), fire)


class QKAttention(nn.Module):
    """Which tokens matter, as q says: `LIF(BN(conv(k AND LIF(sum of q's channels, head by head))))`.

    Only coincidences of spikes, no sum over tokens or steps (Zhou et al., "QKFormer", arXiv 2403.16552). q is
    of one modality, k of the other: `[T, B, C, h, w]` twice -> spikes of that shape.
    """

    def __init__(self, channels: int, neuron: MakeNeuron, on_lattice: MakeNeuron) -> None:
        super().__init__()
        self.query = ConvUnit(channels, channels, neuron, kernel=1)
        self.key = ConvUnit(channels, channels, neuron, kernel=1)
        self.lif = on_lattice()
        self.out = ConvUnit(channels, channels, neuron, kernel=1)

    def forward(self, x: Tensor, y: Tensor, fire: Fire) -> Tensor:
        k = self.key(y, fire)
        mask = fire(self.lif, heads(self.query(x, fire)).sum(3, keepdim=True))
        return self.out((mask * heads(k)).reshape(k.shape), fire)


class SpatioTemporalAttention(nn.Module):
    """Both branches, combined: `P[t, c, n] = mean_n(a[t, c, n]) mean_t(b[t, c, n])`, numbers in [0, 1].

    Spikes `[T, B, C, h, w]` twice -> `[T, B, C, h, w]`. The causal mean of step t counts the steps so far and
    divides by the `steps` of a whole window.
    """

    def __init__(self, spatial: SpikeAttention, temporal: SpikeAttention, steps: int | None) -> None:
        """`steps`: None for the mean over the whole window."""
        super().__init__()
        self.spatial, self.temporal, self.steps = spatial, temporal, steps

    def forward(self, x: Tensor, y: Tensor, fire: Fire) -> Tensor:
        a, b = self.spatial(x, y, fire), self.temporal(x, y, fire)
        rate = b.mean(0, keepdim=True) if self.steps is None else b.cumsum(0) * (1 / self.steps)
        return a.mean((3, 4), keepdim=True) * rate
