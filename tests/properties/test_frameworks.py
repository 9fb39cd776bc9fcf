"""Random snnTorch models: the model, snnTorch on its graph, the graph, NIR read back and ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

import snntorch as snn  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from avnir.compile import TO_NIR, run_passes  # noqa: E402
from avnir.export import read_nir, write_nir  # noqa: E402
from avnir.export.onnx_run import onnx_trace  # noqa: E402
from avnir.export.replay import TieError  # noqa: E402
from avnir.export.torch_reference import reference  # noqa: E402
from avnir.export.tracing import traced  # noqa: E402
from avnir.ir.interpret_real import interpret_real  # noqa: E402
from avnir.verify.ties import tie_samples  # noqa: E402

Draw = st.DrawFn
PICTURE = (2, 7, 6)
ROW = 9
RESETS = ("zero", "subtract", "none")


class Drawn(nn.Module):
    """A picture and a row through drawn layers each, joined, and through drawn layers to the output."""

    def __init__(self, see: nn.Module, hear: nn.Module, how: str, rest: nn.Module) -> None:
        super().__init__()
        self.see, self.hear, self.how, self.rest = see, hear, how, rest

    def forward(self, picture: Tensor, row: Tensor) -> dict[str, Tensor]:
        seen, heard = self.see(picture), self.hear(row)
        size = min(seen.shape[1], heard.shape[1])
        joined = {
            "cat": lambda: torch.cat([seen, heard], dim=1),
            "sum": lambda: seen[:, :size] + heard[:, :size],
            "difference": lambda: seen[:, :size] - 0.5 * heard[:, :size],
            "product": lambda: seen[:, :size] * heard[:, :size],
        }[self.how]()
        return {"joined": self.rest(joined), "heard": heard}


class Residual(nn.Module):
    """x + block(x)."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


@st.composite
def models(draw: Draw) -> nn.Module:
    """A model in eval mode whose neurons keep their states."""
    torch.manual_seed(draw(st.integers(0, 2**31 - 1)))
    see = [*draw(_picture_layers()), nn.Flatten()]
    hear = draw(_row_layers(ROW))
    averaged = any(isinstance(layer, nn.AvgPool2d) for layer in see)
    joins = ("cat", "sum", "difference") if averaged else ("cat", "sum", "difference", "product")
    how = draw(st.sampled_from(joins))
    seen, heard = _size(see, PICTURE), _size(hear, (ROW,))
    joined = seen + heard if how == "cat" else min(seen, heard)
    rest = draw(_row_layers(joined))
    model = Drawn(nn.Sequential(*see), nn.Sequential(*hear), how, nn.Sequential(*rest))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.3, 2.0)
            nn.init.uniform_(module.weight, -1.5, 1.5)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, 0.1, 2 / module.weight[0].numel() ** 0.5)
    return model.eval()


def _size(layers: list[nn.Module], shape: tuple[int, ...]) -> int:
    with torch.no_grad():
        out = nn.Sequential(*(layer for layer in layers if not _keeps_shape(layer))).eval()(
            torch.zeros(1, *shape)
        )
    return int(out.shape[1])


def _keeps_shape(layer: nn.Module) -> bool:
    return isinstance(layer, Residual) or type(layer).__module__.startswith("snntorch")


@st.composite
def _picture_layers(draw: Draw) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = PICTURE[0]
    for index in range(draw(st.integers(1, 2))):
        groups = draw(st.sampled_from((1, channels)))
        made = channels * draw(st.sampled_from((1, 2)))
        kernel = draw(st.sampled_from(((3, 3), (1, 3), (2, 2))))
        dilation = draw(st.sampled_from((1, 2))) if kernel == (1, 3) and index == 0 else 1
        options = {"stride": draw(st.sampled_from((1, 1, 2))), "padding": 1, "dilation": dilation}
        layers.append(nn.Conv2d(channels, made, kernel, groups=groups, bias=draw(st.booleans()), **options))
        channels = made
        layers += [nn.BatchNorm2d(channels)] if draw(st.booleans()) else []
        layers.append(draw(_neurons(channels, picture=True)))
        pools: list[nn.Module] = [nn.Identity(), nn.AvgPool2d(2), nn.MaxPool2d(2, 1)]
        layers += [draw(st.sampled_from(pools))] if index == 0 else []
        if draw(st.booleans()):
            block = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1), draw(_neurons(channels, picture=True))
            )
            layers.append(Residual(block))
            layers.append(draw(_neurons(channels, picture=True)))
    return layers


