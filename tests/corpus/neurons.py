"""One model for each thing that snnTorch's neurons can be told."""

from __future__ import annotations

from typing import Any

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

from tests.corpus.model import BATCH, Entry, Net, Sample, excited, leaky, net, spikes

ALPHA_IN_NIR = "Alpha has no form in NIR"
ALPHA_ON_CHIP = "its inputs have no form as synapses"


def _pair(neuron: nn.Module) -> Sample:
    """Linear, the neuron, Linear, Leaky."""
    layers = nn.Sequential(nn.Linear(6, 9), neuron, nn.Linear(9, 4), leaky(0.75))
    return Sample(excited(layers), {"input": spikes(6)})


def leaky_default() -> Sample:
    """Leaky as snnTorch makes it: the threshold is subtracted one step late."""
    return _pair(snn.Leaky(0.9, init_hidden=True))


def leaky_zero_delayed() -> Sample:
    """Hard reset, one step late."""
    return _pair(leaky(0.9, reset_delay=True))


def leaky_subtract_at_once() -> Sample:
    """Soft reset within the step."""
    return _pair(leaky(0.9, reset_mechanism="subtract"))


def leaky_zero_at_once() -> Sample:
    """Hard reset within the step: the chip's own neuron."""
    return _pair(leaky(0.9))


def leaky_reset_none() -> Sample:
    """No reset."""
    return _pair(leaky(0.9, reset_mechanism="none"))


class _Explicit(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 9), nn.Linear(9, 4)
        self.lif1, self.lif2 = snn.Leaky(0.9, **options), snn.Leaky(0.75, **options)

    def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spk, mem1 = self.lif1(self.fc1(x), mem1)
        spk, mem2 = self.lif2(self.fc2(spk), mem2)
        return spk, mem1, mem2


def _explicit(**options: Any) -> Sample:
    states = (torch.zeros(BATCH, 9), torch.zeros(BATCH, 4))
    return Sample(excited(_Explicit(**options)), {"x": spikes(6)}, states=states)


def leaky_explicit_state() -> Sample:
    """The potentials are handed in and back."""
    return _explicit(reset_mechanism="zero", reset_delay=False)


def leaky_explicit_state_subtract() -> Sample:
    """The same with snnTorch's default reset."""
    return _explicit()


def leaky_beta_vector() -> Sample:
    """A decay for each neuron."""
    return _pair(leaky(torch.linspace(0.3, 0.97, 9)))


def leaky_beta_channels() -> Sample:
    """A decay for each channel of a convolution."""
    beta = torch.linspace(0.5, 0.95, 4).reshape(1, 4, 1, 1)
    layers = nn.Sequential(nn.Conv2d(2, 4, 3), leaky(beta), nn.Flatten(), nn.Linear(64, 5), leaky())
    return Sample(excited(layers), {"input": spikes(2, 6, 6)})


def leaky_beta_learned() -> Sample:
    """The decay is a parameter."""
    return _pair(leaky(0.87, learn_beta=True))


def leaky_beta_above_one() -> Sample:
    """snnTorch clamps the decay to 1 while it runs."""
    return _pair(leaky(1.3))


def leaky_beta_below_zero() -> Sample:
    """snnTorch clamps the decay to 0 while it runs."""
    return _pair(leaky(-0.4))


def leaky_beta_one() -> Sample:
    """No leak: NIR's IF."""
    return _pair(leaky(1.0))


def leaky_beta_zero() -> Sample:
    """No memory."""
    return _pair(leaky(0.0))


def leaky_beta_one_and_less() -> Sample:
    """Some neurons of a layer leak, others do not; NIR has no such layer."""
    return _pair(leaky(torch.tensor([1.0, 0.9, 0.8, 1.0, 0.7, 0.6, 0.5, 0.9, 1.0])))


def leaky_threshold_vector() -> Sample:
    """A threshold for each neuron."""
    return _pair(leaky(0.9, torch.linspace(0.5, 1.7, 9)))


