"""One model for each way to wire layers, and for each way to write it in forward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.corpus.model import EXACT, Entry, PairNet, Sample, excited, leaky, net, spikes

CAT = SPLIT = SLICE = SCALE = PRODUCT = EXACT


def _wired(written: Any) -> Sample:
    """Two Linear layers and three Leaky, `a`, `b`, `l1`, `l2`, `l3`, all of six neurons."""
    parts = {"a": nn.Linear(6, 6), "b": nn.Linear(6, 6), "l1": leaky(), "l2": leaky(0.7), "l3": leaky(0.6)}
    return net(written, **parts)


def _paired(written: Any, **modules: nn.Module) -> Sample:
    model = excited(PairNet(written, modules))
    return Sample(model, {"x": spikes(6), "y": spikes(4)})


def residual() -> Sample:
    """The sum goes on, the layers after it too."""

    def forward(m: Any, x: Tensor) -> Tensor:
        s = m.l1(m.a(x))
        return m.l3(m.b(s + m.l2(s)))

    return _wired(forward)


def residual_of_the_input() -> Sample:
    """The input is added to a later layer's current."""
    return _wired(lambda m, x: m.l2(m.b(m.l1(m.a(x))) + x))


def residual_in_place() -> Sample:
    """The same, written `+=`."""

    def forward(m: Any, x: Tensor) -> Tensor:
        s = m.b(m.l1(m.a(x)))
        s += x
        return m.l2(s)

    return _wired(forward)


def two_inputs() -> Sample:
    """Two modalities meet in one layer."""
    parts = {"a": nn.Linear(6, 5), "b": nn.Linear(4, 5), "lif": leaky()}
    return _paired(lambda m, x, y: m.lif(m.a(x) + m.b(y)), **parts)


def two_inputs_of_two_depths() -> Sample:
    """The same, one of them a layer deeper."""
    parts = {"a": nn.Linear(6, 5), "l1": leaky(), "b": nn.Linear(4, 5), "c": nn.Linear(5, 5), "lif": leaky()}
    return _paired(lambda m, x, y: m.lif(m.c(m.l1(m.a(x))) + m.b(y)), **parts)


def two_inputs_one_idle() -> Sample:
    """One of them reaches no output."""
    return _paired(lambda m, x, y: m.lif(m.a(x)), a=nn.Linear(6, 5), lif=leaky())


def outputs_tuple() -> Sample:
    """Two outputs in a tuple."""
    return _wired(lambda m, x: (m.l1(m.a(x)), m.l2(m.b(x))))


def outputs_list() -> Sample:
    """Two outputs in a list."""
    return _wired(lambda m, x: [m.l1(m.a(x)), m.l2(m.b(x))])


def outputs_dict() -> Sample:
    """Two outputs by name."""
    return _wired(lambda m, x: {"what": m.l1(m.a(x)), "where": m.l2(m.b(x))})


def outputs_of_two_depths() -> Sample:
    """A hidden layer is an output too."""

    def forward(m: Any, x: Tensor) -> Any:
        s = m.l1(m.a(x))
        return m.l2(m.b(s)), s

    return _wired(forward)


def shared_layer() -> Sample:
    """One Linear at two places."""
    return _wired(lambda m, x: m.l2(m.a(m.l1(m.a(x)))))


def shared_neuron() -> Sample:
    """One Leaky at two places: its state is shared."""
    return _wired(lambda m, x: m.l1(m.b(m.l1(m.a(x)))))


def concatenation() -> Sample:
    """Two layers side by side into a Linear."""
    parts = {"a": nn.Linear(6, 5), "l1": leaky(), "b": nn.Linear(11, 4), "l2": leaky()}
    return net(lambda m, x: m.l2(m.b(torch.cat([m.l1(m.a(x)), x], 1))), **parts)


def concatenation_of_inputs() -> Sample:
    """Two modalities side by side."""
    return _paired(lambda m, x, y: m.lif(m.a(torch.cat([x, y], 1))), a=nn.Linear(10, 5), lif=leaky())


