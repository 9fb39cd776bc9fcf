"""The training loop: it learns, repeats itself, and resumes as if nothing had happened."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from avnir.errors import CheckpointError, DataError, UserError
from avnir.models import module_of
from avnir.models.av_digits import AVDigitsConfig, DigitNetwork, Modality, av_digits
from avnir.models.batches import (
    accuracy,
    divided,
    example_inputs,
    shifted,
    subset,
    training_batch,
)
from avnir.models.classifier import Classifier
from avnir.models.data.encoding import rate_encode
from avnir.models.data.mnist_fsdd import load_mnist_fsdd
from avnir.models.data.pairs import DIGITS, PairedData, Split
from avnir.models.machine import Machine
from avnir.models.neuron import fused, leaky
from avnir.models.training import Files, TrainingConfig, learning_rate, picked_epoch, train

CONFIG = TrainingConfig(epochs=3, batch_size=20, learning_rate=0.02, seed=5)


def easy_split(pairs: int, seed: int) -> Split:
    """Every digit is a block in a place of its own, in both pictures, with noise on top."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, pairs)
    pictures = np.zeros((2, pairs, 1, 16, 16), np.float32)
    for pair, label in enumerate(labels):
        row, column = 4 * (label // 4), 4 * (label % 4)
        pictures[:, pair, 0, row : row + 4, column : column + 4] = 0.9
    pictures = np.clip(pictures + rng.uniform(0, 0.1, pictures.shape), 0, 1).astype(np.float32)
    return Split({"image": pictures[0], "audio": pictures[1]}, labels)


@pytest.fixture(scope="module")
def data() -> PairedData:
    return PairedData("blocks", easy_split(200, 0), easy_split(100, 1), DIGITS, {"seed": 0})


def fresh(modality: Modality = "both") -> DigitNetwork:
    torch.manual_seed(0)
    return av_digits(AVDigitsConfig(channels=(2, 4), hidden=32, steps=4, modality=modality))


def same_weights(a: Classifier, b: Classifier) -> bool:
    return all(torch.equal(a.state_dict()[name], value) for name, value in b.state_dict().items())


@pytest.mark.parametrize("modality", ["both", "image", "audio"])
def test_it_learns(data: PairedData, modality: Modality) -> None:
    network = fresh(modality)
    history = train(network, data, TrainingConfig(epochs=6, batch_size=20, learning_rate=0.02))
    assert history[-1].loss < history[0].loss
    assert accuracy(network, data.test) > 0.9


def test_same_seed_same_weights_whatever_the_global_generator(data: PairedData) -> None:
    first, second = fresh(), fresh()
    train(first, data, CONFIG)
    torch.manual_seed(1234)
    before = torch.random.get_rng_state()
    train(second, data, CONFIG)
    assert same_weights(first, second)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_resumed_run_equals_an_uninterrupted_one(data: PairedData, tmp_path: Path) -> None:
    class InterruptedRun(Exception):
        pass

    def stop_in_the_third_epoch(done: int, total: int) -> None:
        if done == 25:
            raise InterruptedRun

    whole, cut, resumed = fresh(), fresh(), fresh()
    history = train(whole, data, CONFIG)
    saved = tmp_path / "run.ckpt"
    with pytest.raises(InterruptedRun):
        train(cut, data, CONFIG, files=Files(checkpoint=saved), progress=stop_in_the_third_epoch)
    calls: list[tuple[int, int]] = []
    again = train(resumed, data, CONFIG, files=Files(resume=saved), progress=lambda *call: calls.append(call))
    assert calls == [(done, 30) for done in range(21, 31)]
    assert same_weights(whole, resumed)
    assert not same_weights(whole, cut)
    assert [(e.epoch, e.loss, e.accuracy) for e in again] == [(e.epoch, e.loss, e.accuracy) for e in history]
    assert list(tmp_path.iterdir()) == [saved]


def test_a_checkpoint_of_another_run_names_what_differs(data: PairedData, tmp_path: Path) -> None:
    saved = tmp_path / "run.ckpt"
    train(fresh(), data, TrainingConfig(epochs=1), files=Files(checkpoint=saved))
    with pytest.raises(
        CheckpointError, match=r"data\.pairs was 200 and is 100; training\.epochs was 1 and is 2"
    ):
        train(fresh(), subset(data, 100), TrainingConfig(epochs=2), files=Files(resume=saved))
    with pytest.raises(CheckpointError, match=r"model\.modality was 'both' and is 'image'"):
        train(fresh("image"), data, TrainingConfig(epochs=1), files=Files(resume=saved))


def test_what_is_no_checkpoint_is_refused(data: PairedData, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    with pytest.raises(CheckpointError, match="missing, or not a training checkpoint"):
        train(fresh(), data, CONFIG, files=Files(resume=path))
    path.write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="missing, or not a training checkpoint"):
        train(fresh(), data, CONFIG, files=Files(resume=path))
    torch.save({"format": "another"}, path)
    with pytest.raises(CheckpointError, match="not a training checkpoint of format"):
        train(fresh(), data, CONFIG, files=Files(resume=path))
    torch.save(fresh, path)
    with pytest.raises(CheckpointError, match="not a readable training checkpoint"):
        train(fresh(), data, CONFIG, files=Files(resume=path))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="missing, or not a training checkpoint"):
        train(fresh(), data, CONFIG, files=Files(resume=path))


