"""The report in a real browser: nothing is loaded, all can be read and reached, in both colour schemes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from avnir.report.html import report
from tests.report.deployments import ATTRIBUTION, deployment

pytest.importorskip("websocket")
from tests.report.chromium import Page, browser, executable

pytestmark = pytest.mark.skipif(
    executable() is None, reason="no Chromium: install one, or name it in the variable CHROMIUM"
)

SCHEMES, WIDTHS = ("light", "dark"), (390, 1280)
LEAST, LEAST_LARGE = 4.5, 3.0
"""Contrast of text and of large text: WCAG 2.2, success criterion 1.4.3."""

CONTRASTS = """
(() => {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const numbers = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const clear = (text) => text === "none" || (numbers(text).length === 4 && numbers(text)[3] === 0);
  const light = (text) => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = numbers(text).slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const ground = (element) => {
    const drawn = element.tagName === "text";
    const rect = drawn && element.parentElement.querySelector(":scope > rect:not(.ground)");
    if (rect && !clear(getComputedStyle(rect).fill)) return getComputedStyle(rect).fill;
    for (let one = element; one; one = one.parentElement) {
      if (!clear(getComputedStyle(one).backgroundColor)) return getComputedStyle(one).backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const told = walker.currentNode.data.trim();
    if (!told || !element.checkVisibility() || element.closest("script, style, title, option")) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const colour = element.tagName === "text" ? style.fill : style.color;
    found.push([told.slice(0, 40), ratio(colour, ground(element)), large]);
  }
  return found;
})()
"""
CONTROLS = "a[href], button:enabled, select, summary, [tabindex='0']"
REACHED = f"""
(() => {{
  const seen = (one) => one.checkVisibility() && one.getClientRects().length;
  const controls = [...document.querySelectorAll({json.dumps(CONTROLS)})].filter(seen);
  controls.forEach((one, index) => {{ one.dataset.control = index; }});
  return controls.length;
}})()
"""
FOCUSED = """
(() => {
  const one = document.activeElement, style = getComputedStyle(one);
  const rect = one.querySelector(":scope > rect");
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return [one.dataset.control, outlined || (rect && parseFloat(getComputedStyle(rect).strokeWidth) > 3)];
})()
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page") / "report.html"
    made.write_text(report(dataclasses.replace(deployment(), attribution=ATTRIBUTION)), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(tab: Page, path: Path) -> Page:
    """The report on a desktop, in light colours."""
    tab.size(1280)
    tab.scheme("light")
    tab.open(path)
    return tab


def settled(page: Page) -> None:
    """Wait until what was started is done and drawn."""
    page.evaluate("new Promise((done) => setTimeout(() => requestAnimationFrame(() => done(0)), 100))")


def said(page: Page, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent"))


def test_nothing_is_loaded_and_nothing_goes_wrong(page: Page, path: Path) -> None:
    settled(page)
    methods = [event["method"] for event in page.events]
    urls = [e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith("data:")] == [path.resolve().as_uri()]
    wrong = {
        "Runtime.exceptionThrown",
        "Runtime.consoleAPICalled",
        "Log.entryAdded",
        "Page.javascriptDialogOpening",
    }
    assert not wrong & set(methods), [event for event in page.events if event["method"] in wrong]
    entry = "performance.getEntriesByType('navigation')[0]"
    print(f"\nloaded in {page.evaluate(f'{entry}.loadEventEnd'):.0f} ms, {path.stat().st_size:,} bytes")


def test_it_can_be_read_without_its_script(page: Page, path: Path) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(path)
        assert not page.evaluate("document.documentElement.classList.contains('js')")
        assert page.evaluate(
            "[...document.querySelectorAll('.script')].every((one) => !one.checkVisibility())"
        )
        assert page.evaluate("document.querySelectorAll('#raster path').length") >= 2
        assert (
            page.evaluate("document.querySelector('#network-picture').getBoundingClientRect().height") > 300
        )
        assert "The export is exact." in said(page, "main")
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_page_is_wider_than_its_window(page: Page, path: Path, width: int, scheme: str) -> None:
    page.size(width)
    page.scheme(scheme)
    page.open(path)
    settled(page)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("innerWidth") == width
    wide = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(wide) == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(19, 22, 26)")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_text_stands_out(page: Page, path: Path, scheme: str) -> None:
    page.scheme(scheme)
    page.open(path)
    settled(page)
    found = page.evaluate(CONTRASTS)
    assert len(found) > 300
    faint = [
        (text, round(ratio, 2)) for text, ratio, large in found if ratio < (LEAST_LARGE if large else LEAST)
    ]
    assert not faint


def test_the_keyboard_reaches_every_control_and_shows_where_it_is(page: Page) -> None:
    settled(page)
    controls = page.evaluate(REACHED)
    reached, unseen = set(), []
    for _ in range(2 * controls):
        page.press("Tab", 9)
        index, outlined = page.evaluate(FOCUSED)
        if index is not None:
            reached.add(int(index))
            unseen += [] if outlined else [index]
        if len(reached) == controls:
            break
    assert reached == set(range(controls))
    assert not unseen


def focus(page: Page, selector: str) -> None:
    page.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")


def test_the_picture_of_the_network_follows_the_keyboard(page: Page) -> None:
    width = "document.querySelector('#network-picture').clientWidth"
    before = page.evaluate(width)
    focus(page, "[data-zoom=in]")
    page.press("Enter", 13, "\r")
    assert page.evaluate(width) > before
    focus(page, "#network-picture .node[tabindex='0']")
    first = said(page, "#node-facts")
    page.press("ArrowDown", 40)
    second = said(page, "#node-facts")
    assert first.startswith("image")
    assert second != first
    assert page.evaluate("document.querySelectorAll('.node.chosen').length") == 1
    assert page.evaluate("document.querySelectorAll('.edges .near').length") >= 1


def test_the_rasters_follow_the_controls(page: Page) -> None:
    settled(page)
    first = said(page, "#raster-summary")
    assert said(page, "#raster-layer option") in said(page, "#raster-layer")
    focus(page, "#raster-layer")
    page.press("ArrowDown", 40)
    settled(page)
    layer = page.evaluate("document.querySelector('#raster-layer').selectedIndex")
    assert layer == 1
    assert said(page, "#raster-summary") != first
    focus(page, "#raster-rows")
    page.press("ArrowDown", 40)
    settled(page)
    rows = page.evaluate("document.querySelectorAll('#raster text.row').length")
    assert 0 < rows <= 40
    assert "Shown: 1 to" in said(page, "#raster-summary")


def test_the_script_draws_what_the_page_was_written_with(page: Page, path: Path) -> None:
    settled(page)
    marks = (
        "[...document.querySelectorAll('#raster > g')].map((panel) => [...panel.querySelectorAll('path')]"
        ".map((path) => [path.getAttribute('class'), path.getAttribute('d').split('M').length]).sort())"
    )
    rows = "[...document.querySelectorAll('#raster text.row')].map((one) => one.textContent)"
    by_script = page.evaluate(rows), page.evaluate(marks)
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(path)
        written = page.evaluate(rows), page.evaluate(marks)
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert 0 < len(by_script[0]) < 40
    assert by_script == written


def test_it_prints(page: Page) -> None:
    made: dict[str, Any] = page.call("Page.printToPDF", printBackground=True)
    assert made["data"].startswith("JVBER")
    assert len(made["data"]) > 50_000


def test_motion_is_reduced_for_those_who_want_it(page: Page) -> None:
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    assert page.evaluate(behaviour) == "smooth"
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert page.evaluate(behaviour) == "auto"
