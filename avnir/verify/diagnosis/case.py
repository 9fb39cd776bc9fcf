"""What a hypothesis about a layer is, and the building blocks of the table of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from avnir.verify.diagnosis.site import Prediction, Site, Wire

Alter = Callable[[Site], Prediction]
"""What an altered layer would give on the spikes that reach the layer of this site."""


@dataclass(frozen=True)
class Case:
    """One way in which a layer could be other than ours: `detail` in words, `alter` computes it.

    `whole`: it takes all samples of the batch to see it.
    """

    detail: str
    alter: Alter
    whole: bool = False


@dataclass(frozen=True)
class Hypothesis:
    """A cause that is looked for: the `remedy` tells what to do, `cases` lists what is tried at a site.

    It is tried on operations of these `kinds`, of all where none is named, and on these `levels`.
    """

    name: str
    sentence: str
    remedy: str
    cases: Callable[[Site], Iterator[Case]]
    kinds: frozenset[str] = frozenset()
    levels: frozenset[str] = frozenset({"integer", "real"})

    def applies(self, site: Site) -> bool:
        """Whether a layer of this kind can be so."""
        return site.level in self.levels and (not self.kinds or site.node.op.kind in self.kinds)


def neurons_with(**changes: Any) -> Alter:
    """The neurons with other parameters."""
    return lambda site: site.with_op(**changes).plain


def arithmetic(**changes: Any) -> Alter:
    """The neurons with a rule of their arithmetic changed (`avnir.verify.diagnosis.neuron.Rule`)."""
    return lambda site: site.ruled(**changes).plain


def wire_with(index: int, change: Callable[[Wire], Wire]) -> Alter:
    """One way into the layer changed."""
    return lambda site: site.rewired(index, change(site.wires[index])).plain