def test_metrics_are_appended_as_csv(data: PairedData, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    history = train(fresh(), data, TrainingConfig(epochs=2), files=Files(metrics=path))
    train(fresh(), data, TrainingConfig(epochs=1), files=Files(metrics=path))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "1"]
    assert float(rows[1]["loss"]) == history[1].loss


def test_examples_are_the_encoded_start_of_the_split(data: PairedData) -> None:
    network = fresh()
    (image, audio), labels = example_inputs(network, data.test, 7)
    assert image.shape == audio.shape == (4, 7, 1, 16, 16)
    assert torch.equal(audio, rate_encode(torch.from_numpy(data.test.inputs["audio"][:7]), 4))
    assert labels.dtype == torch.int64
    assert labels.tolist() == data.test.labels[:7].tolist()


def test_shifting_moves_a_picture_and_fills_with_zeros() -> None:
    torch.manual_seed(0)
    picture = torch.arange(1.0, 26.0).view(1, 1, 5, 5).expand(200, 2, 5, 5)
    padded = torch.nn.functional.pad(picture[0], (1, 1, 1, 1))
    windows = {(r, c): padded[:, r : r + 5, c : c + 5] for r in range(3) for c in range(3)}
    seen = [
        [at for at, window in windows.items() if torch.equal(moved, window)] for moved in shifted(picture, 1)
    ]
    assert all(len(places) == 1 for places in seen)
    assert {places[0] for places in seen} == set(windows)
    assert torch.equal(shifted(picture, 0), picture)


def test_noise_is_in_every_value_of_training_and_repeats_itself(data: PairedData) -> None:
    grey = [torch.full((50, 1, 16, 16), 0.5)] * 2
    torch.manual_seed(3)
    image, audio = training_batch(fresh(), grey, torch.arange(50), 0, noise=0.1)
    assert 0.095 < float(image.std()) < 0.105
    assert not torch.equal(image, audio)
    white, _ = training_batch(fresh(), [x * 2 for x in grey], torch.arange(50), 0, noise=0.1)
    assert float(white.max()) == 1.0
    first, second = fresh(), fresh()
    for network in (first, second):
        train(network, data, replace(CONFIG, epochs=1, input_noise=0.1))
    assert same_weights(first, second)
    plain = fresh()
    train(plain, data, replace(CONFIG, epochs=1))
    assert not same_weights(first, plain)


