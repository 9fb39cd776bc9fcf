"""One model for each way to hold the time loop in forward."""

from __future__ import annotations

from typing import Any

import snntorch as snn
import torch
from snntorch import utils
from torch import Tensor, nn

import avnir
from tests.corpus.model import EXACT, Entry, Sample, leaky, window


def _looped(written: Any, **options: Any) -> Sample:
    """Linear, Leaky, Linear, Leaky; forward gets `[T, B, 6]`."""
    parts = {"a": nn.Linear(6, 8), "l1": leaky(**options), "b": nn.Linear(8, 4), "l2": leaky(**options)}
    return window(written, **parts)


def window_hidden() -> Sample:
    """Hidden states, the steps from the tensor itself."""
    return _looped(lambda m, x: torch.stack([m.l2(m.b(m.l1(m.a(step)))) for step in x]))


def window_explicit() -> Sample:
    """The states from `reset_mem`, the steps by index, the outputs from a list."""

    def forward(m: Any, x: Tensor) -> Tensor:
        mem1, mem2 = m.l1.reset_mem(), m.l2.reset_mem()
        record = []
        for step in range(x.size(0)):
            spk, mem1 = m.l1(m.a(x[step]), mem1)
            spk, mem2 = m.l2(m.b(spk), mem2)
            record.append(spk)
        return torch.stack(record, dim=0)

    return _looped(forward, init_hidden=False)


def window_reset_first() -> Sample:
    """`utils.reset` at the beginning of forward."""

    def forward(m: Any, x: Tensor) -> Tensor:
        utils.reset(m)
        return torch.stack([m.l2(m.b(m.l1(m.a(step)))) for step in x])

    return _looped(forward)


def window_layers_at_once() -> Sample:
    """Layers without state take all steps as one batch."""

    def forward(m: Any, x: Tensor) -> Tensor:
        current = m.a(x.flatten(0, 1)).unflatten(0, (x.size(0), x.size(1)))
        return torch.stack([m.l2(m.b(m.l1(step))) for step in current])

    return _looped(forward)


def window_two_records() -> Sample:
    """Spikes of both layers."""

    def forward(m: Any, x: Tensor) -> Any:
        first, second = [], []
        for step in x:
            first.append(m.l1(m.a(step)))
            second.append(m.l2(m.b(first[-1])))
        return torch.stack(first), torch.stack(second)

    return _looped(forward)


def window_with_membranes() -> Sample:
    """Spikes and potentials, as snnTorch's tutorials return them."""

    def forward(m: Any, x: Tensor) -> Any:
        mem, spikes, potentials = m.l1.reset_mem(), [], []
        for step in x:
            spk, mem = m.l1(m.a(step), mem)
            spikes.append(spk)
            potentials.append(mem)
        return torch.stack(spikes), torch.stack(potentials)

    return window(forward, a=nn.Linear(6, 8), l1=snn.Leaky(0.9))


def window_with_free_membranes() -> Sample:
    """The same, of a neuron that nothing resets."""

    def forward(m: Any, x: Tensor) -> Any:
        mem, spikes, potentials = m.l1.reset_mem(), [], []
        for step in x:
            spk, mem = m.l1(m.a(step), mem)
            spikes.append(spk)
            potentials.append(mem)
        return torch.stack(spikes), torch.stack(potentials)

    return window(forward, a=nn.Linear(6, 8), l1=snn.Leaky(0.9, reset_mechanism="none"))


def window_summed() -> Sample:
    """The spike count over the window."""
    return _looped(lambda m, x: torch.stack([m.l1(m.a(step)) for step in x]).sum(0))


def window_last_step() -> Sample:
    """The last step's spikes alone."""
    return _looped(lambda m, x: torch.stack([m.l1(m.a(step)) for step in x])[-1])


def window_static_input() -> Sample:
    """The first step's input in every step."""
    return _looped(lambda m, x: torch.stack([m.l1(m.a(x[0])) for _ in range(x.size(0))]))


def window_reversed() -> Sample:
    """From the last step to the first."""
    return _looped(lambda m, x: torch.stack([m.l1(m.a(step)) for step in x.flip(0)]))


def window_delayed() -> Sample:
    """A layer hears the step before."""

    def forward(m: Any, x: Tensor) -> Tensor:
        before, record = torch.zeros(x.size(1), 8), []
        for step in x:
            record.append(m.l2(m.b(before)))
            before = m.l1(m.a(step))
        return torch.stack(record)

    return _looped(forward)


