"""Lists of events: written, read, and refused with every line that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import avnir
from avnir.errors import DataError, UserError
from avnir.trace import Trace
from avnir.trace_check import Frame, cropped, layer_names, read_recording
from avnir.trace_csv import COLUMNS, read_events, write_csv


def trace() -> Trace:
    rng = np.random.default_rng(0)
    first = (rng.random((6, 3, 2, 2, 3)) < 0.4).astype(np.uint8)
    messages = rng.integers(-3, 4, (6, 3, 5)).astype(np.int32)
    silent = np.zeros((6, 3, 4), np.uint8)
    return Trace({"first": first, "messages": messages, "silent": silent}, {})


def written(tmp_path: Path, *lines: str, head: str = ",".join(COLUMNS)) -> Path:
    path = tmp_path / "events.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_csv(trace(), tmp_path / "a.csv")
    again = read_recording(tmp_path / "a.csv", {}, Frame.of(trace()))
    assert list(again.spikes) == list(trace().spikes)
    for name, sent in trace().spikes.items():
        assert np.array_equal(again.spikes[name], sent)


def test_columns_may_stand_in_any_order_and_neurons_lie_flat(tmp_path: Path) -> None:
    path = written(tmp_path, "1, 7, 0, 2, first", head="value,neuron,sample,step,layer")
    found = read_recording(path, {}, Frame.of(trace()))
    assert found.spikes["first"][2, 0, 1, 0, 1] == 1
    assert found.spikes["first"].sum() == 1
    assert list(found.spikes) == ["first"]


def test_without_a_frame_the_events_say_how_large_all_is(tmp_path: Path) -> None:
    found = read_recording(written(tmp_path, "a,4,1,2:0,1", "a,0,0,0:3,-5"), {}, Frame())
    assert found.spikes["a"].shape == (5, 2, 3, 4)
    assert found.spikes["a"][0, 0, 0, 3] == -5


def test_every_wrong_line_is_named(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "first,-1,0,3,1",
        "first,0,0,3",
        "first,0,0,3,0.5",
        "first,0,x,3,1",
        "first,0,0,1:b:0,1",
        ",0,0,0,1",
        "first,1,1,5,1",
        "first,1,1,5,1",
    )
    with pytest.raises(DataError) as caught:
        read_events(path)
    message = str(caught.value)
    for line, words in {
        2: "step is '-1', but must be a whole number from 0",
        3: "4 columns, but the header has 5",
        4: "value is '0.5', but must be a whole number",
        5: "sample is 'x'",
        6: "neuron is '1:b:0'",
        7: "the layer has no name",
        9: "first, step 1, sample 1 says neuron (5,) again, as line 8",
    }.items():
        assert f"line {line}: {words}" in message


def test_many_findings_are_cut(tmp_path: Path) -> None:
    path = written(tmp_path, *(f"a,0,0,{k},x" for k in range(30)))
    with pytest.raises(DataError, match="and 10 more"):
        read_events(path)


@pytest.mark.parametrize(
    ("head", "words"),
    [("layer,step", "line 1: the header is 'layer,step'"), ("", "line 2: the header is 'a,0,0,0,1'")],
)
def test_the_header_is_required(tmp_path: Path, head: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_events(written(tmp_path, "a,0,0,0,1", head=head))


def test_files_that_are_no_events_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a list of events"):
        read_events(tmp_path / "missing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as a list of events"):
        read_events(tmp_path / "binary.csv")
    with pytest.raises(DataError, match="holds no event"):
        read_events(written(tmp_path))
    with pytest.raises(DataError, match="has 1 axes, but on an earlier line 2"):
        read_recording(written(tmp_path, "a,0,0,0:1,1", "a,0,0,1,1"), {}, Frame())


def test_events_outside_are_all_named(tmp_path: Path) -> None:
    path = written(tmp_path, "first,6,0,0,1", "first,0,3,0,1", "first,0,0,12,1", "first,0,0,0:2:0,1")
    with pytest.raises(DataError) as caught:
        read_recording(path, {}, Frame.of(trace()))
    for words in (
        "line 2: step 6, but the window has 6 steps, 0 to 5",
        "line 3: sample 3, but there are 3, 0 to 2",
        "line 4: neuron 12, but first is (2, 2, 3)",
        "line 5: neuron 0:2:0, but first is (2, 2, 3)",
    ):
        assert words in str(caught.value)
    inside = written(tmp_path, "first,6,0,0,1", "first,0,3,0,1", "first,0,0,11,1")
    kept = read_recording(inside, {}, Frame(1, 1, Frame.of(trace()).shapes), steps=1, samples=1)
    assert kept.spikes["first"].shape == (1, 1, 2, 2, 3)
    assert kept.spikes["first"].sum() == 1


def test_layers_are_mapped_left_out_or_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "frist,0,0,0,1", "noise,0,0,0,1")
    with pytest.raises(
        DataError, match=r"layer frist is not known \(like first\); map it with --layer frist=OURS"
    ):
        read_recording(path, {}, Frame.of(trace()))
    found = read_recording(path, {"frist": "first", "noise": ""}, Frame.of(trace()))
    assert list(found.spikes) == ["first"]
    with pytest.raises(DataError, match="--layer other=: it has no such layer"):
        read_recording(path, {"other": "first", "frist": "first", "noise": ""}, Frame.of(trace()))
    with pytest.raises(DataError, match="two of its layers are mapped to first"):
        read_recording(path, {"frist": "first", "noise": "first"}, Frame.of(trace()))


def test_pairs_of_names() -> None:
    assert layer_names(["a=b", "c="]) == {"a": "b", "c": ""}
    for wrong in (["a"], ["=b"], ["a=b", "a=c"]):
        with pytest.raises(UserError, match="must be THEIRS=OURS"):
            layer_names(wrong)


def test_a_foreign_npz_is_fitted_or_refused_with_all_findings(tmp_path: Path) -> None:
    path = tmp_path / "theirs.npz"
    first = trace().spikes["first"]
    Trace({"first": first.reshape(6, 3, -1).astype(np.float64)}, {}).save(path)
    found = read_recording(path, {}, Frame.of(trace()))
    assert np.array_equal(found.spikes["first"], first)
    assert found.spikes["first"].dtype == np.uint8

    wrong = {
        "first": first[:4],
        "messages": trace().spikes["messages"] + 0.5,
        "silent": np.zeros((6, 2, 4)),
        "another": np.zeros((6, 3, 4)),
    }
    Trace(wrong, {}).save(path)
    with pytest.raises(DataError) as caught:
        read_recording(path, {}, Frame.of(trace()))
    for words in (
        "layer first has 4 steps, not 6; record the same window, or compare the first steps of both with "
        "--steps 4",
        "layer messages has values that are no whole numbers, first",
        "layer silent has 2 samples, not 3",
        "layer another is not known",
    ):
        assert words in str(caught.value)


def test_registers_come_along(tmp_path: Path) -> None:
    path = tmp_path / "theirs.npz"
    first = trace().spikes["first"]
    Trace({"first": first}, {}, {"first": {"v": np.ones(first.shape, np.int32)}}).save(path)
    assert read_recording(path, {}, Frame.of(trace())).states["first"]["v"].shape == first.shape
    Trace({"first": first}, {}, {"first": {"v": np.ones((6, 3, 2), np.int32)}}).save(path)
    with pytest.raises(DataError, match="registers of first are not of the shape"):
        read_recording(path, {}, Frame.of(trace()))


def test_cropping_keeps_the_first_steps_and_samples() -> None:
    small = cropped(trace(), 2, 1)
    assert {sent.shape[:2] for sent in small.spikes.values()} == {(2, 1)}


def test_the_published_schema_describes_what_is_written() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(avnir.__file__).parent / "trace.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    full = Trace(
        trace().spikes, {"out": trace().spikes["messages"]}, {"first": {"v": trace().spikes["first"]}}
    )
    record = Trace(full.spikes, full.outputs, full.states, (trace(),)).description()
    jsonschema.validate(record, schema)
    assert "rehearsals/0/spikes/first" in record["arrays"]
    for name in ("spikes/a b", "other/first"):
        record["arrays"] = {name: {"dtype": "uint8", "shape": [1, 1]}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(record, schema)
