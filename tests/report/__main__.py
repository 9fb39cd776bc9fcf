"""`python -m tests.report --write` makes examples/report.png, which the README shows.

It is the head of the report of examples/av_digits.pt in Chromium (`tests.report.chromium`), in few colours.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image

from avnir.cli import main as avnir
from avnir.files import atomic_path
from tests.report.chromium import browser

EXAMPLES = Path(__file__).parents[2] / "examples"
WIDTH, HEIGHT = 1280, 1765
COLOURS = 128


def picture() -> Image.Image:
    """The first HEIGHT pixels of the example's report, in light colours."""
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "report.html"
        avnir(["report", str(EXAMPLES / "av_digits.pt"), "--target", "loihi2", "--out", str(page)])
        with browser(Path(scratch)) as tab:
            tab.size(WIDTH)
            tab.scheme("light")
            tab.open(page)
            tab.evaluate("new Promise((done) => setTimeout(() => requestAnimationFrame(done), 200))")
            return Image.open(io.BytesIO(tab.picture(height=HEIGHT))).convert("RGB")


def main() -> None:
    """Write the picture where the README expects it, if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write examples/report.png")
    made = picture().quantize(COLOURS)
    if parser.parse_args().write:
        with atomic_path(EXAMPLES / "report.png") as temporary:
            made.save(temporary, optimize=True)


if __name__ == "__main__":
    main()