@st.composite
def _row_layers(draw: Draw, size: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 2))):
        made = draw(st.integers(3, 8))
        layers.append(nn.Linear(size, made, bias=draw(st.booleans())))
        size = made
        layers += [nn.BatchNorm1d(size)] if draw(st.booleans()) else []
        layers.append(draw(_neurons(size)))
        if draw(st.booleans()):
            layers.append(Residual(nn.Sequential(nn.Linear(size, size), draw(_neurons(size)))))
            layers.append(draw(_neurons(size)))
    return layers


@st.composite
def _neurons(draw: Draw, size: int, picture: bool = False) -> nn.Module:
    """A neuron of any kind, parameters for each channel or one for all."""
    shape = (size, 1, 1) if picture else (size,)
    vector = draw(st.booleans())

    def between(low: float, high: float) -> Any:
        values = low + (high - low) * torch.rand(shape)
        return values if vector else float(values.flatten()[0])

    mechanism = draw(st.sampled_from(RESETS))
    common = {"threshold": between(0.4, 1.2), "init_hidden": True, "reset_mechanism": mechanism}
    delay = {"reset_delay": draw(st.booleans())}
    kind = draw(st.sampled_from(("Leaky", "Leaky", "Synaptic", "Lapicque", "RLeaky", "RSynaptic", "Alpha")))
    beta = between(0.2, 0.95)
    if kind == "Leaky":
        return snn.Leaky(beta, **common, **delay)
    if kind == "Synaptic":
        return snn.Synaptic(between(0.1, 0.9), beta, **common, **delay)
    if kind == "Lapicque":
        return snn.Lapicque(R=1.0, C=2 + 7 * float(torch.rand(())), time_step=1, **common)
    if kind == "Alpha":
        return snn.Alpha(0.7, 0.4, threshold=common["threshold"], init_hidden=True, reset_mechanism="none")
    loop: dict[str, Any] = {"all_to_all": False, "V": between(-0.9, 0.9)}
    if draw(st.booleans()):
        loop = {"conv2d_channels": size, "kernel_size": 3} if picture else {"linear_features": size}
    if kind == "RLeaky":
        return snn.RLeaky(beta, **loop, **common, **delay)
    return snn.RSynaptic(between(0.1, 0.9), beta, **loop, **common)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
@given(model=models(), seed=st.integers(0, 2**31 - 1))
def test_every_framework_gives_the_same_spikes(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = {
        "picture": (torch.rand(20, 3, *PICTURE, generator=generator) < 0.3).float(),
        "row": (torch.rand(20, 3, ROW, generator=generator) < 0.3).float(),
    }
    try:
        made = traced(model, x)
    except TieError:
        assume(False)
    graph, inputs = made.graph, made.examples.arrays()
    exact = interpret_real(graph, inputs)
    for run in (reference, onnx_trace):
        trace = run(graph, inputs)
        ties = tie_samples(graph, inputs, trace, exact)
        clear = [sample for sample in range(3) if sample not in ties]
        for name, spikes in exact.samples(clear).spikes.items():
            np.testing.assert_array_equal(trace.samples(clear).spikes[name], spikes, name)
    lowered, _ = run_passes(graph, TO_NIR)
    with tempfile.TemporaryDirectory() as folder:
        write_nir(lowered, Path(folder) / "graph.nir")
        again = read_nir(Path(folder) / "graph.nir")
    assert again == lowered
    read = interpret_real(again, inputs)
    for name, spikes in exact.spikes.items():
        if name in read.spikes:
            np.testing.assert_array_equal(read.spikes[name], spikes, name)
    for name, values in exact.outputs.items():
        np.testing.assert_array_equal(read.outputs[name], values, name)
