"""The cards' section "Pretrained": how the networks in `examples` were trained, and what avnir says of them.

python -m examples.systems pretrained
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import click
import numpy as np

from avnir.export import load
from avnir.models import build
from avnir.models.classifier import Classifier
from avnir.models.data import registry
from examples.systems.cards import CARDS
from examples.systems.measure import CHIP, encoded

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"(<!-- pretrained -->\n).*?(<!-- end of pretrained -->)", re.DOTALL)
OPTIONS: Mapping[str, str] = {
    "scmrl": "--set channels=16 --set project=normalised --set attention_threshold=0.5 "
    "--epochs 4 --batch-size 50 --learning-rate 4e-3",
    "l2act": "--set width=8 --set audio_width=8 --set embedding=32 --set hidden=32 --epochs 4",
    "taaf": "--set width=16 --set score_hidden=16 --epochs 6",
}
"""Of `avnir train`, for each system."""
DIGEST = 12
"""Hexadecimal digits of a program's digest that a card shows."""


@click.command("pretrained")
@click.option("--check", is_flag=True, help="Write nothing; fail where a card is out of date.")
def pretrained(check: bool) -> None:
    """Fill the cards' section Pretrained from what avnir says of the networks in examples."""
    stale = False
    for card in CARDS:
        text = card.read_text(encoding="utf-8")
        new = SECTION.sub(lambda found, name=card.stem: f"{found[1]}\n{section(name)}\n\n{found[2]}", text)
        stale |= new != text
        if not check:
            card.write_text(new, encoding="utf-8")
        click.echo(f"{card.name}: {'as it is' if new == text else 'out of date' if check else 'written'}")
    if check and stale:
        sys.exit(1)


def section(system: str) -> str:
    """What the card says of the system's file, measured now."""
    name = f"examples/{system}.pt"
    rows = [f"| {what} | {value} |" for what, value in figures(ROOT / name).items()]
    return "\n".join(
        [
            "```console",
            f"$ avnir train {system} {OPTIONS[system]} --examples 20 --out {name}",
            f"$ avnir verify {name} --target {CHIP} --backend cpu --backend lava",
            "```",
            "",
            f"| `{name}` | |",
            "|---|---|",
            *rows,
        ]
    )


def figures(file: Path) -> dict[str, str]:
    """The rows of the table: what, and how much."""
    chip = ("--target", CHIP, "--json")
    verified, costs = avnir("verify", file, *chip), avnir("bench", file, *chip)
    notes, placed, total = load(file).notes, costs["placement"], costs["synops_per_sample"]["total"]
    deployed, pairs = on_the_engine(file)
    exact = verified["exact"]
    names = ", ".join(f"{one['first']} = {one['second']}" for one in exact)
    equal = sum(layer["equal"] for one in exact for layer in one["layers"])
    slots = sum(layer["slots"] for one in exact for layer in one["layers"])
    window = costs["latency"]["window_ns"]["mean"]
    return {
        "test accuracy in floating point": f"{100 * notes['test_accuracy']:.2f} % of {notes['test_pairs']}",
        "test accuracy on the chip's integers": f"{100 * deployed:.2f} % of {pairs}",
        f"equal spike slots, {names}": f"{equal:,} of {slots:,}",
        "equal spike slots, snntorch ~ integer": f"{100 * verified['quantisation']['agreement']:.2f} %",
        "cores": f"{placed['cores']} of {placed['cores_per_chip']} of one chip",
        "neurons": f"{placed['neurons']:,}",
        "SynOps a sample": ", ".join(f"{value:,.0f} {convention}" for convention, value in total.items()),
        "each window is shown": f"{costs['presentations']} times" if costs["presentations"] > 1 else "once",
        "a window takes": f"{window / 1e3:.0f} us of {costs['latency']['chip_steps']} chip steps: computed "
        "from scaled figures, not measured on silicon",
        "program": f"`{verified['program'][:DIGEST]}`",
    }


def on_the_engine(file: Path) -> tuple[float, int]:
    """The accuracy of the exported program on all test pairs, and how many they are."""
    saved = load(file)
    name, config = cast(tuple[str, Mapping[str, Any]], saved.architecture)
    test = registry.load("generator", Path()).test
    with TemporaryDirectory() as temporary:
        out, inputs = Path(temporary) / "exported", Path(temporary) / "pairs.npz"
        np.savez(inputs, **encoded(cast(Classifier, build(name, config)), test), labels=test.labels)  # type: ignore[arg-type]
        avnir("export", file, "--target", CHIP, "--out", out, "--json")
        return avnir("run", out, "--inputs", inputs, "--json")["accuracy"], len(test)


def avnir(*arguments: object) -> dict[str, Any]:
    """What `avnir ARGUMENTS` prints with --json."""
    command = [sys.executable, "-m", "avnir", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return cast(dict[str, Any], json.loads(done.stdout))
