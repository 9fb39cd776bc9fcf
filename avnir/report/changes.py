"""Differences between programs, or verifications, as lines and tables, and those in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from avnir.report.summary import markdown_table
from avnir.verify.diff import AFTER, BEFORE, Difference
from avnir.verify.diff_records import Verified

NOT_RUN = "nothing was run, so spikes, SynOps, latency, energy and accuracy were not compared"


class Section(NamedTuple):
    """A table with its title and the names of its columns."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def headlines(found: Difference) -> Iterator[str]:
    """What a reader should know first, a sentence a line."""
    digests = [side.program.digest[:12] for side in (found.before, found.after)]
    if found.same_program:
        yield f"the same program: {digests[0]}"
    else:
        nodes = len(found.changes)
        named = f"{nodes} node{'' if nodes == 1 else 's'} differ{'s' if nodes == 1 else ''}"
        yield f"program {digests[0]} became {digests[1]}: {named if nodes else 'the same integers'}"
    yield from _sent(found)
    for figure in found.figures:
        if figure.refused:
            yield f"{figure.name} is refused: {figure.refused}"


def _sent(found: Difference) -> Iterator[str]:
    if found.before.run is None:
        yield NOT_RUN
    if found.spikes is not None and found.spikes.identical:
        slots = sum(layer.slots for layer in found.spikes.layers)
        yield f"every spike is equal: {slots:,} slots"
    elif found.spikes is not None:
        where = f"first at {found.spikes.divergence}"
        yield f"{100 * found.spikes.agreement:.3f} % of the spike slots are equal, {where}"
    if found.unlike:
        yield f"only in one of the two, or of another shape: {', '.join(found.unlike)}"


def sections(found: Difference) -> Iterator[Section]:
    """The tables that have rows."""
    rows = [(c.node, c.operation, c.what, c.how) for c in found.changes]
    made = (
        Section("made with", ("what", BEFORE, AFTER), found.provenance),
        Section("program", ("node", "operation", "what", "how"), rows),
        Section("spikes", ("layer", "equal slots", BEFORE, AFTER, "first difference"), _spike_rows(found)),
        Section("figures", ("figure", BEFORE, AFTER, "growth"), [f.row() for f in found.figures]),
    )
    return (section for section in made if section.rows)


def _spike_rows(found: Difference) -> list[tuple[str, ...]]:
    """The layers that differ."""
    if found.spikes is None:
        return []
    return [
        (
            layer.layer,
            f"{100 * layer.agreement:.3f} %",
            f"{layer.first_spikes:,}",
            f"{layer.second_spikes:,}",
            str(layer.divergence).removeprefix(f"{layer.layer}, "),
        )
        for layer in found.spikes.layers
        if layer.divergence
    ]


def record_headlines(verified: Iterable[Verified], single: Iterable[str]) -> Iterator[str]:
    """Whether each model's program changed, a sentence a line, and which models only one side has."""
    for found in verified:
        before, after = (digest[:12] for digest in found.programs)
        same = found.programs[0] == found.programs[1]
        yield (
            f"{found.model}: the same program: {after}"
            if same
            else f"{found.model}: program {before} became {after}"
        )
    yield from (f"{name}: only in one of the two" for name in single)


def record_sections(verified: Iterable[Verified]) -> Iterator[Section]:
    """A table of figures for each model."""
    for found in verified:
        yield Section(found.model, ("figure", BEFORE, AFTER, "growth"), [f.row() for f in found.figures])


def changes_markdown(title: str, lines: Iterable[str], tables: Iterable[Section]) -> str:
    """Lines and tables in Markdown, for a pull request."""
    made = [f"## avnir diff: {title}", "", *(f"- {line}" for line in lines)]
    for section in tables:
        made += ["", f"### {section.title}", "", *markdown_table(section.columns, section.rows)]
    return "\n".join([*made, ""])
