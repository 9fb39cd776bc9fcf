"""Where the boxes of a layered drawing go: ranks from top to bottom, few crossings, straight long edges.

The usual three steps (Sugiyama, Tagawa and Toda, IEEE Trans. SMC 11(2), 1981). An edge over several ranks
goes through a bend in each rank that it passes. Ranks are ordered by the mean place of their neighbours in
the rank before, in sweeps down and up. Then each box moves to the mean of its neighbours as far as the order
and the widths allow, which is an isotonic regression within the rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 12
SETTLING = 24
"""Sweeps in which places settle, down and up; the last goes up."""
GAP = 18.0
"""Pixels between neighbours in a rank."""
BEND_WIDTH = 6.0
STRAIGHT = 8.0
"""How much more a bend's place counts than a box's: long edges stay straight."""


@dataclass(frozen=True)
class Box:
    """A box to place, its `rank` counted from the top, its size in pixels."""

    name: str
    rank: int
    width: float
    height: float


@dataclass(frozen=True)
class Drawing:
    """Centres `(x, y)` of the boxes, the points that each edge goes through, and the size of the whole."""

    centres: Mapping[str, tuple[float, float]]
    edges: Mapping[tuple[str, str], tuple[tuple[float, float], ...]]
    ranks: Mapping[int, float]
    width: float
    height: float


def drawn(boxes: Sequence[Box], edges: Sequence[tuple[str, str]], gap: float) -> Drawing:
    """Place boxes whose edges run down, or up where a loop closes; `gap` pixels between ranks."""
    items = {box.name: box for box in boxes}
    paths = {edge: _path(items, *edge) for edge in edges}
    near = _neighbours(items, paths.values())
    order = _ordered(_by_rank(items.values()), items, near)
    across = _across(order, items, near, _straightened(paths.values()))
    down = _down(order, items, gap)
    points = {name: (across[name], down[box.rank]) for name, box in items.items()}
    return Drawing(
        {box.name: points[box.name] for box in boxes},
        {edge: tuple(points[name] for name in path) for edge, path in paths.items()},
        down,
        max((x + items[name].width / 2 for name, (x, _) in points.items()), default=0.0),
        max((y + items[name].height / 2 for name, (_, y) in points.items()), default=0.0),
    )


def _path(items: dict[str, Box], first: str, last: str) -> tuple[str, ...]:
    """The edge's way, with a bend made in each rank between its ends."""
    a, b = items[first].rank, items[last].rank
    between = range(a + 1, b) if b > a else range(a - 1, b, -1)
    bends = [Box(f"{first}>{last}>{rank}", rank, BEND_WIDTH, 0.0) for rank in between]
    items |= {bend.name: bend for bend in bends}
    return (first, *(bend.name for bend in bends), last)


_Neighbours = dict[str, list[str]]


def _neighbours(items: Mapping[str, Box], paths: Iterable[Sequence[str]]) -> _Neighbours:
    """What each item is joined to in another rank."""
    near: _Neighbours = {name: [] for name in items}
    for path in paths:
        for a, b in pairwise(path):
            if items[a].rank != items[b].rank:
                near[a].append(b)
                near[b].append(a)
    return near


def _straightened(paths: Iterable[Sequence[str]]) -> _Neighbours:
    """For a bend all of its edge, so that it comes to lie straight above the others."""
    return {bend: list(path) for path in paths for bend in path[1:-1]}


def _by_rank(boxes: Iterable[Box]) -> list[list[str]]:
    ranks: dict[int, list[str]] = {}
    for box in boxes:
        ranks.setdefault(box.rank, []).append(box.name)
    return [ranks[rank] for rank in sorted(ranks)]


def _ordered(order: list[list[str]], items: Mapping[str, Box], near: _Neighbours) -> list[list[str]]:
    """The ranks in an order with few crossings: the best that the sweeps came by."""
    best, fewest = order, _crossings(order, items, near)
    for sweep in range(SWEEPS):
        order = _swept(order, items, near, down=sweep % 2 == 0)
        if (found := _crossings(order, items, near)) < fewest:
            best, fewest = order, found
    return best


def _swept(
    order: list[list[str]], items: Mapping[str, Box], near: _Neighbours, down: bool
) -> list[list[str]]:
    made = [list(rank) for rank in order]
    place = {name: float(i) for rank in made for i, name in enumerate(rank)}
    for rank in made if down else reversed(made):
        level = items[rank[0]].rank

        before = {name: [place[n] for n in near[name] if (items[n].rank < level) == down] for name in rank}
        rank.sort(key={name: _mean(places, place[name]) for name, places in before.items()}.__getitem__)
        place |= {name: float(i) for i, name in enumerate(rank)}
    return made


def _crossings(order: list[list[str]], items: Mapping[str, Box], near: _Neighbours) -> int:
    """How often lines between neighbouring ranks cross."""
    place = {name: i for rank in order for i, name in enumerate(rank)}
    found = 0
    for rank in order:
        ends: list[int] = []
        for name in rank:
            below = sorted(place[n] for n in near[name] if items[n].rank > items[name].rank)
            found += sum(end > other for other in below for end in ends)
            ends += below
    return found


def _across(
    order: list[list[str]], items: Mapping[str, Box], near: _Neighbours, straight: _Neighbours
) -> dict[str, float]:
    """The x of every item's centre, at least half its width."""
    place: dict[str, float] = {}
    for rank in order:
        place |= dict(zip(rank, _fitted(rank, [0.0] * len(rank), items), strict=True))
    for sweep in range(SETTLING):
        down = sweep % 2 == 0
        for rank in order if down else reversed(order):
            level = items[rank[0]].rank
            before = {name: [n for n in near[name] if (items[n].rank < level) == down] for name in rank}
            drawn_to = [straight.get(name, before[name]) for name in rank]
            pulled = zip(rank, drawn_to, strict=True)
            wanted = [_mean([place[n] for n in names], place[name]) for name, names in pulled]
            place |= dict(zip(rank, _fitted(rank, wanted, items), strict=True))
    left = min((x - items[name].width / 2 for name, x in place.items()), default=0.0)
    return {name: x - left for name, x in place.items()}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _fitted(rank: Sequence[str], wanted: Sequence[float], items: Mapping[str, Box]) -> list[float]:
    """The places nearest to those wanted, by least squares, in this order and without overlap."""
    offsets = list(_offsets(rank, items))
    blocks: list[tuple[float, float, int]] = []
    for name, want, offset in zip(rank, wanted, offsets, strict=True):
        weight = 1.0 if items[name].height else STRAIGHT
        block = (want - offset, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            value, heavy, members = blocks.pop()
            total = heavy + block[1]
            block = ((value * heavy + block[0] * block[1]) / total, total, members + block[2])
        blocks.append(block)
    fitted = [value for value, _, members in blocks for _ in range(members)]
    return [value + offset for value, offset in zip(fitted, offsets, strict=True)]


def _offsets(rank: Sequence[str], items: Mapping[str, Box]) -> Iterator[float]:
    """How far right of the first each must be at least."""
    at, before = 0.0, 0.0
    for number, name in enumerate(rank):
        at += (before + items[name].width) / 2 + GAP if number else 0.0
        before = items[name].width
        yield at


def _down(order: list[list[str]], items: Mapping[str, Box], gap: float) -> dict[int, float]:
    """The y of every rank's middle."""
    found, at = {}, 0.0
    for rank in order:
        tall = max(items[name].height for name in rank)
        found[items[rank[0]].rank] = at + tall / 2
        at += tall + gap
    return found