def window_feedback() -> Sample:
    """The output comes back in the next step."""

    def forward(m: Any, x: Tensor) -> Tensor:
        back, record = torch.zeros(x.size(1), 8), []
        for step in x:
            back = m.l1(m.a(step) + back)
            record.append(back)
        return torch.stack(record)

    return window(forward, a=nn.Linear(6, 8), l1=leaky())


def window_reset_in_the_middle() -> Sample:
    """The states are cleared after half of the steps."""

    def forward(m: Any, x: Tensor) -> Tensor:
        record = []
        for index, step in enumerate(x):
            if index == len(x) // 2:
                utils.reset(m)
            record.append(m.l1(m.a(step)))
        return torch.stack(record)

    return window(forward, a=nn.Linear(6, 8), l1=leaky())


def window_batch_first() -> Sample:
    """Steps on the second axis: avnir's windows have them on the first."""
    return _looped(lambda m, x: torch.stack([m.l1(m.a(step)) for step in x.transpose(0, 1)], 1))


def window_neuron_on_all_steps() -> Sample:
    """A neuron takes the whole window as if it were a batch."""
    return _looped(lambda m, x: m.l1(m.a(x)))


def _fired(neuron: nn.Module, current: Tensor) -> Tensor:
    return torch.stack([neuron(step) for step in current])


def window_mean() -> Sample:
    """Each step's spikes beside their mean over the window."""

    def forward(m: Any, x: Tensor) -> Tensor:
        spikes = torch.stack([m.l1(m.a(step)) for step in x])
        rate = spikes.mean(0)
        return torch.stack([m.l2(m.b(step + 2.0 * rate)) for step in spikes])

    return _looped(forward)


def window_running_sum() -> Sample:
    """The spikes so far."""
    return window(lambda m, x: _fired(m.lif, 0.03 * x.cumsum(0) - 0.2 * x), lif=leaky())


def window_attention() -> Sample:
    """Attention over the steps, q (k^T v), of three layers of spikes."""

    def forward(m: Any, x: Tensor) -> Tensor:
        q, k, v = (
            torch.stack([lif(fc(step)) for step in x]) for fc, lif in ((m.a, m.l1), (m.b, m.l2), (m.c, m.l3))
        )
        kv = torch.einsum("tbd,tbe->bde", k, v)
        return _fired(m.lif, 0.004 * torch.einsum("tbd,bde->tbe", q, kv))

    parts = {"a": nn.Linear(6, 4), "b": nn.Linear(6, 4), "c": nn.Linear(6, 4)}
    neurons = {"l1": leaky(), "l2": leaky(), "l3": leaky(), "lif": leaky()}
    return window(forward, **parts, **neurons)


def window_earlier() -> Sample:
    """A layer hears the spikes of three steps ago beside those of now: avnir.delayed."""

    def forward(m: Any, x: Tensor) -> Tensor:
        return _fired(m.lif, x * 0.7 + 0.8 * avnir.delayed(x, 3))

    return window(forward, lif=leaky())


THEMES = {
    "the time loop in `forward`": (
        Entry(window_hidden),
        Entry(window_explicit),
        Entry(window_reset_first),
        Entry(window_layers_at_once),
        Entry(window_two_records),
        Entry(window_with_membranes, "leave it out: avnir.save(model, example_inputs, path, outputs="),
        Entry(window_with_free_membranes),
        Entry(window_summed, "is not a tensor [T, B, ...]"),
        Entry(window_last_step, "is not a tensor [T, B, ...]"),
        Entry(window_static_input, "the traced graph is not the model"),
        Entry(window_reversed, "moves or mixes the batch or the steps"),
        Entry(window_delayed, "computes with zeros, which a loop over the steps may replace"),
        Entry(window_feedback, "computes with zeros, which a loop over the steps may replace"),
        Entry(window_reset_in_the_middle, "the traced graph is not the model"),
        Entry(window_batch_first, "called 7 times"),
        Entry(window_neuron_on_all_steps, "gets the whole window at once"),
        Entry(window_mean, "WindowSum has no form in NIR", EXACT),
        Entry(window_running_sum, "WindowSum has no form in NIR", EXACT),
        Entry(window_attention, "WindowSum has no form in NIR", EXACT),
        Entry(window_earlier),
    ),
}
