"""`model.pt`: it comes back equal, byte for byte reproducible, and nothing hostile in it runs."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from avnir.errors import CheckpointError, DataError, UserError
from avnir.export import Checkpoint, load, reference, save
from avnir.export.container import FORMAT, to_bytes
from avnir.ir.operation import digest
from tests.export.nets import AudioVisual, Hidden, av_inputs, seeded

LABELS = [2, 0, 1]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    path = tmp_path_factory.mktemp("checkpoint") / "model.pt"
    made = save(
        seeded(AudioVisual()),
        av_inputs(),
        path,
        labels=torch.tensor(LABELS),
        architecture=("av-digits", {"hidden": 12}),
        notes={"accuracy": 0.5},
    )
    return path, made


def parts(checkpoint: Checkpoint) -> dict[str, Any]:
    arrays = {
        "inputs": checkpoint.inputs,
        "spikes": checkpoint.recorded.spikes,
        "outputs": checkpoint.recorded.outputs,
        "state": checkpoint.state,
        "labels": {"": checkpoint.labels},
    }
    flat = {
        f"{group}/{name}": (array.dtype.str, array.shape, array.tobytes())
        for group, named in arrays.items()
        for name, array in named.items()
        if array is not None
    }
    rest = (checkpoint.graph, checkpoint.architecture, checkpoint.notes, checkpoint.versions)
    return {**flat, "rest": rest, "sources": [node.source for node in checkpoint.graph]}


def test_it_comes_back_equal(written: tuple[Path, Checkpoint]) -> None:
    path, made = written
    found = load(str(path))
    assert parts(found) == parts(made)
    assert found.inputs["image"].dtype == np.uint8
    np.testing.assert_array_equal(found.inputs["image"], av_inputs()["image"].numpy())
    assert found.labels is not None and found.labels.tolist() == LABELS
    assert found.architecture == ("av-digits", {"hidden": 12}) and found.notes == {"accuracy": 0.5}
    assert found.versions["torch"] == torch.__version__.partition("+")[0] or found.versions["torch"]


def test_the_reference_repeats_what_was_recorded(written: tuple[Path, Checkpoint]) -> None:
    checkpoint = load(written[0])
    again = reference(checkpoint.graph, checkpoint.inputs)
    assert again.spikes.keys() == checkpoint.recorded.spikes.keys()
    for name, layer in checkpoint.recorded.spikes.items():
        np.testing.assert_array_equal(again.spikes[name], layer)
    np.testing.assert_array_equal(again.outputs["output"], checkpoint.recorded.outputs["output"])


def test_the_state_goes_back_into_the_model(written: tuple[Path, Checkpoint]) -> None:
    model = AudioVisual()
    model.load_state_dict({name: torch.tensor(array) for name, array in load(written[0]).state.items()})
    wanted = seeded(AudioVisual()).state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in model.state_dict().items())


def test_same_model_same_bytes(tmp_path: Path, written: tuple[Path, Checkpoint]) -> None:
    options: Any = {
        "labels": LABELS,
        "architecture": ("av-digits", {"hidden": 12}),
        "notes": {"accuracy": 0.5},
    }
    save(seeded(AudioVisual()), av_inputs(), tmp_path / "other_name.pt", **options)
    assert (tmp_path / "other_name.pt").read_bytes() == written[0].read_bytes()


def test_any_pytorch_reads_it(written: tuple[Path, Checkpoint]) -> None:
    found = torch.load(written[0], weights_only=True)
    assert found["format"] == FORMAT and isinstance(found["record"], str)
    assert all(type(tensor) is torch.Tensor for tensor in found["arrays"].values())


def test_real_and_integer_values_come_back_exactly(tmp_path: Path) -> None:
    class Readout(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = seeded(Hidden())
            self.fc = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.hidden(x))

    x = torch.randn(20, 3, 6, generator=torch.Generator().manual_seed(0))
    made = save(Readout(), x, tmp_path / "real.pt")
    np.testing.assert_array_equal(made.inputs["x"], x.numpy())
    assert made.recorded.outputs["output"].dtype == np.float32
    whole = (x * 3).round()
    np.testing.assert_array_equal(save(Readout(), whole, tmp_path / "whole.pt").inputs["x"], whole.numpy())


def test_a_refused_model_leaves_nothing(tmp_path: Path) -> None:
    for problem in ({"labels": [1, 2]}, {"labels": [0.5, 1, 2]}, {"labels": [0, 1, -1]}):
        with pytest.raises(DataError, match="labels"):
            save(seeded(AudioVisual()), av_inputs(), tmp_path / "model.pt", **problem)
    for notes in ({"bad": object()}, {"bad": float("nan")}):
        with pytest.raises(UserError, match="must be JSON values"):
            save(seeded(AudioVisual()), av_inputs(), tmp_path / "model.pt", notes=notes)
    assert list(tmp_path.iterdir()) == []


def refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


class Payload:
    """Runs a command where it is unpickled carelessly."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_a_payload_does_not_run(tmp_path: Path, written: tuple[Path, Checkpoint]) -> None:
    marker = tmp_path / "ran"
    honest = torch.load(written[0], weights_only=True)
    for value in (Payload(marker), {**honest, "extra": Payload(marker)}):
        refused(tmp_path, saved(value), "was not run")
        refused(tmp_path, pickle.dumps(value), "damaged or no model file")
    assert not marker.exists()
    torch.load(io.BytesIO(saved(Payload(marker))), weights_only=False)
    assert marker.exists()


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        load(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="model file has 1 to"):
        load(tmp_path)
    refused(tmp_path, b"", "has 0 bytes")
    refused(tmp_path, b"not a model", "damaged or no model file")
    refused(tmp_path, saved(Hidden().state_dict()), "plain state_dict.*avnir.save")
    refused(tmp_path, saved(nn.Linear(2, 2)), "was not run")
    refused(tmp_path, saved([1, 2]), "plain state_dict or other data")
    refused(
        tmp_path,
        saved({"format": "avnir-model-9", "record": "{}", "arrays": {}}),
        "format is 'avnir-model-9'",
    )
    refused(
        tmp_path,
        saved({"format": "avnir-model-1", "record": "{}", "arrays": {}}),
        "not a model of format avnir-model-2: its format is 'avnir-model-1'. Save the model again",
    )
    refused(tmp_path, saved({"format": FORMAT}), "disagrees with itself")