def leaky_threshold_learned() -> Sample:
    """The threshold is a parameter."""
    return _pair(leaky(0.9, 0.83, learn_threshold=True))


def leaky_threshold_negative() -> Sample:
    """A threshold below zero: silence spikes."""
    return _pair(leaky(0.9, -0.5))


def leaky_output_flag() -> Sample:
    """output=True returns spikes and potential; forward uses the spikes."""
    parts = {"fc": nn.Linear(6, 5), "lif": leaky(0.9, output=True)}
    return net(lambda m, x: m.lif(m.fc(x))[0], **parts)


def leaky_graded_factor() -> Sample:
    """Spikes of 3 in place of 1."""
    return _pair(leaky(0.9, graded_spikes_factor=3.0))


def leaky_inhibition() -> Sample:
    """Only the neuron with the highest potential spikes."""
    return _pair(leaky(0.9, inhibition=True))


def leaky_state_quantised() -> Sample:
    """The potential is rounded in each step."""
    return _pair(leaky(0.9, state_quant=lambda v: torch.round(v * 8) / 8))


def _dice(x: Tensor) -> Tensor:
    return (x > 0.5 * torch.rand_like(x)).float()


def leaky_surrogate_stochastic() -> Sample:
    """The surrogate throws dice in the forward pass."""
    return _pair(leaky(0.9, spike_grad=_dice))


def leaky_surrogate_fast_sigmoid() -> Sample:
    """A surrogate that is the step function forwards."""
    return _pair(leaky(0.9, spike_grad=surrogate.fast_sigmoid()))


def leaky_surrogate_soft() -> Sample:
    """The spikes are a sigmoid, no step."""
    return _pair(leaky(0.9, spike_grad=torch.sigmoid))


def leaky_state_of_another_reset() -> Sample:
    """A state_dict from a neuron with another reset was loaded."""
    sample = _pair(leaky(0.9))
    sample.model[1].reset_mechanism_val.fill_(0)  # type: ignore[index,operator,union-attr]
    return sample


class _Tired(snn.Leaky):
    """A user's own neuron: every answer is halved."""

    def forward(self, input_: Tensor, mem: Tensor | None = None) -> Any:
        return 0.5 * super().forward(input_, mem)


def leaky_subclass() -> Sample:
    """A user's class that changes what Leaky does."""
    return _pair(_Tired(0.9, init_hidden=True))


def leaky_state_not_handed_on() -> Sample:
    """Explicit state that forward drops: snnTorch's neuron keeps it all the same."""
    return net(lambda m, x: m.lif(m.fc(x))[0], fc=nn.Linear(6, 5), lif=snn.Leaky(0.9))


class _Swapped(_Explicit):
    def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spk, mem1, mem2 = super().forward(x, mem2, mem1)
        return spk, mem1, mem2


def leaky_states_swapped() -> Sample:
    """Two layers of one size hand each other their potentials."""
    model = _Swapped(reset_mechanism="zero", reset_delay=False)
    model.fc2 = nn.Linear(9, 9)
    return Sample(excited(model), {"x": spikes(6)}, states=(torch.zeros(BATCH, 9), torch.zeros(BATCH, 9)))


def synaptic_default() -> Sample:
    """A synaptic current in front of the potential; soft reset."""
    return _pair(snn.Synaptic(0.8, 0.9, init_hidden=True))


def synaptic_zero() -> Sample:
    """The same with hard reset."""
    return _pair(snn.Synaptic(0.8, 0.9, init_hidden=True, reset_mechanism="zero"))


def synaptic_zero_at_once() -> Sample:
    """Hard reset within the step."""
    return _pair(snn.Synaptic(0.8, 0.9, init_hidden=True, reset_mechanism="zero", reset_delay=False))


def synaptic_subtract_at_once() -> Sample:
    """Soft reset within the step."""
    return _pair(snn.Synaptic(0.8, 0.9, init_hidden=True, reset_mechanism="subtract", reset_delay=False))