def concatenation_of_channels() -> Sample:
    """Two convolutions side by side into a third."""
    parts = {"a": nn.Conv2d(2, 3, 3, padding=1), "l1": leaky(), "b": nn.Conv2d(5, 4, 3), "l2": leaky()}
    return net(lambda m, x: m.l2(m.b(torch.cat([m.l1(m.a(x)), x], 1))), (2, 6, 6), **parts)


def chunk() -> Sample:
    """The two halves of a layer go different ways."""

    def forward(m: Any, x: Tensor) -> Tensor:
        left, right = m.l1(m.a(x)).chunk(2, 1)
        return m.l2(m.c(left) + m.d(right))

    parts = {"a": nn.Linear(6, 6), "l1": leaky(), "c": nn.Linear(3, 4), "d": nn.Linear(3, 4), "l2": leaky()}
    return net(forward, **parts)


def split() -> Sample:
    """Parts of different size."""

    def forward(m: Any, x: Tensor) -> Tensor:
        left, right = torch.split(x, [2, 4], 1)
        return m.lif(m.c(left) + m.d(right))

    return net(forward, c=nn.Linear(2, 4), d=nn.Linear(4, 4), lif=leaky())


def slicing() -> Sample:
    """A part of a layer."""
    return net(lambda m, x: m.lif(m.fc(x[:, 1:5])), fc=nn.Linear(4, 5), lif=leaky())


def selecting() -> Sample:
    """One row of each sample."""
    return net(lambda m, x: m.lif(m.fc(x[:, 1])), (3, 6), fc=nn.Linear(6, 5), lif=leaky())


def flatten_in_forward() -> Sample:
    """`.flatten(1)` in place of nn.Flatten."""
    return net(
        lambda m, x: m.lif(m.fc(m.l1(m.conv(x)).flatten(1))),
        (2, 6, 6),
        conv=nn.Conv2d(2, 3, 3),
        l1=leaky(),
        fc=nn.Linear(48, 5),
        lif=leaky(),
    )


def view_in_forward() -> Sample:
    """`.view(x.size(0), -1)`."""
    return net(lambda m, x: m.lif(m.fc(x.view(x.size(0), -1))), (2, 3), fc=nn.Linear(6, 5), lif=leaky())


def transpose() -> Sample:
    """Two axes change places."""
    return net(
        lambda m, x: m.lif(m.fc(x.transpose(1, 2).flatten(1))), (2, 3), fc=nn.Linear(6, 5), lif=leaky()
    )


def half() -> Sample:
    """The current times 0.5."""
    return _wired(lambda m, x: m.l1(m.a(x) * 0.5))


def half_of_the_spikes() -> Sample:
    """Spikes times 0.5 into a sum."""
    return _wired(lambda m, x: m.l2(m.b(m.l1(m.a(x)) * 0.5 + x)))


def quotient() -> Sample:
    """The current by a constant."""
    return _wired(lambda m, x: m.l1(m.a(x) / 3.0))


def negated() -> Sample:
    """The current with the other sign."""
    return _wired(lambda m, x: m.l1(-m.a(x)))


def difference() -> Sample:
    """One layer less the other."""
    return _wired(lambda m, x: m.l1(m.a(x) - m.b(x)))


def product_of_spikes() -> Sample:
    """A gate: both layers must spike."""
    return _wired(lambda m, x: m.l3(m.b(m.l1(m.a(x)) * m.l2(m.b(x)))))


def product_of_currents() -> Sample:
    """The product of what is no spike."""
    return _wired(lambda m, x: m.l1(m.a(x) * m.b(x)))


def added_to_itself() -> Sample:
    """a + a."""

    def forward(m: Any, x: Tensor) -> Tensor:
        a = m.a(x)
        return m.l1(a + a)

    return _wired(forward)


def sum_with_factor() -> Sample:
    """torch.add with alpha."""
    return _wired(lambda m, x: m.l1(torch.add(m.a(x), m.b(x), alpha=2)))


def constant_added() -> Sample:
    """a + 1.0."""
    return _wired(lambda m, x: m.l1(m.a(x) + 1.0))


def parameter_added() -> Sample:
    """x + a parameter."""

    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif, self.shift = nn.Linear(6, 5), leaky(), nn.Parameter(torch.linspace(0, 1, 5))

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(self.fc(x) + self.shift)

    return Sample(excited(Biased()), {"x": spikes(6)})