def test_a_file_too_large_to_be_a_model(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(CheckpointError, match="but a model file has"):
        load(path)


def test_archives_that_expand_or_hide(tmp_path: Path, written: tuple[Path, Checkpoint]) -> None:
    def archive(compression: int, twice: bool = False) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(written[0]) as old, zipfile.ZipFile(file, "w", compression) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
            if twice:
                with pytest.warns(UserWarning, match="Duplicate name"):
                    new.writestr(old.namelist()[0], b"hidden")
        return file.getvalue()

    refused(tmp_path, archive(zipfile.ZIP_DEFLATED), "is compressed")
    refused(tmp_path, archive(zipfile.ZIP_STORED, twice=True), "holds one name twice")
    refused(tmp_path, archive(zipfile.ZIP_STORED)[:-40], "damaged")


def test_an_archive_that_claims_more_than_it_has(tmp_path: Path, written: tuple[Path, Checkpoint]) -> None:
    content = bytearray(written[0].read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 20 : entry + 28] = struct.pack("<II", 1 << 31, 1 << 31)
    refused(tmp_path, bytes(content), "holds more than its own")


def test_tensors_that_pretend(tmp_path: Path, written: tuple[Path, Checkpoint]) -> None:
    honest = torch.load(written[0], weights_only=True)
    name = next(n for n, t in honest["arrays"].items() if t.dtype == torch.float32 and t.numel() > 4)
    for tensor, message in (
        (torch.zeros(1).expand(1 << 40), "not a plain tensor"),
        (torch.zeros(100)[:4], "does not fill its storage"),
        (honest["arrays"][name] * 2, "was changed"),
        (torch.full((5,), torch.nan), "NaN"),
        (torch.zeros(3, dtype=torch.complex64), "complex64"),
        (nn.Parameter(torch.zeros(3)), "not a plain tensor"),
        ("text", "not a plain tensor"),
    ):
        refused(tmp_path, saved({**honest, "arrays": {**honest["arrays"], name: tensor}}), message)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(record=c["record"].replace('"reset": "subtract_delayed"', '"reset": "none"')),
        lambda c: c.update(record=c["record"].replace('"accuracy": 0.5', '"accuracy": 0.9')),
        lambda c: c.update(record=c["record"] + " "),
        lambda c: c["arrays"].update({digest(np.ones(3)): torch.ones(3, dtype=torch.float64)}),
        lambda c: c["arrays"].pop(next(iter(c["arrays"]))),
        lambda c: c.update(digest="0" * 64),
        lambda c: c.update(digest=None),
    ],
)
def test_what_was_changed_by_hand(
    change: Callable[[dict[str, Any]], Any], tmp_path: Path, written: tuple[Path, Checkpoint]
) -> None:
    content, honest = (torch.load(written[0], weights_only=True) for _ in range(2))
    change(content)
    assert {k: str(v) for k, v in content.items()} != {k: str(v) for k, v in honest.items()}
    refused(
        tmp_path, saved(content), "was changed after it was written. Save the model again with avnir.save"
    )


