"""UrbanSound8K from its folder and from both archives, and the picture of a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.models.data.audio import cut, log_mel
from avnir.models.data.media import resize
from avnir.models.data.registry import DataLeakWarning, Options
from avnir.models.data.urbansound8k import (
    CLASSES,
    MEL_HZ,
    load_us8k,
    load_us8k_audio,
    missing_us8k,
    read_slices,
    slice_mel,
    slice_picture,
)
from tests.models.data.files import LFS, tone, write_sound

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"


def names() -> list[tuple[str, int, int]]:
    """Slice, fold and class: of each class a recording with two slices in fold 1, one with one in fold 10."""
    return [
        (f"{100 * fold + label}-{label}-0-{piece}", fold, label)
        for label in range(10)
        for fold, piece in ((1, 0), (1, 1), (10, 0))
    ]


def write_folder(folder: Path) -> None:
    rows = [f"{n}.wav,{n.split('-')[0]},0,1,1,{f},{c},{CLASSES[c]}\n" for n, f, c in names()]
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "UrbanSound8K.csv").write_text(HEADER + "".join(rows))
    for name, fold, label in names():
        write_sound(folder / "audio" / f"fold{fold}" / f"{name}.wav", 300 + 200 * label, 44_100, 0.2)


def about() -> dict[str, np.ndarray]:
    slices, folds, labels = zip(*names(), strict=True)
    return {
        "label": np.array(labels, dtype=np.uint8),
        "fold": np.array(folds, dtype=np.uint8),
        "clip": np.array(slices).astype("<U14"),
    }


def write_mel_archive(folder: Path, **change: np.ndarray) -> None:
    mel = np.random.default_rng(0).integers(0, 256, (30, 64, 126)).astype(np.uint8)
    np.savez(
        folder / "us8k_logmel.npz",
        **{"mel": mel, "duration_s": np.full(30, 4, np.float32), **about(), **change},
    )


def write_wave_archive(folder: Path, **change: np.ndarray) -> None:
    waves = np.random.default_rng(0).integers(-127, 128, 30 * 900).astype(np.int8)
    arrays = {"wave_mulaw": waves, "offsets": np.arange(31) * 900, "sample_rate": np.int32(8000), **about()}
    np.savez(folder / "us8k_wave.npz", **{**arrays, **change})


@pytest.mark.parametrize("write", [write_folder, write_mel_archive, write_wave_archive])
def test_every_source_gives_the_official_fold(tmp_path: Path, write) -> None:
    write(tmp_path)
    train, test = load_us8k(tmp_path, 16)
    assert (train.values.shape, test.values.shape) == ((20, 1, 16, 16), (10, 1, 16, 16))
    assert list(test.labels) == list(range(10))
    assert 0 <= train.values.min() <= train.values.max() <= 1
    train, test = load_us8k(tmp_path, 16, fold=1)
    assert (len(train.labels), len(test.labels)) == (10, 20)


def test_spectrograms_of_the_archive_are_resized(tmp_path: Path) -> None:
    write_mel_archive(tmp_path)
    mel = np.load(tmp_path / "us8k_logmel.npz")["mel"]
    assert np.array_equal(load_us8k(tmp_path, 16)[1].values[0, 0], resize(mel[2] / np.float32(255), 16))


def test_a_short_slice_fills_the_picture(tmp_path: Path) -> None:
    write_mel_archive(tmp_path, duration_s=np.full(30, 2, np.float32))
    mel = np.load(tmp_path / "us8k_logmel.npz")["mel"]
    assert np.array_equal(
        load_us8k(tmp_path, 16)[1].values[0, 0], resize(mel[2, :, :63] / np.float32(255), 16)
    )
    noise = np.random.default_rng(0).uniform(-1, 1, 11_025).astype(np.float32)
    assert slice_picture(noise, 22_050, 16).min() > 0.5


def test_another_feature_needs_sounds(tmp_path: Path) -> None:
    write_mel_archive(tmp_path)
    with pytest.raises(DataError, match="holds no sound"):
        load_us8k(tmp_path, 16, feature=log_mel)
    write_wave_archive(tmp_path)
    assert load_us8k(tmp_path, 16, feature=log_mel)[0].values.shape == (20, 1, 16, 16)


def test_a_random_split_warns_of_shared_recordings(tmp_path: Path) -> None:
    write_mel_archive(tmp_path)
    with pytest.warns(DataLeakWarning, match="of 10 test clips .* share a recording with training"):
        train, test = load_us8k(tmp_path, 8, split="authors")
    assert (len(train.labels), list(test.labels)) == (20, list(range(10)))


def test_the_set_of_sounds_alone(tmp_path: Path) -> None:
    write_mel_archive(tmp_path)
    data = load_us8k_audio(tmp_path, Options(audio_size=8))
    assert list(data.train.inputs) == ["audio"]
    assert data.class_names == CLASSES
    assert data.provenance["split"] == "official folds, 10 tests"


@pytest.mark.parametrize("hertz", [100, 1000, 6000])
def test_a_full_scale_tone_is_near_0_db_in_its_band(hertz: float) -> None:
    picture = slice_mel(2 * tone(hertz, 22_050, 2.0), 22_050)
    assert picture.shape == (64, 126)
    mel = 2595 * np.log10(1 + np.array([*MEL_HZ, hertz]) / 700)
    assert abs(picture[:, 20].argmax() - (65 * (mel[2] - mel[0]) / (mel[1] - mel[0]) - 1)) < 1
    assert abs(90 * picture[:, 20].max() - 90) < 2


def test_a_slice_is_silent_behind_its_end_and_cut_at_4_s() -> None:
    assert not slice_mel(tone(1000, 22_050, 2.0), 22_050)[:, 66:].any()
    long = tone(1000, 22_050, 4.5)
    assert np.array_equal(slice_mel(long, 22_050), slice_mel(long[: 4 * 22_050], 22_050))


def test_nothing_there(tmp_path: Path) -> None:
    assert "metadata/UrbanSound8K.csv and audio/fold1" in missing_us8k(tmp_path)[0]
    with pytest.raises(DataError, match=r"us8k_logmel\.npz, or us8k_wave\.npz"):
        load_us8k(tmp_path)


def test_all_bad_sounds_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "audio" / "fold1" / "100-0-0-0.wav").unlink()
    (tmp_path / "audio" / "fold1" / "100-0-0-1.wav").write_bytes(LFS)
    with pytest.raises(
        DataError, match=r"2 unusable: .*100-0-0-0\.wav: missing; .*1\.wav: a Git-LFS pointer"
    ):
        load_us8k(tmp_path, 8)


def test_all_bad_rows_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    rows = "dog.wav,1,0,1,1,1,3,x\n1-2-0-0.wav,1,0,1,1,1,3,x\n1-3-0-0.wav,1,0,1,1,11,3,x\n"
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text(HEADER + rows)
    with pytest.raises(
        DataError, match=r"3 unusable: .*dog.wav: not a name.*says 2; .*fold 11, must be 1 to 10"
    ):
        load_us8k(tmp_path, 8)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"label": np.full(30, 10, np.uint8)}, "label 10, must be 0 to 9"),
        ({"fold": np.full(29, 1, np.uint8)}, "do not agree in number"),
        ({"mel": np.zeros((30, 64, 125), np.uint8)}, r"\(64, 125\) cells, must be \(64, 126\)"),
        ({"duration_s": np.zeros(30, np.float32)}, "duration_s must be above 0 for each of the 30"),
        ({"fold": np.full(30, 2, np.uint8)}, "fold 10 is not there; the data have 2"),
        (
            {"label": np.repeat(np.arange(10, dtype=np.uint8), 3).clip(1)},
            "no training clip of air_conditioner",
        ),
    ],
)
def test_a_bad_archive_is_refused(tmp_path: Path, change: dict[str, np.ndarray], complaint: str) -> None:
    write_mel_archive(tmp_path, **change)
    with pytest.raises(DataError, match=complaint):
        load_us8k(tmp_path, 8)


@pytest.mark.data
def test_waveforms_give_the_spectrograms_of_the_archive(data_dir: Path) -> None:
    """Below 3 kHz, where the waveforms of 8 kHz have all, cells above -48 dB differ by a rounding."""
    if not all((data_dir / name).is_file() for name in ("us8k_logmel.npz", "us8k_wave.npz")):
        pytest.skip(f"no UrbanSound8K archives in {data_dir}")
    waves, spectra = (np.load(data_dir / f"us8k_{kind}.npz") for kind in ("wave", "logmel"))
    with waves, spectra:
        clips = cut(data_dir, waves["wave_mulaw"], waves["offsets"])
        place = {clip: index for index, clip in enumerate(spectra["clip"])}
        stored = spectra["mel"]
        for index in range(0, len(clips), 60):
            mel = stored[place[waves["clip"][index]], :38] * (90 / 255)
            difference = 90 * slice_mel(clips[index], int(waves["sample_rate"]))[:38] - mel
            assert abs(np.median(difference[mel > 42])) < 0.1


@pytest.mark.data
def test_the_real_folds(data_dir: Path) -> None:
    if missing_us8k(data_dir):
        pytest.skip(f"no UrbanSound8K in {data_dir}")
    slices = read_slices(data_dir, 8)
    assert (slices.folds == 10).sum() == 837
    recordings = np.array([name.split("-")[0] for name in slices.names])
    assert not {*recordings[slices.folds == 10]} & {*recordings[slices.folds != 10]}