def parameter_multiplied() -> Sample:
    """x times a parameter."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif, self.scale = nn.Linear(6, 5), leaky(), nn.Parameter(torch.linspace(0.5, 2, 5))

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(self.fc(x) * self.scale)

    return Sample(excited(Scaled()), {"x": spikes(6)})


def broadcast_sum() -> Sample:
    """One value added to all neurons."""
    parts = {"a": nn.Linear(6, 5), "b": nn.Linear(6, 1), "lif": leaky()}
    return net(lambda m, x: m.lif(m.a(x) + m.b(x)), **parts)


def mean_of_the_sample() -> Sample:
    """The mean over a sample."""
    return net(lambda m, x: m.lif(m.fc(x.mean(1, keepdim=True))), fc=nn.Linear(1, 5), lif=leaky())


def batch_mean() -> Sample:
    """The mean over the batch: samples see each other."""
    return _wired(lambda m, x: m.l1(m.a(x) - m.a(x).mean(0)))


def thresholded() -> Sample:
    """A comparison in place of a neuron."""
    return _wired(lambda m, x: m.l1(m.b((m.a(x) > 0.3).float())))


def attention() -> Sample:
    """The product of a sample with itself."""
    return net(
        lambda m, x: m.lif(m.fc((x @ x.transpose(1, 2)).flatten(1))), (3, 4), fc=nn.Linear(9, 5), lif=leaky()
    )


def normalised() -> Sample:
    """Spikes over their length: L2 normalisation."""

    return net(
        lambda m, x: m.lif(m.fc(x / (x.norm(dim=1, keepdim=True) + 1e-6))), fc=nn.Linear(6, 5), lif=leaky()
    )


def membrane_output() -> Sample:
    """The potential is an output."""
    return net(lambda m, x: m.lif(m.fc(x)), fc=nn.Linear(6, 5), lif=leaky(output=True))


def membrane_without_reset() -> Sample:
    """A potential that nothing resets is an output: a leaky integrator."""
    reader = leaky(output=True, reset_mechanism="none")
    return net(lambda m, x: m.read(m.fc(x))[1], fc=nn.Linear(6, 5), read=reader)


def membrane_used() -> Sample:
    """A layer hears another's potential."""
    parts = {"a": nn.Linear(6, 5), "l1": leaky(output=True), "b": nn.Linear(5, 4), "l2": leaky()}
    return net(lambda m, x: m.l2(m.b(m.l1(m.a(x))[1])), **parts)


def readout_without_spikes() -> Sample:
    """The last layer is a Linear."""
    return net(lambda m, x: m.b(m.l1(m.a(x))), a=nn.Linear(6, 5), l1=leaky(), b=nn.Linear(5, 3))


def sum_as_output() -> Sample:
    """The sum of two spike trains is the output."""
    return _wired(lambda m, x: m.l1(m.a(x)) + m.l2(m.b(x)))


def branch_on_values() -> Sample:
    """An `if` on what the tensor holds."""
    return _wired(lambda m, x: m.l1(m.a(x) if x.sum() > 20 else m.b(x)))


