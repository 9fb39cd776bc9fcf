"""What `avnir why` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from avnir.cli.output import table

if TYPE_CHECKING:
    from avnir.compile import Compiled
    from avnir.target import Target
    from avnir.verify.attribution.attribute import Attribution
    from avnir.verify.attribution.loss import Loss
    from avnir.verify.attribution.mend import Mending

ROWS = 10
"""Layers that are shown: those that cost most."""
COLUMNS = (
    *("approximation", "lost with it alone", "of all lost", "won back without it", "of all lost"),
    *("decisions changed", "decided right"),
)


def show_causes(name: str, chip: Target, compiled: Compiled, causes: Attribution) -> None:
    """Print what every approximation costs, then the layers in which they cost most."""
    from avnir.verify.attribution.mend import weight_bits

    bits = weight_bits(compiled.program)
    share = f"{100 * causes.lost.slots / causes.slots:.3f} %"
    click.echo(
        f"{name} on {chip.title}, weights of {bits} bits, {causes.samples} samples x {causes.steps} steps: "
        f"{causes.lost.slots} of {causes.slots} spike slots differ from the float64 network ({share})"
    )
    table("spike slots that each approximation costs", COLUMNS, _cause_rows(causes))
    for cause in causes.causes:
        if cause.exact:
            click.echo(f"nothing lost by {cause.kind}: {cause.exact}")
    click.echo()
    kinds = [cause.kind for cause in causes.causes if any(cause.kind in c.alone for c in causes.layers)]
    if kinds:
        shown = [layer for layer in causes.costliest if layer.alone][:ROWS]
        rows = [
            (
                layer.layer,
                str(layer.differ),
                *(str(layer.alone[kind].slots) if kind in layer.alone else "-" for kind in kinds),
            )
            for layer in shown
        ]
        left = len([layer for layer in causes.layers if layer.alone]) - len(shown)
        more = f"; {left} that cost less are left out" if left else ""
        title = f"slots that each layer costs the network{more}"
        table(title, ("layer", "differ in it", *kinds), rows)


def _cause_rows(causes: Attribution) -> Iterator[tuple[str, ...]]:
    for cause in causes.causes:
        if not cause.exact:
            found = *_lost(causes, cause.alone), *_lost(causes, cause.off)
            yield (cause.kind, *found, *_decided(cause.alone))
    yield ("interaction", *_lost(causes, causes.interaction), "-", "-", *_decided(causes.interaction))
    yield ("all together", *_lost(causes, causes.lost), "-", "-", *_decided(causes.lost))


def _lost(causes: Attribution, loss: Loss) -> tuple[str, str]:
    return str(loss.slots), f"{100 * causes.share(loss):.1f} %"


def _decided(loss: Loss) -> tuple[str, str]:
    """Decisions that differ, and by how many fewer (or more) samples are decided right."""
    return str(loss.decisions), "-" if loss.right is None else f"{-loss.right:+}" if loss.right else "0"


def show_mending(mending: Mending) -> None:
    """Print the changes that were tried, and what came of those that were taken."""
    from avnir.verify.attribution.mend import LEAST, STEP

    rows = [
        (
            tried.change,
            str(tried.slots),
            str(tried.cores),
            "taken" if tried.taken else "",
        )
        for tried in mending.tried
        if tried.taken or (tried.sort != STEP and tried.slots is not None)
    ]
    steps = sum(tried.sort == STEP and not tried.taken for tried in mending.tried)
    beyond = sum(tried.slots is None for tried in mending.tried)
    title = f"changes, on the samples that choose: {mending.first} slots lost at first"
    table(title, ("change", "slots lost", "cores", ""), rows)
    if beyond:
        click.echo(f"{beyond} more would take more than {mending.max_cores} cores (--max-core-growth)")
    if steps:
        click.echo(f"{steps} thresholds and decays one step off win back less than {LEAST:.0%} each")
    click.echo()
    table("on the samples that judge", ("", "before", "after"), _compared(mending))
    if mending.compiled is None:
        click.echo("no change that was taken helps on the samples that judge: nothing to apply")


def _compared(mending: Mending) -> Iterator[tuple[str, ...]]:
    both = (mending.before, mending.after)
    for layer, slots in mending.slots.items():
        yield (layer, *(_equal(slots, judged.differ[layer]) for judged in both))
    everything = sum(mending.slots.values())
    yield ("all layers", *(_equal(everything, judged.lost.slots) for judged in both))
    yield ("slots lost", *(str(judged.lost.slots) for judged in both))
    yield ("decided unlike the model", *(str(judged.lost.decisions) for judged in both))
    if mending.before.accuracy is not None:
        model = _percent(mending.accuracy)
        yield (f"accuracy (model {model})", *(_percent(judged.accuracy) for judged in both))
    yield ("cores", *(str(judged.cores) for judged in both))


def _equal(slots: int, differ: int) -> str:
    return f"{100 * (1 - differ / slots):.3f} %" if slots else "-"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
