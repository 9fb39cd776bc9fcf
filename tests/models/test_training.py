"""The training loop: it learns, repeats itself, and resumes as if nothing had happened."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from avnir.errors import CheckpointError, DataError
from avnir.models.av_digits import AVDigitsConfig, DigitNetwork, Modality, av_digits
from avnir.models.data.encoding import rate_encode
from avnir.models.data.mnist_fsdd import load_mnist_fsdd
from avnir.models.data.pairs import DIGITS, PairedData, Split
from avnir.models.training import TrainingConfig, accuracy, example_inputs, shifted, subset, train

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
    return Split(pictures[0], pictures[1], labels)


@pytest.fixture(scope="module")
def data() -> PairedData:
    return PairedData("blocks", easy_split(200, 0), easy_split(100, 1), DIGITS, {"seed": 0})


def fresh(modality: Modality = "both") -> DigitNetwork:
    torch.manual_seed(0)
    return av_digits(AVDigitsConfig(channels=(2, 4), hidden=32, steps=4, modality=modality))


def same_weights(a: DigitNetwork, b: DigitNetwork) -> bool:
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
        train(cut, data, CONFIG, checkpoint=saved, progress=stop_in_the_third_epoch)
    calls: list[tuple[int, int]] = []
    again = train(resumed, data, CONFIG, resume=saved, progress=lambda *call: calls.append(call))
    assert calls == [(done, 30) for done in range(21, 31)]
    assert same_weights(whole, resumed)
    assert not same_weights(whole, cut)
    assert [(e.epoch, e.loss, e.accuracy) for e in again] == [(e.epoch, e.loss, e.accuracy) for e in history]
    assert list(tmp_path.iterdir()) == [saved]


def test_a_checkpoint_of_another_run_names_what_differs(data: PairedData, tmp_path: Path) -> None:
    saved = tmp_path / "run.ckpt"
    train(fresh(), data, TrainingConfig(epochs=1), checkpoint=saved)
    with pytest.raises(
        CheckpointError, match=r"data\.pairs was 200 and is 100; training\.epochs was 1 and is 2"
    ):
        train(fresh(), subset(data, 100), TrainingConfig(epochs=2), resume=saved)
    with pytest.raises(CheckpointError, match=r"model\.modality was 'both' and is 'image'"):
        train(fresh("image"), data, TrainingConfig(epochs=1), resume=saved)


def test_what_is_no_checkpoint_is_refused(data: PairedData, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    with pytest.raises(CheckpointError, match="missing, or not a training checkpoint"):
        train(fresh(), data, CONFIG, resume=path)
    path.write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="missing, or not a training checkpoint"):
        train(fresh(), data, CONFIG, resume=path)
    torch.save({"format": "another"}, path)
    with pytest.raises(CheckpointError, match="not a training checkpoint of format"):
        train(fresh(), data, CONFIG, resume=path)
    torch.save(fresh, path)
    with pytest.raises(CheckpointError, match="not a readable training checkpoint"):
        train(fresh(), data, CONFIG, resume=path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="missing, or not a training checkpoint"):
        train(fresh(), data, CONFIG, resume=path)


def test_metrics_are_appended_as_csv(data: PairedData, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    history = train(fresh(), data, TrainingConfig(epochs=2), metrics=path)
    train(fresh(), data, TrainingConfig(epochs=1), metrics=path)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "1"]
    assert float(rows[1]["loss"]) == history[1].loss


def test_examples_are_the_encoded_start_of_the_split(data: PairedData) -> None:
    network = fresh()
    (image, audio), labels = example_inputs(network, data.test, 7)
    assert image.shape == audio.shape == (4, 7, 1, 16, 16)
    assert torch.equal(audio, rate_encode(torch.from_numpy(data.test.audio[:7]), 4))
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


def test_data_of_another_shape_are_refused(data: PairedData) -> None:
    network = av_digits(AVDigitsConfig(image_shape=(1, 28, 28)))
    with pytest.raises(DataError, match=r"image data is \(1, 16, 16\), the network takes \(1, 28, 28\)"):
        train(network, data, CONFIG)


@pytest.mark.data
@pytest.mark.slow
def test_six_thousand_real_pairs_are_enough(data_dir: Path) -> None:
    torch.manual_seed(0)
    network = av_digits(AVDigitsConfig())
    data = subset(load_mnist_fsdd(data_dir), 6000)
    train(network, data, TrainingConfig())
    assert accuracy(network, data.test) >= 0.94