def test_noise_on_events_is_refused() -> None:
    events = torch.zeros(3, 4, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(DataError, match="the data are events"):
        training_batch(fresh(), [events, events], torch.arange(2), 0, noise=0.1)


def test_data_of_another_shape_are_refused(data: PairedData) -> None:
    network = av_digits(AVDigitsConfig(image_shape=(1, 28, 28)))
    with pytest.raises(DataError, match=r"image data is \(1, 16, 16\), the network takes \(1, 28, 28\)"):
        train(network, data, CONFIG)


def test_the_rate_rises_then_falls_to_its_end() -> None:
    config = TrainingConfig(epochs=6, learning_rate=1.0, warmup_epochs=2, final_learning_rate=0.25)
    rates = [learning_rate(config, epochs) for epochs in (0, 1, 2, 4, 6)]
    assert rates == pytest.approx([0, 0.5, 1.0, 0.625, 0.25])
    assert learning_rate(TrainingConfig(learning_rate=0.5), 0) == 0.5


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"epochs": 3, "warmup_epochs": 3}, "3 epochs of warm-up of 3"),
        ({"validation": 1.0}, r"validation is 1\.0"),
        ({"pick": "best"}, "with validation pairs only"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        TrainingConfig(**options)


def test_validation_pairs_come_from_training_and_train_nothing(data: PairedData) -> None:
    learning, validation = divided(data.train, 0.25, CONFIG.seed)
    assert validation is not None
    assert (len(learning), len(validation)) == (150, 50)
    pictures = [picture.tobytes() for part in (learning, validation) for picture in part.inputs["image"]]
    assert sorted(pictures) == sorted(picture.tobytes() for picture in data.train.inputs["image"])
    again = divided(data.train, 0.25, CONFIG.seed)[1]
    assert again is not None and np.array_equal(again.labels, validation.labels)
    with pytest.raises(DataError, match="leaves a part empty"):
        divided(data.train, 0.001, CONFIG.seed)
    first, second = fresh(), fresh()
    train(first, data, replace(CONFIG, validation=0.25))
    train(second, replace(data, train=learning), CONFIG)
    assert same_weights(first, second)


def test_the_best_epoch_is_kept_over_an_interruption(data: PairedData, tmp_path: Path) -> None:
    """A rate that grows absurd: the best epoch is not the last."""
    config = replace(CONFIG, epochs=4, learning_rate=0.5, warmup_epochs=3, validation=0.2, pick="best")
    whole, resumed, saved = fresh(), fresh(), tmp_path / "run.ckpt"
    history = train(whole, data, config)
    known = [epoch.validation_accuracy for epoch in history]
    best = picked_epoch(history, config)
    assert best == known.index(max(cast(list[float], known))) + 1 < 4
    assert accuracy(whole, cast(Split, divided(data.train, 0.2, config.seed)[1])) == known[best - 1]

    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(fresh(), data, config, files=Files(checkpoint=saved), progress=stop)
    assert train(resumed, data, config, files=Files(resume=saved))[:-1] != []
    assert same_weights(whole, resumed)


def test_a_loss_that_is_no_number_is_refused(data: PairedData) -> None:
    network = fresh()
    network.fc_out.weight.data.fill_(float("nan"))
    network.loss = lambda inputs, labels: (  # type: ignore[method-assign]
        network.fc_out.weight.sum(), network.scores(*inputs)
    )  # fmt: skip
    with pytest.raises(UserError, match="the loss is nan in epoch 1; try a lower --learning-rate"):
        train(network, data, CONFIG)


def test_curves_are_for_tensorboard(data: PairedData, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=2, validation=0.2)
    history = train(fresh(), data, config, files=Files(tensorboard=tmp_path))
    events = EventAccumulator(str(tmp_path)).Reload()
    names = {"loss", "accuracy", "seconds", "learning_rate", "validation_accuracy"}
    assert set(events.Tags()["scalars"]) == names
    points = [(point.step, point.value) for point in events.Scalars("loss")]
    assert points == [(epoch.epoch, pytest.approx(epoch.loss)) for epoch in history]


def test_rows_of_other_columns_are_not_mixed(data: PairedData, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss\n1,2\n")
    with pytest.raises(UserError, match="its columns are 'epoch,loss'"):
        train(fresh(), data, TrainingConfig(epochs=1), files=Files(metrics=path))
    assert path.read_text() == "epoch,loss\n1,2\n"


def test_mixed_precision_learns(data: PairedData) -> None:
    network = fresh()
    machine = Machine(precision="bf16-mixed")
    train(network, data, replace(CONFIG, epochs=6), machine=machine)
    assert accuracy(network, data.test) > 0.9
    assert all(values.dtype == torch.float32 for values in network.parameters())


def test_machines_that_are_not_there_are_refused() -> None:
    with pytest.raises(UserError, match=r"16-mixed needs a CUDA device.*2 devices, but 1 processes"):
        Machine(devices=2, precision="16-mixed")


class Fed(Classifier):
    """A linear layer and a neuron of event images and direct sounds."""

    inputs = ("image", "audio")
    steps = 3
    coding = "direct"
    shapes: ClassVar[Mapping[str, tuple[int, ...]]] = {"image": (2, 4, 4), "audio": (5, 1, 1)}

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = torch.nn.Linear(37, 4), leaky()
        self.scaled = 0

    def window(self, *inputs: Tensor) -> Tensor:
        return fused(self.lif, self.fc(torch.cat([x.flatten(2) for x in inputs], 2)))

    def identity(self) -> dict[str, Any]:
        return {}

    def before_step(self) -> None:
        assert self.fc.weight.grad is not None
        self.scaled += 1


def events(pairs: int) -> Split:
    rng = np.random.default_rng(0)
    images = rng.binomial(2, 0.2, (pairs, 3, 2, 4, 4)).astype(np.uint8)
    sounds = rng.uniform(0, 1, (pairs, 5, 1, 1)).astype(np.float32)
    return Split({"image": images, "audio": sounds}, rng.integers(0, 4, pairs))


def test_events_and_levels_reach_the_network() -> None:
    torch.manual_seed(0)
    split, network = events(50), Fed()
    train(network, PairedData("events", split, split, ("a",) * 4, {}), replace(CONFIG, epochs=2))
    assert network.scaled == 2 * 3
    (image, audio), _ = example_inputs(network, split, 6)
    expected = np.minimum(split.inputs["image"][:6], 1).swapaxes(0, 1)
    assert np.array_equal(image.numpy(), expected)
    assert np.array_equal(audio[0].numpy(), np.rint(split.inputs["audio"][:6] * np.float32(127)))
    assert torch.equal(audio[0], audio[2])


def test_events_move_as_one_and_vectors_stay() -> None:
    torch.manual_seed(0)
    clip = torch.zeros(50, 3, 2, 4, 4, dtype=torch.uint8)
    clip[..., 1, 1] = 1
    moved = shifted(clip, 1)
    assert moved.dtype == torch.uint8
    assert (moved.sum((3, 4)) == 1).all() and not torch.equal(moved, clip)
    assert torch.equal(moved, moved[:, :1, :1].expand_as(moved))
    vector = torch.rand(5, 7, 1, 1)
    assert torch.equal(shifted(vector, 1), vector)


SYSTEMS = {"scmrl": {"channels": "16"}, "l2act": {"width": "4"}, "taaf": {"width": "16"}}


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_train_and_resume(name: str, data: PairedData, tmp_path: Path) -> None:
    few = replace(subset(data, 24), test=data.test.take(10))
    saved = tmp_path / "run.ckpt"
    shapes = {"image": (1, 16, 16), "audio": (1, 16, 16)}

    def network() -> Classifier:
        module = module_of(name)
        torch.manual_seed(0)
        return module.build(module.config_for(shapes, 10, 4, "both", "deployable", SYSTEMS[name]).to_json())

    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    config = TrainingConfig(epochs=2, batch_size=12, image_shift=0)
    whole, resumed = network(), network()
    history = train(whole, few, config)
    assert all(np.isfinite(epoch.loss) for epoch in history)
    with pytest.raises(KeyboardInterrupt):
        train(network(), few, config, files=Files(checkpoint=saved), progress=stop)
    train(resumed, few, config, files=Files(resume=saved))
    assert same_weights(whole, resumed)
    assert not same_weights(whole, network())


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights(tmp_path: Path) -> None:
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    script = [str(Path(__file__).with_name("two_processes.py")), str(tmp_path)]
    done = subprocess.run([sys.executable, *command, *script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in "01")
    assert all(torch.equal(value, second["network"][name]) for name, value in first["network"].items())
    assert first["losses"] == second["losses"]
    assert first["losses"][-1] < first["losses"][0]
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 1 + 3


@pytest.mark.data
@pytest.mark.slow
def test_six_thousand_real_pairs_are_enough(data_dir: Path) -> None:
    torch.manual_seed(0)
    network = av_digits(AVDigitsConfig())
    data = subset(load_mnist_fsdd(data_dir), 6000)
    train(network, data, TrainingConfig())
    assert accuracy(network, data.test) >= 0.94
