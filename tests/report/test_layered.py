"""The layered layout: nothing overlaps, edges keep their direction, the same graph gives the same picture."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.report.layered import GAP, Box, drawn

Graph = tuple[list[Box], list[tuple[str, str]]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 12))
    ranks = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    boxes = [
        Box(str(i), rank, draw(st.floats(10, 200)), draw(st.floats(10, 60))) for i, rank in enumerate(ranks)
    ]
    pairs = [(a.name, b.name) for a, b in combinations(boxes, 2) if a.rank != b.rank]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20)) if pairs else []
    return boxes, edges


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_no_two_boxes_overlap_and_all_are_inside(graph: Graph) -> None:
    boxes, edges = graph
    drawing = drawn(boxes, edges, 20)
    for a, b in combinations(boxes, 2):
        (ax, ay), (bx, by) = drawing.centres[a.name], drawing.centres[b.name]
        across, down = abs(ax - bx) - (a.width + b.width) / 2, abs(ay - by) - (a.height + b.height) / 2
        assert across >= GAP - 1e-6 if a.rank == b.rank else down >= 20 - 1e-6
        assert ay == by if a.rank == b.rank else (ay < by) == (a.rank < b.rank)
    for box in boxes:
        x, y = drawing.centres[box.name]
        assert x - box.width / 2 >= -1e-6
        assert x + box.width / 2 <= drawing.width + 1e-6
        assert y + box.height / 2 <= drawing.height + 1e-6


@given(graphs())
@settings(max_examples=30, deadline=None)
def test_an_edge_goes_through_every_rank_between_its_ends(graph: Graph) -> None:
    boxes, edges = graph
    drawing = drawn(boxes, edges, 20)
    for (first, last), points in drawing.edges.items():
        assert points[0] == drawing.centres[first]
        assert points[-1] == drawing.centres[last]
        heights = [y for _, y in points]
        assert heights in (sorted(heights), sorted(heights, reverse=True))
    assert drawn(boxes, edges, 20) == drawing


def test_a_chain_is_straight_and_a_long_edge_passes_beside_it() -> None:
    boxes = [Box(name, rank, 50, 20) for rank, name in enumerate("abcd")]
    chain = drawn(boxes, [("a", "b"), ("b", "c"), ("c", "d")], 10)
    assert len({x for x, _ in chain.centres.values()}) == 1
    skipped = drawn(boxes, [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")], 10)
    bends = skipped.edges["a", "d"][1:-1]
    assert len(bends) == 2
    assert abs(bends[0][0] - bends[1][0]) < 10
    assert all(abs(x - skipped.centres["b"][0]) > 25 for x, _ in bends)


def test_crossings_that_can_be_avoided_are() -> None:
    boxes = [Box(name, rank, 50, 20) for name, rank in zip("abcxyz", (0, 0, 0, 1, 1, 1), strict=True)]
    drawing = drawn(boxes, [("a", "z"), ("b", "y"), ("c", "x")], 10)
    ends = sorted((drawing.centres[a][0], drawing.centres[b][0]) for a, b in drawing.edges)
    assert [end for _, end in ends] == sorted(end for _, end in ends)
