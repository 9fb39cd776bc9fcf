"""JUnit and Markdown hold every check, whatever names and messages are made of."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as xml

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.report.junit import junit
from avnir.report.summary import markdown_table, summary
from avnir.trace import Trace
from avnir.verify.gate import GATE, Check, Measures, Verdict, checks
from avnir.verify.stages import Stages, judge

ATTRIBUTES: Mapping[str, tuple[set[str], set[str]]] = {
    "testsuites": ({"name", "tests", "failures", "errors"}, set()),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time"}, set()),
    "properties": (set(), set()),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname"}, {"time"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
}
"""Of each element what must be there and what may, in jenkins-junit.xsd."""
CHILDREN: Mapping[str, tuple[str, ...]] = {
    "testsuites": ("testsuite",),
    "testsuite": ("properties", "testcase"),
    "properties": ("property",),
    "testcase": ("failure", "error"),
}
"""Of each element what may stand in it, in that order."""


def sent(flip: bool = False) -> Trace:
    spikes = (np.random.default_rng(0).random((6, 4, 5)) < 0.4).astype(np.uint8)
    spikes[5, 3, 4] ^= flip
    return Trace({"first": np.zeros((6, 4, 2), np.uint8), "last": spikes}, {"out": spikes})


def verdict(flip: bool = False, model: str = "m.pt", *more: Check) -> Verdict:
    verification = judge(Stages(sent(), sent(), {"cpu": sent(flip)}, {"snntorch": sent()}))
    measures = Measures.of(verification, 6, 100.0)
    made = (*checks(verification, measures, {"max_cores": 6, "max_synops": 99.5}, model), *more)
    return Verdict(model, "loihi2", "0" * 64, verification, measures, made, seconds=1.25)


def checked(element: xml.Element) -> None:
    """Assert that the element and all in it are as the schema says."""
    needed, allowed = ATTRIBUTES[element.tag]
    assert needed <= set(element.attrib) <= needed | allowed
    order = [CHILDREN[element.tag].index(child.tag) for child in element]
    assert order == sorted(order)
    for child in element:
        if child.tag in CHILDREN:
            checked(child)
        else:
            assert set(child.attrib) == ATTRIBUTES[child.tag][0]


def counted(suite: xml.Element) -> None:
    """Assert that the suite's numbers are those of its cases."""
    cases = suite.findall("testcase")
    found = [len(cases), *(sum(case.find(how) is not None for case in cases) for how in ("failure", "error"))]
    assert found == [int(suite.get(name, "")) for name in ("tests", "failures", "errors")]


def test_the_file_is_as_the_schema_says() -> None:
    text = junit({"m.pt": verdict(), "n.pt": verdict(flip=True, model="n.pt")}, {"gone.pt": "it is\ngone"})
    root = xml.fromstring(text.encode())
    checked(root)
    for suite in root:
        counted(suite)
    assert [root.get(name) for name in ("tests", "failures", "errors")] == ["17", "4", "1"]
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')


def test_one_case_for_each_layer_each_pair_of_outputs_and_each_gate() -> None:
    [suite] = xml.fromstring(junit({"m.pt": verdict(flip=True)}, {}))
    assert suite.get("time") == "1.250"
    assert {p.get("name"): p.get("value") for p in suite.iter("property")} == {
        "target": "loihi2",
        "program": "0" * 64,
    }
    cases = {(c.get("classname"), c.get("name")): c.find("failure") for c in suite.iter("testcase")}
    assert set(cases) == {
        *(("m.pt: snntorch = graph", name) for name in ("first", "last", "outputs")),
        *(("m.pt: integer = cpu", name) for name in ("first", "last", "outputs")),
        ("m.pt: gate", "max_cores"),
        ("m.pt: gate", "max_synops"),
    }
    failed = {name: case.get("message", "") for name, case in cases.items() if case is not None}
    assert set(failed) == {
        ("m.pt: integer = cpu", "last"),
        ("m.pt: integer = cpu", "outputs"),
        ("m.pt: gate", "max_synops"),
    }
    place = "1 of 120 spike slots differ, first at last, neuron (4,), step 5, sample 3: "
    assert failed["m.pt: integer = cpu", "last"].startswith(place)
    assert "above 99.5" in failed["m.pt: gate", "max_synops"]


@given(st.text(), st.text())
def test_any_text_can_be_in_it(name: str, problem: str) -> None:
    told = verdict(False, name, Check(GATE, name, problem, problem, problem))
    root = xml.fromstring(junit({name: told}, {problem: problem}).encode())
    checked(root)
    assert int(root.get("failures", "")) >= 1


@pytest.mark.parametrize("cell", ["a|b", "a\\|b", "two\nlines", "<b>", "*x*"])
def test_a_cell_stays_a_cell(cell: str) -> None:
    *_, row = markdown_table(("one", "two"), [(cell, "x")])
    unescaped = row.replace("\\\\", "").replace("\\|", "")
    assert unescaped.count("|") == 3
    assert "\n" not in row
    assert "<b>" not in row.replace("\\<", "")


def test_the_summary_says_what_failed_and_shows_every_layer() -> None:
    text = summary({"m.pt": verdict(flip=True)}, {"gone.pt": "it is gone"})
    assert text.startswith("## avnir verify: failed\n")
    assert "| m.pt | FAILED | integer = cpu, max\\_synops |" in text
    assert "| gone.pt | NOT VERIFIED |" in text
    assert "\nit is gone\n" in text
    assert "- it makes 100 SynOps a sample, above 99.5 (max_synops). `avnir bench m.pt`" in text
    assert "| last | 100 % | 99.166 % |" in text
    assert summary({"m.pt": verdict()}, {}).startswith("## avnir verify: failed\n")
    assert text.endswith("\n")
