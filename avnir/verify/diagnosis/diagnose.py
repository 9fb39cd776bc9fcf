"""Why another run of a network differs: causes that are tried, and that reproduce it exactly or not.

`diagnose` takes a program, its inputs and what somebody else recorded of it. First it asks whether the whole
recording is ours rearranged (`trace`). Then every layer is replayed alone on the spikes that were recorded
before it (`site`): a layer that differs although its replay is exact only passes on what it got. At each of
the others every hypothesis of the table is tried. One that gives the recorded answer in every slot of every
step and sample that can be judged explains it; if none does, the one is named that explains most, with its
share, and the cause counts as not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from avnir.errors import GraphError
from avnir.ir.graph import Graph
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.trace import Trace
from avnir.verify.diagnosis.answers import DEAD, MOVED, ORDER
from avnir.verify.diagnosis.case import Case, Hypothesis
from avnir.verify.diagnosis.offsets import OFFSETS
from avnir.verify.diagnosis.parameters import SIMPLE
from avnir.verify.diagnosis.parameters_real import SIMPLE_REAL
from avnir.verify.diagnosis.result import Diagnosis as Diagnosis
from avnir.verify.diagnosis.result import Entry as Entry
from avnir.verify.diagnosis.result import Explanation as Explanation
from avnir.verify.diagnosis.search import SYNAPSES
from avnir.verify.diagnosis.site import Prediction, Site, sites
from avnir.verify.diagnosis.trace import whole_trace
from avnir.verify.diagnosis.weights import WEIGHTS
from avnir.verify.diagnosis.wires import TIMING, WIRING

HYPOTHESES: tuple[Hypothesis, ...] = (
    *MOVED,
    *TIMING,
    *ORDER,
    *SIMPLE,
    *SIMPLE_REAL,
    *WIRING,
    *WEIGHTS,
    *DEAD,
    *SYNAPSES,
    *OFFSETS,
)
"""All that is tried at a layer, the simplest first: what changes one thing before what is solved for."""
SCREENED = 6
"""Samples on which a case is tried first; only one that explains these is tried on all."""
EXAMINED = 6
"""Layers at which the whole table is tried; further ones are named only."""
WHOLE = "the whole recording"


def diagnose(
    program: Program, inputs: Mapping[str, Array], theirs: Trace, ours: Trace | None = None
) -> Diagnosis:
    """Why `theirs` is not what the program gives on these inputs, `[T, B, *shape]`.

    `ours` is the program's own trace, run here where it is not given. `theirs` must fit
    (`avnir.trace_check.fitted`); it may lack layers. Only the last presentation of a window is looked at.
    """
    return diagnose_graph(program.graph, inputs, theirs, ours)


def diagnose_graph(
    graph: Graph, inputs: Mapping[str, Array], theirs: Trace, ours: Trace | None = None
) -> Diagnosis:
    """The same of a graph of either level; of a real one, in float64."""
    own = ours or INTERPRETERS[graph.level](graph, inputs)
    recorded = {name: sent for name, sent in theirs.spikes.items() if name in own.spikes}
    unlike = [name for name in recorded if not np.array_equal(recorded[name], own.spikes[name])]
    equal = tuple(name for name in recorded if name not in unlike)
    wrong, blind = _wrong_sites(graph, inputs, theirs, unlike)
    found = list(whole_trace(graph, own.spikes, recorded)) if unlike else []
    window = len(next(iter(inputs.values())))
    recording = tuple(
        Explanation(WHOLE, r.name, r.sentence, detail, r.remedy, 1.0, (window, window)) for r, detail in found
    )
    examined = [] if recording else wrong[:EXAMINED]
    entries = tuple(_entry(site, _only_recorded(graph, site, unlike, blind)) for site in examined)
    entered = {site.node.name for site in wrong}
    return Diagnosis(
        equal,
        tuple(name for name in unlike if name not in entered),
        entries,
        recording,
        tuple(site.node.name for site in wrong[len(examined) :]) if not recording else (),
    )


INTERPRETERS = {"integer": interpret_integer, "real": interpret_real}


def _wrong_sites(
    graph: Graph, inputs: Mapping[str, Array], theirs: Trace, unlike: list[str]
) -> tuple[list[Site], set[str]]:
    """Layers that answer otherwise, the first in time first, and layers that answered to other spikes.

    The latter are ours in every slot, though what was recorded before them would give something else.
    """
    wrong, blind = [], set()
    for site in sites(graph, inputs, theirs):
        name = site.node.name
        if site.wrong and (name in unlike or np.array_equal(site.plain.sent, site.theirs["sent"])):
            wrong.append(site)
        elif site.wrong:
            blind.add(name)
    return sorted(wrong, key=lambda site: site.place[0]), blind


def _only_recorded(graph: Graph, site: Site, unlike: list[str], blind: set[str]) -> bool:
    behind = _layers_behind(graph, site.node.name)
    return bool(behind & blind) and not behind & set(unlike)


def _layers_behind(graph: Graph, name: str) -> set[str]:
    """The layers that see what a layer sends, through operations that do not spike."""
    seen, waiting = set[str](), list(graph.consumers[name])
    while waiting:
        after = waiting.pop()
        if after not in seen:
            seen.add(after)
            waiting += () if graph[after].op.spiking else graph.consumers[after]
    return {after for after in seen if graph[after].op.spiking}


def _entry(site: Site, recorded_only: bool) -> Entry:
    step, sample, *neuron = site.place
    place = step, sample, tuple(neuron)
    slots = int(np.sum(site.plain.sent != site.theirs["sent"]))
    return Entry(site.node.name, place, slots, site.wrong - slots, explained(site), recorded_only)


def explained(site: Site) -> tuple[Explanation, ...]:
    """Every hypothesis that explains a layer, in the table's order; else the one that explains most."""
    screen = site.samples(_screened(site))
    partial: Explanation | None = None
    exact: dict[tuple[str, str], Explanation] = {}
    for hypothesis, tried in _tried(site, screen):
        key = hypothesis.name, hypothesis.sentence
        if not tried.exact:
            partial = tried if partial is None or tried.share > partial.share else partial
        elif key not in exact:
            exact[key] = tried
        else:
            first = exact[key]
            exact[key] = Explanation(**{**vars(first), "others": (*first.others, tried.detail)})
    if exact:
        return tuple(exact.values())
    return (partial,) if partial is not None and partial.share > 0 else ()


