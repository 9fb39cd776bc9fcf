"""Which pieces share a core: the fewest cores first, then the least work on the busiest one.

Exhaustive for few pieces; otherwise best fit in descending order of size, then moves and swaps that ease the
busiest core. Deterministic: equal choices fall to the lower number.
"""

from __future__ import annotations

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
        possible = core.fits(together).nonzero()[0]
        at = possible[core.share(together[possible]).argmax()] if len(possible) else used
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
    """The first move or swap after which both cores have less work than the busiest has now.

    Pieces of the busiest core in their order, each with all other cores at once: with every piece there that
    could come back for it, and first with none.
    """
    top = int(busy.argmax())
    mine = (cores == top).nonzero()[0]
    if len(mine) == 1:
        return None
    to, back = _exchanges(cores, top, len(loads))
    returned, done = _or_nothing(counts)[back], _or_nothing(work)[back]
    for piece in mine:
        less = work[piece] - done
        lighter = ((less > 0) & (busy[to] + less < busy[top])).nonzero()[0]
        moved = counts[piece] - returned[lighter]
        possible = core.fits(loads[top] - moved) & core.fits(loads[to[lighter]] + moved)
        if possible.any():
            at = lighter[possible.argmax()]
            swapped = [(int(back[at]), top)] if back[at] < len(cores) else []
            return [(int(piece), int(to[at])), *swapped]
    return None


def _exchanges(cores: Array, top: int, used: int) -> tuple[Array, Array]:
    """Where a piece of core `top` can go, and which piece comes back; the number of pieces stands for none.

    Core by core: first without return, then for each of its pieces.
    """
    others = (cores != top).nonzero()[0]
    elsewhere = np.delete(np.arange(used), top)
    to = np.concatenate([elsewhere, cores[others]])
    back = np.concatenate([np.full(len(elsewhere), len(cores)), others])
    order = np.argsort(to, kind="stable")
    return to[order], back[order]


def _or_nothing(values: Array) -> Array:
    """The values of all pieces, and zeros for none."""
    return np.concatenate([values, np.zeros_like(values[:1])])


def _renumbered(cores: Array) -> Array:
    """Numbers from 0 in the order of each core's first piece."""
    _, first = np.unique(cores, return_index=True)
    order = {int(cores[at]): number for number, at in enumerate(sorted(first))}
    return np.array([order[int(core)] for core in cores], np.int64)