def synaptic_reset_none() -> Sample:
    """No reset."""
    return _pair(snn.Synaptic(0.8, 0.9, init_hidden=True, reset_mechanism="none"))


def lapicque_default() -> Sample:
    """The RC circuit, soft reset."""
    return _pair(snn.Lapicque(beta=0.9, init_hidden=True))


def lapicque_circuit() -> Sample:
    """Given by its resistance and capacitance, hard reset."""
    return _pair(snn.Lapicque(R=5.0, C=2.0, time_step=1.0, init_hidden=True, reset_mechanism="zero"))


def alpha_default() -> Sample:
    """Two exponential currents make the potential."""
    return _pair(snn.Alpha(0.9, 0.8, init_hidden=True, reset_mechanism="zero"))


def alpha_subtract() -> Sample:
    """The same with the threshold subtracted."""
    return _pair(snn.Alpha(0.9, 0.8, init_hidden=True, reset_mechanism="subtract"))


def alpha_reset_none() -> Sample:
    """The same without a reset."""
    return _pair(snn.Alpha(0.9, 0.8, init_hidden=True, reset_mechanism="none"))


def rleaky_all_to_all() -> Sample:
    """A layer whose spikes come back through a Linear."""
    return _pair(snn.RLeaky(0.9, linear_features=9, init_hidden=True))


def rleaky_one_to_one() -> Sample:
    """A layer whose neurons hear themselves."""
    return _pair(snn.RLeaky(0.9, all_to_all=False, V=torch.full((9,), 0.3), init_hidden=True))


def rsynaptic_all_to_all() -> Sample:
    """Recurrence and a synaptic current."""
    return _pair(snn.RSynaptic(0.8, 0.9, linear_features=9, init_hidden=True))


def rleaky_convolution() -> Sample:
    """A layer of channels whose spikes come back through a Conv2d, hard reset."""
    neuron = snn.RLeaky(0.9, conv2d_channels=4, kernel_size=3, init_hidden=True, reset_mechanism="zero")
    layers = nn.Sequential(nn.Conv2d(2, 4, 3), neuron, nn.Flatten(), nn.Linear(64, 5), leaky())
    return Sample(excited(layers), {"input": spikes(2, 6, 6)})


class _Recurrent(nn.Module):
    """Linear, RLeaky whose spikes and potential forward takes and returns, Linear, Leaky."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 9), nn.Linear(9, 4)
        self.lif1, self.lif2 = snn.RLeaky(0.9, linear_features=9, reset_delay=False), leaky()

    def forward(self, x: Tensor, spk: Tensor, mem: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spk, mem = self.lif1(self.fc1(x), spk, mem)
        return self.lif2(self.fc2(spk)), spk, mem


def rleaky_explicit_state() -> Sample:
    """Spikes and potential are handed in and back; soft reset within the step."""
    return Sample(excited(_Recurrent()), {"x": spikes(6)}, states=(torch.zeros(BATCH, 9),) * 2)


def rsynaptic_reset_at_once() -> Sample:
    """reset_delay=False, which snnTorch's RSynaptic loses or fails on."""
    return _pair(snn.RSynaptic(0.8, 0.9, linear_features=9, init_hidden=True, reset_delay=False))


class _OwnRecurrence(nn.Module):
    """The spikes of the step before are a state that forward adds through a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.back, self.lif = nn.Linear(6, 9), nn.Linear(9, 9), leaky(0.9)

    def forward(self, x: Tensor, spk: Tensor) -> tuple[Tensor, Tensor]:
        spk = self.lif(self.back(spk) + self.fc(x))
        return spk, spk


def recurrence_in_forward() -> Sample:
    """The model's own recurrence: `lif(back(spk) + fc(x))`, spikes handed in and back."""
    return Sample(excited(_OwnRecurrence()), {"x": spikes(6)}, states=(torch.zeros(BATCH, 9),))


