"""The report: well-formed, self-contained, and true to the verdict."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.report.html import report
from avnir.trace import Trace
from avnir.verify.stages import Stages, judge
from tests.networks import audio_visual, spikes

VOID = {"meta", "wbr"}


class Checker(HTMLParser):
    """Collects what is open, what is linked and what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def page(changed: bool = False) -> str:
    graph = audio_visual(0)
    inputs = spikes(graph, 0)
    compiled = compile_graph(graph, target.load("loihi2"))
    real, chip = interpret_real(graph, inputs), interpret_integer(compiled.program.graph, inputs)
    backend = Trace({n: s ^ changed for n, s in chip.spikes.items()}, chip.outputs)
    stages = Stages(real, chip, {"cpu": backend}, {"model": real, "snntorch": real})
    return report("<script>alert(1)</script>.pt", compiled, judge(stages))


@pytest.mark.parametrize("changed", [False, True])
def test_the_page_is_well_formed_and_says_the_verdict(changed: bool) -> None:
    checker = Checker()
    checker.feed(page(changed))
    assert not checker.open
    assert not checker.links
    text = " ".join(checker.said)
    assert ("The export is exact." in text) is not changed
    assert ("The export is not exact." in text) is changed
    assert "Not tested on silicon" in text
    assert "lif1" in text
    assert "delayed by" in text
    assert "on 1 of 120 cores" in text
    assert "SynMem" in text
    assert "What runs where" in text
    assert "largest sum of output; a step 5 additions" in text


def test_names_are_escaped() -> None:
    assert "<script>" not in page()


def test_same_input_same_page() -> None:
    assert page() == page()
