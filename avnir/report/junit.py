"""Verdicts as JUnit XML, which every CI system reads: a suite a model, a test for each thing checked.

Every layer of every pair of stages that must be equal is a test, so are the outputs of each pair, every gate,
and every layer of a golden trace. The elements and attributes are those that JUnit's own reports and
Jenkins' schema (jenkins-junit.xsd) have: testsuites, testsuite, properties, testcase, failure, error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from xml.etree import ElementTree as xml

from avnir.verify.compare import Comparison
from avnir.verify.gate import STAGES, Verdict

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no form for."""


class Case(NamedTuple):
    """One test: of a group, with a name, and what is wrong."""

    group: str
    name: str
    problem: str | None


def junit(verdicts: Mapping[str, Verdict], refused: Mapping[str, str]) -> str:
    """The file as text; `refused`: why a model could not be verified, by its name."""
    root = xml.Element("testsuites", name="avnir verify")
    for name, verdict in verdicts.items():
        root.append(_suite(name, verdict))
    for name, problem in refused.items():
        suite = xml.SubElement(root, "testsuite", _counts(name, 1, 0, 1, 0.0))
        _report(suite, name, Case("model", "can be verified", problem), "error")
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(suite.attrib[total]) for suite in root)))
    xml.indent(root, " ")
    text = xml.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(name: str, verdict: Verdict) -> xml.Element:
    cases = list(_cases(verdict))
    failed = sum(case.problem is not None for case in cases)
    suite = xml.Element("testsuite", _counts(name, len(cases), failed, 0, verdict.seconds))
    properties = xml.SubElement(suite, "properties")
    for key in ("target", "program"):
        xml.SubElement(properties, "property", name=key, value=getattr(verdict, key))
    for case in cases:
        _report(suite, name, case, "failure")
    return suite


def _counts(name: str, tests: int, failures: int, errors: int, seconds: float) -> dict[str, str]:
    numbers = {"tests": tests, "failures": failures, "errors": errors, "skipped": 0}
    return {"name": _clean(name), **{k: str(v) for k, v in numbers.items()}, "time": f"{seconds:.3f}"}


def _report(suite: xml.Element, model: str, case: Case, how: str) -> None:
    made = xml.SubElement(
        suite, "testcase", classname=_clean(f"{model}: {case.group}"), name=_clean(case.name)
    )
    if case.problem is not None:
        first = case.problem.partition("\n")[0]
        told = xml.SubElement(made, how, type=case.group, message=_clean(first))
        told.text = _clean(case.problem)


def _cases(verdict: Verdict) -> Iterator[Case]:
    for comparison in verdict.verification.exact:
        yield from _compared(f"{comparison.first} = {comparison.second}", comparison)
        yield Case(f"{comparison.first} = {comparison.second}", "outputs", _outputs(comparison))
    if verdict.golden is not None:
        yield from _compared("golden", verdict.golden)
    compared = {f"{comparison.first} = {comparison.second}" for comparison in verdict.verification.exact}
    for check in verdict.checks:
        if not (check.kind == STAGES and check.name in compared):
            yield Case(check.kind, check.name, check.problem)


def _compared(group: str, comparison: Comparison) -> Iterator[Case]:
    """One test a layer."""
    for layer in comparison.layers:
        differing = f"{layer.slots - layer.equal} of {layer.slots} spike slots differ, first at "
        yield Case(group, layer.layer, f"{differing}{layer.divergence}" if layer.divergence else None)


def _outputs(comparison: Comparison) -> str | None:
    return None if comparison.outputs_equal else f"{comparison.second} gives other outputs"


def _clean(text: str) -> str:
    return FORBIDDEN.sub("?", text)