def changed_record(path: Path, change: Callable[[dict[str, Any]], Any]) -> bytes:
    import json

    content = torch.load(path, weights_only=True)
    record = json.loads(content["record"])
    change(record)
    return to_bytes(record, {name: tensor.numpy() for name, tensor in content["arrays"].items()})


def node(record: dict[str, Any], name: str) -> dict[str, Any]:
    return next(n for n in record["graph"]["nodes"] if n["name"] == name)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["graph"].update(dt=-1.0),
        lambda r: r["graph"].update(dt="1"),
        lambda r: r["graph"].update(nodes=[]),
        lambda r: r["graph"]["nodes"].reverse(),
        lambda r: node(r, "lif1").update(name="a b"),
        lambda r: node(r, "lif1").update(op="System"),
        lambda r: node(r, "lif1").update(inputs=["nowhere"]),
        lambda r: node(r, "lif1").update(inputs=[["norm1"]]),
        lambda r: node(r, "lif1")["values"].update(reset="sometimes"),
        lambda r: node(r, "lif1")["values"].update(reset=["zero"]),
        lambda r: node(r, "lif1")["values"].update(beta=None),
        lambda r: node(r, "lif1")["values"].update(beta={"array": "none"}),
        lambda r: node(r, "lif1")["values"].pop("beta"),
        lambda r: node(r, "conv1")["values"].update(stride=[1, "1"]),
        lambda r: node(r, "conv1")["values"].update(stride=[True, True]),
        lambda r: node(r, "conv1")["values"].update(padding=[1]),
        lambda r: node(r, "norm1")["values"].update(eps="small"),
        lambda r: node(r, "see")["values"].update(weight=node(r, "head")["values"]["weight"]),
        lambda r: node(r, "image")["values"].update(shape=[1, 9, 9]),
        lambda r: r["inputs"].pop("audio"),
        lambda r: r["inputs"]["audio"].update(shape=[12, 3, 6]),
        lambda r: r["inputs"]["audio"].update(shape=[-12, -3, 5]),
        lambda r: r["labels"].update(shape=[4]),
        lambda r: r.update(labels=r["inputs"]["audio"]),
        lambda r: r["spikes"].pop("lif1"),
        lambda r: r["spikes"].update(lif1=r["spikes"]["lif2"]),
        lambda r: r["outputs"].update(other=r["outputs"]["output"]),
        lambda r: r.update(architecture=7),
        lambda r: r.pop("versions"),
        lambda r: r["state"].update(weight="none"),
    ],
)
def test_records_that_disagree_with_themselves(
    change: Callable[[dict[str, Any]], Any], tmp_path: Path, written: tuple[Path, Checkpoint]
) -> None:
    refused(tmp_path, changed_record(written[0], change), "disagrees with itself|is damaged")


def test_records_that_are_no_record(tmp_path: Path, written: tuple[Path, Checkpoint]) -> None:
    honest = torch.load(written[0], weights_only=True)
    for text in ("", "[]", "{", "NaN", "[" * 100_000, 7):
        refused(tmp_path, saved({**honest, "record": text}), r"model.pt")


def test_two_hundred_mutations_end_in_one_error_or_in_the_same_checkpoint(
    tmp_path: Path, written: tuple[Path, Checkpoint]
) -> None:
    content, wanted = written[0].read_bytes(), parts(written[1])
    chance, path = random.Random(0), tmp_path / "model.pt"
    refusals = 0
    for _ in range(200):
        path.write_bytes(mutated(content, chance))
        try:
            assert parts(load(path)) == wanted
        except CheckpointError:
            refusals += 1
    assert refusals > 100


def mutated(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    kind = chance.randrange(4)
    if kind == 0:
        return bytes(data[: chance.randrange(len(data))])
    if kind == 1:
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(1, 64)] = chance.randbytes(chance.randrange(0, 64))
        return bytes(data)
    start = 0 if kind == 2 else max(0, len(data) - 3000)
    for _ in range(chance.randrange(1, 4)):
        data[chance.randrange(start, len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def test_mutated_pickles_inside_a_sound_archive(tmp_path: Path, written: tuple[Path, Checkpoint]) -> None:
    chance, wanted = random.Random(1), parts(written[1])
    with zipfile.ZipFile(written[0]) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    inside = next(name for name in entries if name.endswith("data.pkl"))
    path = tmp_path / "model.pt"
    refusals = 0
    for _ in range(100):
        data = bytearray(entries[inside])
        for _ in range(chance.randrange(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with zipfile.ZipFile(path, "w") as new:
            for name, value in entries.items():
                new.writestr(name, bytes(data) if name == inside else value)
        try:
            found = parts(load(path))
        except CheckpointError:
            refusals += 1
        else:
            assert found == wanted
    assert refusals > 50