def _screened(site: Site) -> list[int]:
    """The samples that differ, and if they are few, some that do not."""
    unlike = np.zeros(site.theirs["sent"].shape[1], int)
    for name in site.plain.arrays.keys() & site.theirs.keys():
        different = site.plain.arrays[name] != site.theirs[name]
        unlike += different.sum(axis=(0, *range(2, different.ndim)))
    return [int(k) for k in np.argsort(-unlike, kind="stable")[:SCREENED]]


def _tried(site: Site, screen: Site) -> Iterator[tuple[Hypothesis, Explanation]]:
    for hypothesis in HYPOTHESES:
        if hypothesis.applies(site):
            for case in hypothesis.cases(site):
                tried = _judged(site, screen, hypothesis, case)
                if tried is not None:
                    yield hypothesis, tried


def _judged(site: Site, screen: Site, hypothesis: Hypothesis, case: Case) -> Explanation | None:
    """How much a case explains, on the screened samples, and on all where it explains these.

    None where nothing differs in the steps that it can be judged in, or the layer cannot be so.
    """
    for seen in (site,) if case.whole else (screen, site):
        try:
            found = case.alter(seen)
        except GraphError:  # a parameter out of the operation's range: no chip could be so
            return None
        before = _wrong_within(seen, found)
        if not before:
            return None
        share = 1 - found.wrong(seen.theirs) / before
        if share < 1:
            break
    window = len(site.theirs["sent"])
    judged = len(range(window)[found.begin : found.end])
    words = (hypothesis.name, hypothesis.sentence, case.detail, hypothesis.remedy)
    return Explanation(site.node.name, *words, max(share, 0.0), (judged, window))


def _wrong_within(site: Site, found: Prediction) -> int:
    """Slots that the plain layer answers otherwise, of those in which this prediction can be judged."""
    known = {name: site.plain.arrays[name] for name in found.arrays.keys() & site.plain.arrays.keys()}
    return Prediction(known, found.begin, found.end).wrong(site.theirs)
