"""A small audio-visual spiking network that reads and hears one digit.

The two branches have different depths on purpose, as any useful pair of modalities has:

    image [B,1,16,16]  conv LIF maxpool  conv LIF  (x + conv LIF)  avgpool  fc --.
                                                                                 +-- LIF  fc  LIF -> [B,10]
    audio [B,1,16,16]  conv LIF avgpool  conv LIF                           fc --'

so three neuron layers of the image meet two of the audio, and the residual addition joins paths of
depth two and three: wherever a connection costs a time step, both places need a delay.

`forward` is ONE time step; the neurons keep their state between calls and `reset_state` clears it.
The class is decided by the number of output spikes over the window of T steps.

Every convolution is followed by batch normalisation, every neuron is `snntorch.Leaky`:
`v <- beta v + input`, a spike where `v > threshold`, and then `v <- 0` in the same step.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

from avnir.errors import UserError
from avnir.ir.operation import Shape
from avnir.models.classifier import Classifier

Modality = Literal["both", "image", "audio"]
Fire = Callable[[snn.Leaky, Tensor], Tensor]
"""How an input current becomes spikes: of one step, or of a whole window at once."""

_SURROGATES = {"atan": surrogate.atan, "fast_sigmoid": surrogate.fast_sigmoid}


@dataclass(frozen=True)
class AVDigitsConfig:
    """All that is needed to rebuild the network; JSON-able through `to_json` and `from_json`.

    Shapes are (channels, height, width); audio is (1, mel bands, frames). `channels` are those of the
    first and the second convolution; the audio branch, shallower, has twice as many. `steps` is the
    window that the network is trained with.
    """

    image_shape: tuple[int, int, int] = (1, 16, 16)
    audio_shape: tuple[int, int, int] = (1, 16, 16)
    channels: tuple[int, int] = (8, 16)
    hidden: int = 64
    classes: int = 10
    beta: float = 0.875
    threshold: float = 1.0
    steps: int = 8
    dropout: float = 0.2
    reset_mechanism: Literal["zero", "subtract", "none"] = "zero"
    reset_delay: bool = False
    surrogate: Literal["atan", "fast_sigmoid"] = "atan"
    modality: Modality = "both"

    def __post_init__(self) -> None:
        if problems := _problems(self):
            raise UserError("av-digits configuration: " + "; ".join(problems))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives the same configuration back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> AVDigitsConfig:
        """Rebuild from `to_json`; missing keys take their default, unknown ones raise `UserError`."""
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(config) - set(known)):
            raise UserError(f"av-digits configuration: unknown keys {unknown}; known are {known}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
        return cls(**values)


def _problems(config: AVDigitsConfig) -> list[str]:
    checks = [
        (_is_shape(config.image_shape), "image_shape", "a list (c, h, w), h and w multiples of 4"),
        (_is_shape(config.audio_shape), "audio_shape", "a list (c, h, w), h and w multiples of 4"),
        (_all_positive(config.channels, 2), "channels", "a list of two positive integers"),
        (_all_positive((config.hidden,), 1), "hidden", "a positive integer"),
        (_all_positive((config.classes,), 1), "classes", "a positive integer"),
        (_all_positive((config.steps,), 1), "steps", "a positive integer"),
        (_in_range(config.beta, 0, 1), "beta", "a number in [0, 1]"),
        (_in_range(config.threshold, 1e-6, 1e6), "threshold", "a number in [1e-6, 1e6]"),
        (_in_range(config.dropout, 0, 0.95), "dropout", "a number in [0, 0.95]"),
        (config.reset_mechanism in ("zero", "subtract", "none"), "reset_mechanism", "zero, subtract or none"),
        (isinstance(config.reset_delay, bool), "reset_delay", "true or false"),
        (config.surrogate in tuple(_SURROGATES), "surrogate", " or ".join(_SURROGATES)),
        (config.modality in tuple(_NETWORKS), "modality", ", ".join(_NETWORKS)),
    ]
    return [f"{name} is {getattr(config, name)!r}, must be {rule}" for good, name, rule in checks if not good]


def _all_positive(values: object, count: int) -> bool:
    return (
        isinstance(values, tuple) and len(values) == count and all(type(v) is int and v > 0 for v in values)
    )


def _is_shape(values: object) -> bool:
    return _all_positive(values, 3) and not any(v % 4 for v in cast(tuple[int, ...], values)[1:])


def _in_range(value: object, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= cast(float, value) <= high


class ImageBranch(nn.Module):
    """Three neuron layers with a residual addition: spikes [B, c, h, w] -> features [B, size]."""

    def __init__(self, config: AVDigitsConfig) -> None:
        super().__init__()
        inputs, height, width = config.image_shape
        first, second = config.channels
        self.conv1 = nn.Conv2d(inputs, first, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(first)
        self.lif1 = _leaky(config)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(second)
        self.lif2 = _leaky(config)
        self.conv3 = nn.Conv2d(second, second, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(second)
        self.lif3 = _leaky(config)
        self.pool2 = nn.AvgPool2d(2)
        self.size = second * (height // 4) * (width // 4)

    def forward(self, image: Tensor, fire: Fire) -> Tensor:
        x = self.pool1(fire(self.lif1, self.norm1(self.conv1(image))))
        x = fire(self.lif2, self.norm2(self.conv2(x)))
        x = x + fire(self.lif3, self.norm3(self.conv3(x)))
        return self.pool2(x).flatten(1)


class AudioBranch(nn.Module):
    """Two neuron layers: spikes [B, c, mel bands, frames] -> features [B, size]."""

    def __init__(self, config: AVDigitsConfig) -> None:
        super().__init__()
        inputs, bands, frames = config.audio_shape
        first, second = (2 * channels for channels in config.channels)
        self.conv1 = nn.Conv2d(inputs, first, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(first)
        self.lif1 = _leaky(config)
        self.pool1 = nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(second)
        self.lif2 = _leaky(config)
        self.size = second * (bands // 4) * (frames // 4)

    def forward(self, audio: Tensor, fire: Fire) -> Tensor:
        x = self.pool1(fire(self.lif1, self.norm1(self.conv1(audio))))
        return fire(self.lif2, self.norm2(self.conv2(x))).flatten(1)


class DigitNetwork(Classifier):
    """What the three variants share: the decision layers, the window, and the reset."""

    time = "step"

    def __init__(self, config: AVDigitsConfig) -> None:
        super().__init__()
        self.config, self.steps = config, config.steps
        self.dropout = nn.Dropout(config.dropout)
        self.lif_hidden = _leaky(config)
        self.fc_out = nn.Linear(config.hidden, config.classes)
        self.lif_out = _leaky(config)

    @property
    def shapes(self) -> Mapping[str, Shape]:
        known = {"image": self.config.image_shape, "audio": self.config.audio_shape}
        return {name: known[name] for name in self.inputs}

    def identity(self) -> dict[str, Any]:
        return self.config.to_json()

    def run(self, fire: Fire, *inputs: Tensor) -> Tensor:
        """Inputs [N, c, h, w], one per modality -> output spikes [N, classes], neurons run by `fire`."""
        current = self.hidden_current(fire, *inputs)
        return fire(self.lif_out, self.fc_out(fire(self.lif_hidden, current)))

    @abstractmethod
    def hidden_current(self, fire: Fire, *inputs: Tensor) -> Tensor:
        """The input [N, hidden] of the hidden neurons: what the variants differ in."""

    def window(self, *inputs: Tensor) -> Tensor:
        """Inputs [T, B, c, h, w], one per modality -> output spikes [T, B, classes], from a fresh state.

        Equals T calls of `forward` after `reset_state`, but for batch statistics while training. It is
        faster: a layer without state takes all T * B samples at once, which is exact as the network is
        feed-forward.
        """
        self.reset_state()
        steps, batch = inputs[0].shape[:2]
        flat = (spikes.flatten(0, 1) for spikes in inputs)
        return self.run(_fire_window(steps), *flat).view(steps, batch, -1)

    def reset_state(self) -> None:
        """Set every membrane potential to zero, cut from the gradients of the last window.

        `snntorch.utils.reset` would clear the neurons of every network in the process.
        """
        for module in self.modules():
            if isinstance(module, snn.Leaky):
                module.reset_mem()


class AVDigits(DigitNetwork):
    """Image and audio, fused by adding their two currents into the hidden neurons."""

    inputs = ("image", "audio")

    def __init__(self, config: AVDigitsConfig) -> None:
        super().__init__(config)
        self.image_branch = ImageBranch(config)
        self.audio_branch = AudioBranch(config)
        self.fc_image = nn.Linear(self.image_branch.size, config.hidden)
        self.fc_audio = nn.Linear(self.audio_branch.size, config.hidden)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        """One time step: spikes [B, c, h, w] of both -> output spikes [B, classes]."""
        return self.run(_fire_step, image, audio)

    def hidden_current(self, fire: Fire, *inputs: Tensor) -> Tensor:
        image, audio = inputs
        return self.fc_image(self.dropout(self.image_branch(image, fire))) + self.fc_audio(
            self.dropout(self.audio_branch(audio, fire))
        )


class ImageDigits(DigitNetwork):
    """The image branch alone, for comparison."""

    inputs = ("image",)

    def __init__(self, config: AVDigitsConfig) -> None:
        super().__init__(config)
        self.image_branch = ImageBranch(config)
        self.fc_image = nn.Linear(self.image_branch.size, config.hidden)

    def forward(self, image: Tensor) -> Tensor:
        """One time step: spikes [B, c, h, w] -> output spikes [B, classes]."""
        return self.run(_fire_step, image)

    def hidden_current(self, fire: Fire, *inputs: Tensor) -> Tensor:
        return self.fc_image(self.dropout(self.image_branch(inputs[0], fire)))


class AudioDigits(DigitNetwork):
    """The audio branch alone, for comparison."""

    inputs = ("audio",)

    def __init__(self, config: AVDigitsConfig) -> None:
        super().__init__(config)
        self.audio_branch = AudioBranch(config)
        self.fc_audio = nn.Linear(self.audio_branch.size, config.hidden)

    def forward(self, audio: Tensor) -> Tensor:
        """One time step: spikes [B, c, mel bands, frames] -> output spikes [B, classes]."""
        return self.run(_fire_step, audio)

    def hidden_current(self, fire: Fire, *inputs: Tensor) -> Tensor:
        return self.fc_audio(self.dropout(self.audio_branch(inputs[0], fire)))


_NETWORKS: dict[str, type[DigitNetwork]] = {"both": AVDigits, "image": ImageDigits, "audio": AudioDigits}


def av_digits(config: AVDigitsConfig) -> DigitNetwork:
    """The untrained network for the modality that `config` names."""
    return _NETWORKS[config.modality](config)


def _leaky(config: AVDigitsConfig) -> snn.Leaky:
    return snn.Leaky(
        beta=config.beta,
        threshold=config.threshold,
        spike_grad=_SURROGATES[config.surrogate](),
        init_hidden=True,
        reset_mechanism=config.reset_mechanism,
        reset_delay=config.reset_delay,
    )


def _fire_step(neuron: snn.Leaky, current: Tensor) -> Tensor:
    return neuron(current)


def _fire_window(steps: int) -> Fire:
    def fire(neuron: snn.Leaky, current: Tensor) -> Tensor:
        return torch.cat([neuron(step) for step in current.chunk(steps)])

    return fire


def config_for(
    shapes: Mapping[str, Shape],
    classes: int,
    steps: int,
    modality: Modality,
    form: str,
    settings: Mapping[str, str],
) -> AVDigitsConfig:
    """The configuration for data of these `shapes`; `settings` are JSON values, or text. There is one `form`.

    Raises `UserError` for a setting that is unknown or out of range.
    """
    known = {f"{name}_shape": list(shape) for name, shape in shapes.items()}
    read = {key: _value(text) for key, text in settings.items()}
    given = {"classes": classes, "steps": steps, "modality": modality}
    return AVDigitsConfig.from_json({**known, **given, **read})


def _value(text: str) -> object:
    with suppress(json.JSONDecodeError):
        return json.loads(text)
    return text


def training_defaults(config: AVDigitsConfig) -> dict[str, Any]:
    """Nothing but what `TrainingConfig` has."""
    return {}


def build(config: Mapping[str, Any]) -> DigitNetwork:
    """The untrained network that the JSON `config` describes."""
    return av_digits(AVDigitsConfig.from_json(config))
