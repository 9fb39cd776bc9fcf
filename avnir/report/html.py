"""The report as one self-contained HTML file: tables, readable on any screen, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from avnir import __version__
from avnir.compile import Compiled
from avnir.cost.cores import cores_text
from avnir.ir.latency import latencies
from avnir.place.table import core_rows
from avnir.target import load
from avnir.verify.stages import Verification, layer_table
from avnir.verify.where import COLUMNS, parts

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; white-space: nowrap; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
th, td { text-align: left; }
.number { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
.scroll { margin: 1.5rem 0; }
.verdict { border-left: .4rem solid; padding: .3rem .8rem; }
.equal { border-color: #2a7d4f; } .differs { border-color: #b3261e; }
li { overflow-wrap: anywhere; }
"""

_NOT_COMPARED = (
    '<p class="verdict"><strong>Nothing was compared.</strong> The model came without example inputs, so '
    "that no spike of this export was checked. Not tested on silicon.</p>"
)

_WHERE = (
    "<p>Layers that send spikes are exact: they do the model's operation, with weights, decays and "
    "thresholds in the chip's integers. Layers that send numbers are rounded where what they send is not the "
    "number of the model. What runs on the host runs outside of the chip, for every sample.</p>"
)


def report(model: str, compiled: Compiled, verification: Verification | None) -> str:
    """The page for one exported model; without a verification it says that nothing was compared."""
    program = compiled.program
    placement = compiled.placement
    where = parts(program.graph, compiled.notes, program.decision)
    pieces = [
        f"<h1>{escape(model)} on {escape(program.target)}</h1>",
        *([_NOT_COMPARED] if verification is None else _comparison(verification)),
        _table("What runs where", COLUMNS, (part.row() for part in where)),
        _WHERE,
        _table("The program", ("node", "operation", "shape", "latency in steps"), _nodes(compiled)),
        _table("The cores", *core_rows(placement, load(program.target))),
        f"<p>{placement.neurons} neurons, {placement.synaptic_words} words of synaptic memory on "
        f"{cores_text(placement)}. The first output comes {program.latency} chip steps after the first "
        "input.</p>",
        "<h2>What each pass did</h2><ul>",
        *(f"<li>{escape(str(note))}</li>" for note in compiled.notes),
        f"</ul><footer><p>avnir {__version__}, program <code>{program.digest}</code></p></footer>",
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    title = f"<title>{escape(model)} on {escape(program.target)}</title>"
    body = "\n".join(pieces)
    top = f'<!doctype html>\n<html lang="en">\n<head>{head}{title}<style>{_STYLE}</style></head>'
    return f"{top}\n<body>\n{body}\n</body>\n</html>\n"


def _comparison(verification: Verification) -> list[str]:
    equal = verification.equal
    verdict = "The export is exact" if equal else "The export is not exact"
    return [
        f'<p class="verdict {"equal" if equal else "differs"}"><strong>{verdict}.</strong> '
        f"{escape(_summary(verification))} Not tested on silicon.</p>",
        _table(
            "Agreement of spikes, layer by layer", _agreement_head(verification), layer_table(verification)
        ),
        _table("Accuracy on the examples", ("stage", "accuracy"), _accuracy(verification)),
    ]


def _summary(verification: Verification) -> str:
    pairs = ", ".join(f"{c.first} = {c.second}: {'yes' if c.identical else 'no'}" for c in verification.exact)
    share = 100 * verification.quantisation.agreement
    return (
        f"Every spike equal over {verification.samples} samples of {verification.steps} steps: {pairs}. "
        f"What quantisation costs: the integers agree with the float model in {share:.3f} % of spike slots."
    )


def _agreement_head(verification: Verification) -> tuple[str, ...]:
    exact = (f"{c.first} = {c.second}" for c in verification.exact)
    quantised = verification.quantisation
    return ("layer", *exact, f"{quantised.first} ~ {quantised.second}", "spikes, float", "spikes, integer")


def _accuracy(verification: Verification) -> list[tuple[str, str]]:
    return [(name, f"{100 * value:.2f} %") for name, value in verification.accuracy.items()]


def _nodes(compiled: Compiled) -> list[tuple[str, ...]]:
    graph = compiled.program.graph
    late = latencies(graph)
    return [
        (n.name, n.op.text(), " x ".join(map(str, graph.shapes[n.name])), str(late[n.name])) for n in graph
    ]


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    listed = list(rows)
    if not listed:
        return ""
    styles = [' class="number"' if all(r[i][:1].isdigit() for r in listed) else "" for i in range(len(head))]
    top = "".join(f'<th scope="col"{s}>{escape(cell)}</th>' for cell, s in zip(head, styles, strict=True))
    body = "".join(f"<tr>{_cells(row, styles)}</tr>" for row in listed)
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(row: Sequence[str], styles: Sequence[str]) -> str:
    """Long names may break behind an underscore."""
    texts = (escape(cell).replace("_", "_<wbr>") for cell in row)
    return "".join(f"<td{style}>{text}</td>" for text, style in zip(texts, styles, strict=True))
