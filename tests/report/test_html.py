"""The report: well-formed, self-contained, accessible in its structure, and true to the verdict."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from avnir.report.html import report
from tests.report.deployments import ATTRIBUTION, HOSTILE, deployment

VOID = {"meta", "wbr", "link"}


class Checker(HTMLParser):
    """Collects what is open, linked, named and said, and every element with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.said.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.said))

    def values(self, *names: str) -> list[str]:
        return [attrs[name] for _, attrs in self.elements for name in names if name in attrs]


def page(**options: object) -> str:
    return report(deployment(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("changed", [False, True])
def test_the_page_is_well_formed_and_says_the_verdict(changed: bool) -> None:
    found = Checker(page(changed=changed))
    assert not found.open
    assert ("The export is exact." in found.text) is not changed
    assert ("The export is not exact." in found.text) is changed
    assert ("cpu differs from integer, first at" in found.text) is changed
    assert "Not tested on silicon." in found.text
    assert "It takes 1 of 120 cores of Intel Loihi 2" in found.text
    for told in (
        "lif1",
        "delayed by",
        "SynMem",
        "What runs where",
        "largest sum of output; a step 5 additions",
    ):
        assert told in found.text, told


def test_nothing_is_loaded_and_every_link_leads_somewhere() -> None:
    found = Checker(page())
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    assert not found.values("src")
    links = [link for link in found.values("href") if link != "data:,"]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    named = " ".join(found.values("aria-labelledby", "aria-describedby")).split()
    assert set(named) <= set(ids)
    assert "url(" not in page().replace("url(#arrow)", "")
    assert "@import" not in page()


def test_the_browser_may_run_the_page_s_own_script_alone() -> None:
    text = page()
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(v for v in Checker(text).values("content") if "default-src" in v)
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest}'" in policy


def test_what_the_user_named_is_never_markup() -> None:
    text = page()
    assert HOSTILE not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.pt" in text
    assert HOSTILE in Checker(text).text


def test_the_structure_is_that_of_a_document() -> None:
    found = Checker(page())
    tags = [tag for tag, _ in found.elements]
    assert [tags.count(tag) for tag in ("h1", "main", "header", "footer", "nav")] == [1] * 5
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert tags.count("table") == tags.count("caption") > 5
    assert all(
        "aria-label" in a or "aria-labelledby" in a for tag, a in found.elements if a.get("role") == "region"
    )
    assert all("aria-hidden" in a or a.get("role") for tag, a in found.elements if tag == "svg")
    assert all("scope" in a for tag, a in found.elements if tag == "th")


def test_without_a_run_it_says_that_nothing_was_compared() -> None:
    found = Checker(page(compared=False))
    assert "Nothing was compared." in found.text
    assert "The export is exact" not in found.text
    assert not {"agreement", "rasters", "accuracy", "latency", "energy"} & set(found.values("id"))
    assert {"network", "cores", "passes", "provenance"} <= set(found.values("id"))


def test_a_refused_total_is_refused_and_the_counts_stand() -> None:
    costs = deployment().costs
    assert costs is not None
    text = Checker(page()).text
    assert "No total is given." in text
    assert "No energy total for Intel Loihi 2: no price was ever published for synaptic operations" in text
    assert f"{costs.energy.entries[0].count:,.1f}" in text
    assert "refused" in text


def test_costs_that_cannot_be_had_are_refused_with_the_reason() -> None:
    refused = dataclasses.replace(deployment(), costs=None, refused="no published value for barrier_latency")
    found = Checker(report(refused))
    assert "no published value for barrier_latency" in found.text
    assert not {"latency", "operations", "energy"} & set(found.values("id"))


def test_an_attribution_is_shown_with_the_worst_cause_first() -> None:
    text = Checker(report(dataclasses.replace(deployment(), attribution=ATTRIBUTION))).text
    assert "lose 40 spike slots and change 1 decision. Most comes from weights and threshold." in text
    assert "alone, added up, 46. The rest, \u22126, is" in text
    assert "reset: the chip resets as the model does" in text
    assert "Which approximation lost spikes" not in Checker(page()).text


def test_versions_seeds_and_digests_are_there() -> None:
    text = Checker(page()).text
    for told in (deployment().compiled.program.digest, "ab" * 32, "seed", "versions, torch", "weight_bits"):
        assert told in text, told


def test_without_labels_decisions_are_compared_and_no_accuracy_is_claimed() -> None:
    text = Checker(page(labels=False)).text
    assert "The inputs have no labels" in text
    assert "Right decisions by class" not in text


def test_same_input_same_page() -> None:
    text = page()
    deployment.cache_clear()
    assert page() == text


def test_the_page_is_small() -> None:
    assert len(page().encode()) < 300_000
