"""Which pieces share a core: the fewest cores first, then the least work on the busiest one.

Exhaustive for few pieces; otherwise best fit in descending order of size, then moves and swaps that ease the
busiest core. Deterministic: equal choices fall to the lower number.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avnir.ir.operation import Array
from avnir.place.resources import Capacity

EXHAUSTIVE = 8
"""Up to this many pieces every assignment is tried (4,140 of 8 pieces)."""


def pack(counts: Array, work: Array, core: Capacity) -> Array:
    """The core of each piece, int64 `[P]`, cores numbered by their first piece.

    counts: resources `[P, 7]`, each within a core; work: operations of a step `[P]`.
    """
    found = _best_fit(counts, core)
    if len(counts) <= EXHAUSTIVE:
        found = _exhaustive(counts, work, core, found)
    else:
        _ease(found, counts, work, core)
    return _renumbered(found)


def busiest(cores: Array, work: Array) -> float:
    """Work on the core with the most."""
    return float(np.bincount(cores, weights=work).max())


def _best_fit(counts: Array, core: Capacity) -> Array:
    """Largest piece first, each on the fullest core that still holds it."""
    found = np.full(len(counts), -1)
    loads = np.zeros_like(counts)
    used = 0
    for piece in np.argsort(-core.share(counts), kind="stable"):
        together = loads[:used] + counts[piece]
        possible = core.fits(together)
        at = int(np.argmax(np.where(possible, core.share(together), -1))) if possible.any() else used
        used = max(used, at + 1)
        loads[at] += counts[piece]
        found[piece] = at
    return found


def _exhaustive(counts: Array, work: Array, core: Capacity, start: Array) -> Array:
    """The best of all assignments, by (cores, work of the busiest); `start` is one of them."""
    best = start.copy()
    bound = (int(start.max()) + 1, busiest(start, work))
    found = np.full(len(counts), -1)
    loads, busy = np.zeros_like(counts), np.zeros(len(counts))

    def assign(piece: int, used: int) -> None:
        nonlocal best, bound
        if (used, busy.max()) >= bound:
            return
        if piece == len(counts):
            best, bound = found.copy(), (used, float(busy.max()))
            return
        for at in range(used + 1):
            if core.fits(loads[at] + counts[piece]):
                _add(at, piece, 1)
                assign(piece + 1, max(used, at + 1))
                _add(at, piece, -1)

    def _add(at: int, piece: int, sign: int) -> None:
        found[piece] = at
        loads[at] += sign * counts[piece]
        busy[at] += sign * work[piece]

    assign(0, 0)
    return best


def _ease(cores: Array, counts: Array, work: Array, core: Capacity) -> None:
    """Move or swap pieces of the busiest core, in place, while that lowers the most work of a core."""
    loads = np.zeros((int(cores.max()) + 1, counts.shape[1]), np.int64)
    np.add.at(loads, cores, counts)
    busy = np.bincount(cores, weights=work)
    change = _better(cores, counts, work, loads, busy, core)
    while change is not None:
        for piece, to in change:
            loads[cores[piece]] -= counts[piece]
            busy[cores[piece]] -= work[piece]
            cores[piece] = to
            loads[to] += counts[piece]
            busy[to] += work[piece]
        change = _better(cores, counts, work, loads, busy, core)


def _better(
    cores: Array, counts: Array, work: Array, loads: Array, busy: Array, core: Capacity
) -> list[tuple[int, int]] | None:
    """The first move or swap after which both cores have less work than the busiest has now."""
    top = int(busy.argmax())
    mine = (cores == top).nonzero()[0]
    if len(mine) == 1:
        return None
    for piece in mine:
        for change, after, other in _changes(piece, top, cores, counts, work, loads, busy):
            if core.fits(after).all() and max(other) < busy[top]:
                return change
    return None


def _changes(
    piece: int, top: int, cores: Array, counts: Array, work: Array, loads: Array, busy: Array
) -> Iterator[tuple[list[tuple[int, int]], Array, tuple[float, float]]]:
    """Moves of a piece off core `top`, and swaps: what changes, both loads and both works after it."""
    for to in range(len(loads)):
        if to == top:
            continue
        after = np.stack([loads[top] - counts[piece], loads[to] + counts[piece]])
        rest, more = busy[top] - work[piece], busy[to] + work[piece]
        yield [(piece, to)], after, (rest, more)
        for other in (cores == to).nonzero()[0]:
            back = np.stack([counts[other], -counts[other]])
            moved = [(piece, to), (int(other), top)]
            yield moved, after + back, (rest + work[other], more - work[other])


def _renumbered(cores: Array) -> Array:
    """Numbers from 0 in the order of each core's first piece."""
    _, first = np.unique(cores, return_index=True)
    order = {int(cores[at]): number for number, at in enumerate(sorted(first))}
    return np.array([order[int(core)] for core in cores], np.int64)
