"""What `avnir compare` tells a person: a verdict in sentences, then tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from avnir.cli.output import table

if TYPE_CHECKING:
    from avnir.cli.compare import Compared
    from avnir.verify.diagnosis.diagnose import Diagnosis, Entry, Explanation
    from avnir.verify.divergence import LayerProfile
    from avnir.verify.moment import Arrival, Moment

COLUMNS = 16
"""Columns of the table of steps; a longer window is summed up in as many parts."""
LARGE = 1e6
"""Distances from here on are written with three digits."""
OTHERS = 3
"""Further details of one cause that are written out."""


def show(found: Compared) -> None:
    """Print everything."""
    for paragraph in (*_verdict(found), *_cause(found)):
        click.echo(paragraph + "\n")
    names = found.first.name, found.second.name
    head = (
        "layer",
        "",
        "equal slots",
        f"spikes, {names[0]}",
        f"spikes, {names[1]}",
        "distance",
        "best shift",
    )
    table("layers", head, [_row(found, layer) for layer in found.layers])
    if found.divergence is not None:
        _show_growth(found)
        click.echo(
            "distance: van Rossum's, squared, summed over neurons and samples; a spike that one side lacks "
            "counts 1. best shift: steps by which the second is later where most slots are equal."
        )
    for side, missing in ((names[1], found.only_first), (names[0], found.only_second)):
        if missing:
            click.echo(f"{side} has no recording of {', '.join(missing)}: not compared")


def _verdict(found: Compared) -> Iterator[str]:
    first, second = found.first.name, found.second.name
    where = found.divergence
    slots = sum(layer.agreement.slots for layer in found.layers)
    if where is None and found.equal:
        layers = _counted(len(found.layers), "layer")
        yield f"equal: {first} and {second} agree in all {slots:,} slots of {layers}."
        return
    if where is None:
        yield f"different: {first} and {second} agree in every layer's spikes, but not in the outputs."
        return
    graded = {where.first, where.second} != {0, 1}
    yield (
        f"different: {first} and {second} first differ in layer {where.layer}, "
        f"neuron {_neuron(where.neuron)}, step {where.step}, sample {where.sample}: "
        f"{_sent(first, where.first, graded)}, {_sent(second, where.second, graded)}."
    )
    if found.first_state and found.second_state:
        yield _states(found, found.first_state, found.second_state)
    if shift := _common_shift(found.layers):
        yield f"Equal after a shift: {second} is {shift:+d} steps later in every layer that differs."


def _neuron(neuron: tuple[int, ...]) -> str:
    return str(neuron[0]) if len(neuron) == 1 else f"({', '.join(map(str, neuron))})"


def _sent(name: str, value: int, graded: bool) -> str:
    return f"{name} sends {value:,}" if graded else f"{name} {('does not spike', 'spikes')[value]}"


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _states(found: Compared, first: Moment, second: Moment) -> str:
    """The neuron's potential on both sides, and what reached it."""
    names = found.first.name, found.second.name
    same = (first.arrivals, first.potential) == (second.arrivals, second.potential)
    if same:
        parts = [_potential(first, ""), "What reached the layer until then is the same on both sides"]
        parts.append(f"in this step: {_arrivals(first.arrivals)}")
        text = f"{parts[0]}{parts[1]}; {parts[2]}."
    else:
        text = " ".join(_side(name, state) for name, state in zip(names, (first, second), strict=True))
    recorded = [
        f"{name} recorded {', '.join(f'{r} = {v:,}' for r, v in state.recorded.items())} after the step"
        for name, state in zip(names, (first, second), strict=True)
        if state.recorded
    ]
    return " ".join([text, *(f"{line}." for line in recorded)])


def _side(name: str, state: Moment) -> str:
    membrane = _potential(state, f"From what {name} sent into this layer, ")
    return f"{membrane}In this step: {_arrivals(state.arrivals)}."


def _potential(state: Moment, begin: str) -> str:
    if state.potential is None or state.threshold is None:
        return begin and f"{begin}the following holds. "
    unit = f" (in integer steps, of which {state.unit:,.0f} are 1 in the model)" if state.unit else ""
    verdict = "spikes" if state.defined else "does not spike"
    potential, threshold = (f"{value:,}" for value in (state.potential, state.threshold))
    start = f"{begin}the" if begin else "The"
    against = f"{potential} against a threshold of {threshold}{unit}"
    return f"{start} membrane is {against}: by the definition it {verdict}. "


def _arrivals(arrivals: tuple[Arrival, ...]) -> str:
    told = []
    for arrival in arrivals:
        active = (
            "" if arrival.active is None else f" from {arrival.active} active of {arrival.sources:,} synapses"
        )
        total = f"{arrival.total:,}" if isinstance(arrival.total, int) else f"{arrival.total:.7g}"
        told.append(f"{arrival.connection} brings {total}{active}")
    return ", ".join(told)