def slstm() -> Sample:
    """A spiking LSTM cell."""
    return _pair(snn.SLSTM(9, 9, init_hidden=True))


def sconv2dlstm() -> Sample:
    """A spiking convolutional LSTM cell."""
    cell = snn.SConv2dLSTM(2, 3, 3, init_hidden=True)
    return net(
        lambda m, x: m.lif(m.fc(m.cell(x).flatten(1))),
        (2, 6, 6),
        cell=cell,
        fc=nn.Linear(108, 4),
        lif=leaky(),
    )


def neuron_of_another_library() -> Sample:
    """A neuron that avnir has never heard of: its potential is a buffer."""

    class Foreign(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("v", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.v = 0.9 * self.v + x
            return (self.v > 1).float()

    return Sample(
        excited(Net(lambda m, x: m.foreign(m.fc(x)), {"fc": nn.Linear(6, 5), "foreign": Foreign()})),
        {"x": spikes(6)},
    )


THEMES = {
    "`Leaky`: resets and states": (
        Entry(leaky_default),
        Entry(leaky_zero_delayed),
        Entry(leaky_subtract_at_once),
        Entry(leaky_zero_at_once),
        Entry(leaky_reset_none),
        Entry(leaky_explicit_state),
        Entry(leaky_explicit_state_subtract),
        Entry(leaky_state_not_handed_on),
        Entry(leaky_states_swapped, "state 0 is not handed back"),
        Entry(leaky_state_of_another_reset, "it was built with the reset"),
        Entry(leaky_output_flag),
        Entry(leaky_subclass, "the neuron _Tired"),
    ),
    "`Leaky`: decays and thresholds": (
        Entry(leaky_beta_vector),
        Entry(leaky_beta_channels),
        Entry(leaky_beta_learned),
        Entry(leaky_beta_above_one),
        Entry(leaky_beta_below_zero),
        Entry(leaky_beta_one),
        Entry(leaky_beta_zero),
        Entry(leaky_beta_one_and_less, "some of its neurons have beta = 1"),
        Entry(leaky_threshold_vector),
        Entry(leaky_threshold_learned),
        Entry(leaky_threshold_negative, "a negative threshold"),
    ),
    "`Leaky`: its other options": (
        Entry(leaky_graded_factor, "graded_spikes_factor"),
        Entry(leaky_inhibition, "inhibition=True"),
        Entry(leaky_state_quantised, "state_quant"),
        Entry(leaky_surrogate_stochastic, "not the step x > 0"),
        Entry(leaky_surrogate_fast_sigmoid),
        Entry(leaky_surrogate_soft, "not the step x > 0"),
    ),
    "`Synaptic`, `Lapicque`, `Alpha`": (
        Entry(synaptic_default),
        Entry(synaptic_zero),
        Entry(synaptic_zero_at_once),
        Entry(synaptic_subtract_at_once),
        Entry(synaptic_reset_none),
        Entry(lapicque_default),
        Entry(lapicque_circuit),
        Entry(alpha_default, ALPHA_IN_NIR, ALPHA_ON_CHIP),
        Entry(alpha_subtract, ALPHA_IN_NIR, ALPHA_ON_CHIP),
        Entry(alpha_reset_none, chip="messages of up to"),
    ),
    "recurrent and foreign neurons, LSTMs": (
        Entry(rleaky_all_to_all),
        Entry(rleaky_one_to_one),
        Entry(rleaky_convolution),
        Entry(rleaky_explicit_state),
        Entry(rsynaptic_all_to_all),
        Entry(rsynaptic_reset_at_once, "does not work in snnTorch 1.0.0"),
        Entry(recurrence_in_forward),
        Entry(slstm, "the neuron SLSTM"),
        Entry(sconv2dlstm, "the neuron SConv2dLSTM"),
        Entry(neuron_of_another_library, "computes with a constant or a parameter"),
    ),
}