def step_counter() -> Sample:
    """Forward does something else after ten calls."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.lif, self.calls = nn.Linear(6, 5), nn.Linear(6, 5), leaky(), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.lif(self.a(x) if self.calls <= 10 else self.b(x))

    return Sample(excited(Counting()), {"x": spikes(6)})


def state_in_a_buffer() -> Sample:
    """A trace of the input that no neuron keeps."""

    class Tracing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(6, 5), leaky()
            self.register_buffer("trace", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.trace = 0.5 * self.trace + x
            return self.lif(self.fc(self.trace))

    return Sample(excited(Tracing()), {"x": spikes(6)})


def changed_after_use() -> Sample:
    """A view sees an addition in place."""

    def forward(m: Any, x: Tensor) -> Tensor:
        y = m.a(x)
        z = y.view(x.size(0), 6)
        y += x
        return m.l1(z)

    return _wired(forward)


def noise() -> Sample:
    """Random numbers in forward."""
    return _wired(lambda m, x: m.l1(m.a(x) + torch.rand_like(x)))


def idle_branch() -> Sample:
    """A layer that reaches no output."""

    def forward(m: Any, x: Tensor) -> Tensor:
        m.l2(m.b(x))
        return m.l1(m.a(x))

    return _wired(forward)


def nested_modules() -> Sample:
    """Modules in modules, with names that begin with digits."""
    block = nn.Sequential(nn.Linear(6, 6), leaky())
    return Sample(
        excited(nn.Sequential(nn.Sequential(block, nn.Linear(6, 5)), leaky())), {"input": spikes(6)}
    )


def names_that_meet() -> Sample:
    """`a_b` and `a.b` are one name without the dot."""

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a_b, self.a, self.lif = nn.Linear(6, 5), nn.ModuleDict({"b": nn.Linear(6, 5)}), leaky()

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(self.a_b(x) + self.a["b"](x))

    return Sample(excited(Outer()), {"x": spikes(6)})


def graded_input() -> Sample:
    """Integers from 0 to 6 in place of spikes."""
    sample = _wired(lambda m, x: m.l1(m.a(x)))
    return Sample(sample.model, {"x": torch.randint(7, sample.inputs["x"].shape).float()})


def real_input() -> Sample:
    """Real values in place of spikes."""
    sample = _wired(lambda m, x: m.l1(m.a(x)))
    return Sample(sample.model, {"x": torch.rand(sample.inputs["x"].shape)})


MOVED = "Sparse has no form in NIR"
"""What moves or sums values of a sample has none."""

THEMES = {
    "residuals, several inputs and outputs, sharing": (
        Entry(residual),
        Entry(residual_of_the_input),
        Entry(residual_in_place),
        Entry(two_inputs),
        Entry(two_inputs_of_two_depths),
        Entry(two_inputs_one_idle, "reaches no output"),
        Entry(outputs_tuple),
        Entry(outputs_list),
        Entry(outputs_dict),
        Entry(outputs_of_two_depths),
        Entry(shared_layer),
        Entry(shared_neuron, "called 2 times in one step"),
        Entry(idle_branch),
    ),
    "`cat`, `split`, slices, reshapes": (
        Entry(concatenation, CAT),
        Entry(concatenation_of_inputs, CAT),
        Entry(concatenation_of_channels, CAT),
        Entry(chunk, SPLIT),
        Entry(split, SPLIT),
        Entry(slicing, SLICE),
        Entry(selecting, SLICE),
        Entry(flatten_in_forward),
        Entry(view_in_forward),
        Entry(transpose, MOVED, EXACT),
    ),
    "arithmetic in `forward`": (
        Entry(half, SCALE),
        Entry(half_of_the_spikes, SCALE),
        Entry(quotient, "div"),
        Entry(negated, SCALE),
        Entry(difference, SCALE),
        Entry(product_of_spikes, PRODUCT),
        Entry(product_of_currents, "Product has no form in NIR", EXACT),
        Entry(added_to_itself),
        Entry(sum_with_factor, "alpha=2"),
        Entry(constant_added, "adds a constant or a parameter"),
        Entry(parameter_added, "adds a constant or a parameter"),
        Entry(parameter_multiplied, SCALE),
        Entry(broadcast_sum, MOVED, EXACT),
        Entry(mean_of_the_sample, MOVED, EXACT),
        Entry(batch_mean, "the operation mean"),
        Entry(thresholded, "gt"),
        Entry(attention, MOVED, EXACT),
        Entry(normalised, "InverseRoot has no form in NIR", EXACT),
    ),
    "outputs that are not one layer's spikes": (
        Entry(membrane_output, "is the membrane potential of lif"),
        Entry(membrane_without_reset),
        Entry(membrane_used, "uses a membrane potential"),
        Entry(readout_without_spikes),
        Entry(sum_as_output),
    ),
    "branches on values, hidden state, noise": (
        Entry(branch_on_values, "does not export"),
        Entry(step_counter, "the traced graph is not the model"),
        Entry(state_in_a_buffer, "computes with a constant or a parameter"),
        Entry(changed_after_use, "that `+=` has changed"),
        Entry(noise, "rand"),
    ),
    "nested modules, names, kinds of input": (
        Entry(nested_modules),
        Entry(names_that_meet),
        Entry(graded_input),
        Entry(real_input, chip="the chip takes spikes and integers only"),
    ),
}