def _common_shift(layers: tuple[LayerProfile, ...]) -> int:
    """The one shift after which all layers that differ are equal, 0 if there is none."""
    shifts = {layer.shift.steps if layer.only_shifted else 0 for layer in layers if not layer.equal}
    return shifts.pop() if len(shifts) == 1 else 0


def _cause(found: Compared) -> Iterator[str]:
    if found.note:
        yield found.note
    if found.diagnosis is not None:
        yield from _diagnosis(found.diagnosis, found.blamed)


def _diagnosis(why: Diagnosis, blamed: str) -> Iterator[str]:
    for explanation in why.recording:
        told = f"{explanation.sentence}. {_capital(explanation.detail)}. {explanation.remedy}"
        yield f"Cause, of the whole of {blamed}: {told}"
    for entry in why.entries:
        yield "\n".join(_entry(entry, blamed))
    if why.unexamined:
        yield f"Differences enter in further layers, which were not examined: {', '.join(why.unexamined)}."
    if not why.entries and not why.recording and why.passed_on:
        yield "Every layer that was recorded answers as defined to what reaches it."


def _entry(entry: Entry, blamed: str) -> Iterator[str]:
    exact = [explanation for explanation in entry.explanations if explanation.exact]
    if not exact:
        yield _unexplained(entry, blamed)
        return
    first, *rest = exact
    told = f"{first.sentence}. {_capital(first.detail)}{_more(first)}."
    yield f"Cause in layer {entry.layer} of {blamed}: {told}"
    yield f"This explains all of it, {_extent(entry)}{_judged(first)}. {first.remedy}"
    if entry.recorded_only:
        yield "The layers behind it got our spikes: only its recording differs."
    for other in rest:
        yield f"  explains as much: {other.name} ({other.detail}{_more(other)}){_judged(other)}"


def _extent(entry: Entry) -> str:
    """In how much the layer is not what the definition makes of what reaches it."""
    told = [_counted(entry.slots, "slot")] * bool(entry.slots)
    told += [f"{_counted(entry.values, 'value')} of registers"] * bool(entry.values)
    return " and ".join(told)


def _unexplained(entry: Entry, blamed: str) -> str:
    step, sample, neuron = entry.place
    where = f"step {step}, sample {sample}, neuron {_neuron(neuron)}"
    head = (
        f"Cause not found in layer {entry.layer} of {blamed}, which answers otherwise to what reaches it in "
        f"{_extent(entry)}, first {where}."
    )
    best = next(iter(entry.explanations), None)
    if best is None:
        return f"{head} No cause in the table explains any part of it."
    share = f"{_percent(best.share)} of it, in the samples tried"
    return f"{head} Nearest: {best.name} ({best.detail}) explains {share}."


def _judged(explanation: Explanation) -> str:
    judged, window = explanation.steps
    return (
        "" if judged == window else f", as far as the recording determines it: in {judged} of {window} steps"
    )


def _more(explanation: Explanation) -> str:
    if not explanation.others:
        return ""
    listed = "; ".join(explanation.others[:OTHERS])
    left = len(explanation.others) - OTHERS
    return f"; or as well: {listed}" + (f"; and {left} more" if left > 0 else "")


def _capital(text: str) -> str:
    """A sentence's beginning; a name of a layer or a parameter stays as it is."""
    word = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if word.isalpha() else text


def _percent(share: float) -> str:
    """Cut rather than rounded, so that 100 means all."""
    return f"{int(share * 1e5) / 1e3:.3f} %"


def _row(found: Compared, layer: LayerProfile) -> tuple[str, ...]:
    equal = layer.agreement
    shift = (
        ""
        if layer.equal or layer.shift.steps == 0
        else f"{layer.shift.steps:+d} ({_percent(layer.shift.agreement)})"
    )
    return (
        layer.layer,
        _role(found, layer),
        _percent(equal.agreement),
        f"{equal.first_spikes:,}",
        f"{equal.second_spikes:,}",
        f"{layer.distance:,.2f}" if layer.distance < LARGE else f"{layer.distance:.3g}",
        shift or "0",
    )


def _role(found: Compared, layer: LayerProfile) -> str:
    """What the layer has to do with the difference."""
    if layer.equal:
        return "equal"
    why = found.diagnosis
    if why is None or why.recording:
        return "differs"
    return "passed on" if layer.layer in why.passed_on else "enters here"


def _show_growth(found: Compared) -> None:
    unlike = [layer for layer in found.layers if not layer.equal]
    window = len(unlike[0].growth)
    size = -(-window // COLUMNS)
    edges = range(0, window, size)
    head = [str(k) if size == 1 else f"{k}-{min(k + size, window) - 1}" for k in edges]
    rows = [(layer.layer, *(f"{sum(layer.growth[k : k + size]):,}" for k in edges)) for layer in unlike]
    table("slots that differ, by step", ("layer", *head), rows)
