"""Counts over boxes against counting synapse by synapse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir import target
from avnir.ir.operation import Array, Shape
from avnir.place.activity import messages
from avnir.place.axis import Blocks, Window, even, full, units
from avnir.place.grid import Grid, cut, neurons
from avnir.place.memory import Pool, Separate
from avnir.place.network import Link, Network, network_of
from avnir.place.resources import NAMES, capacity, only, pooled
from avnir.place.work import operations
from tests.place.networks import Conv, Dense, Listed, chain

NETWORKS = {
    "dense": ((2, 3, 4), (Dense(7, 5), Dense(4, 8))),
    "conv": ((2, 7, 6), (Conv(5, 8, padding=(1, 1)), Conv(3, 4, kernel=2, stride=(2, 1)))),
    "groups": ((4, 5, 5), (Conv(6, 8, groups=2), Conv(6, 8, kernel=2, groups=3))),
    "dilated": ((1, 9, 8), (Conv(3, 8, kernel=2, dilation=(3, 2)), Dense(5, 8))),
    "listed": ((2, 3, 4), (Listed(30, 0.2), Listed(7, 0.1), Listed(5, 1.0))),
    "listed boxes": ((2, 3, 4), (Listed(24, 0.2, (2, 4, 3)), Conv(3, 8, padding=(1, 1)), Listed(9, 0.3))),
}


def network(name: str) -> Network:
    shape, layers = NETWORKS[name]
    return network_of(chain(shape, *layers).graph, 6)


def every_synapse(program: Network, link: Link) -> Array:
    """Bool `[C, H, W, c, h, w]`: stored synapses from source to target, told by single spikes."""
    source, box = program.box(link.source), program.box(link.target)
    each = np.eye(math.prod(source), dtype=np.int64).reshape(-1, *source)
    single = Grid(*(units(size) for size in box))
    return operations(link, single, each).reshape(*source, *box) > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_synapses_are_those_of_the_operation(name: str) -> None:
    """Against what the integer operation itself does with weights of one."""
    shape, layers = NETWORKS[name]
    program = chain(shape, *layers)
    made = network_of(program.graph, 6)
    for link in made.links:
        op = program.graph[link.name].op
        ones = op.replace(weight=np.ones_like(op.weight), exponent=0)  # type: ignore[attr-defined]
        source, box = made.box(link.source), made.box(link.target)
        each = np.eye(math.prod(source), dtype=np.int64).reshape(-1, *source)
        reached_by = ones.step(each, {}).reshape(*source, *box)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(every_synapse(made, link), reached_by > 0)


@st.composite
def grids(draw: st.DrawFn, box: Shape) -> Grid:
    cuts = []
    for size in box:
        inner = draw(st.sets(st.integers(1, size - 1), max_size=3)) if size > 1 else set()
        cuts.append((0, *sorted(inner), size))
    return Grid(*cuts)


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_boxes_count_as_their_synapses_do(name: str, data: st.DataObject) -> None:
    program = network(name)
    made = {n: data.draw(grids(layer.box)) for n, layer in program.layers.items()}
    dice = np.random.default_rng(data.draw(st.integers(0, 99)))
    for link in program.links:
        source = made.get(link.source) or cut(program.box(link.source), (1, 2, 1))
        joined = every_synapse(program, link)
        sent = dice.random((2, *program.box(link.source))) < 0.5
        stored, done = link.joins.synapses(made[link.target]), operations(link, made[link.target], sent)
        reach, told = (
            link.joins.reached(source, made[link.target]).ravel(),
            messages(link, source, made[link.target], sent),
        )
        for t, there in enumerate(made[link.target].boxes()):
            into = joined[(..., *(slice(*r) for r in there))]
            assert stored.ravel()[t] == into.sum()
            per_source = into.sum(axis=(3, 4, 5))
            np.testing.assert_array_equal(done.reshape(2, -1)[:, t], (sent * per_source).sum(axis=(1, 2, 3)))
            for s, here in enumerate(source.boxes()):
                at = tuple(slice(*r) for r in here)
                wanted = (sent[(slice(None), *at)] & (per_source[at] > 0)).sum(axis=(1, 2, 3))
                np.testing.assert_array_equal(told[:, s, t], wanted)
        if name != "dilated":
            for s, here in enumerate(source.boxes()):
                at = tuple(slice(*r) for r in here)
                hit = [joined[(*at, *(slice(*r) for r in b))].any() for b in made[link.target].boxes()]
                assert reach[s] == sum(hit)


@pytest.mark.parametrize("name", ["listed", "listed boxes"])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_the_pool_holds_a_list_for_each_axon_with_listed_synapses(name: str, data: st.DataObject) -> None:
    program = network(name)
    made = {n: data.draw(grids(layer.box)) for n, layer in program.layers.items()}
    for link in program.links:
        if link.kind == "sparse":
            taken = Pool().taken(program, program.layers[link.target], made).reshape(-1, len(NAMES))
            joined = every_synapse(program, link)
            for piece, box in zip(taken, made[link.target].boxes(), strict=True):
                lists = joined[(..., *(slice(*r) for r in box))].sum(axis=(3, 4, 5))
                words = sum(-(-(int(n) * (link.bits + 12) + 16) // 64) for n in lists[lists > 0])
                assert piece[NAMES.index("axons_in")] == (lists > 0).sum()
                assert piece[NAMES.index("synaptic_words")] == words


def test_all_synapses_listed_take_what_dense_ones_take() -> None:
    grids = {"l0": cut((50, 1, 1), (3, 1, 1))}
    for rules in (Pool(), Separate()):
        taken = []
        for layer in (Listed(50, 1.0), Dense(50, 8)):
            program = network_of(chain((20,), layer).graph, 6)
            taken.append(rules.taken(program, program.layers["l0"], grids))
        np.testing.assert_array_equal(*taken)


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_separate_memories_axon_by_axon(name: str, data: st.DataObject) -> None:
    program = network(name)
    made = {n: data.draw(grids(layer.box)) for n, layer in program.layers.items()}
    for layer in program.layers.values():
        taken = Separate().taken(program, layer, made).reshape(-1, len(NAMES))
        (into,) = program.into(layer.name)
        joined = every_synapse(program, into)
        for piece, box in zip(taken, made[layer.name].boxes(), strict=True):
            lists = joined[(..., *(slice(*r) for r in box))].sum(axis=(3, 4, 5))
            lists = lists[lists > 0]
            words = sum(-(-(int(n) * (into.bits + 12) + 16) // 64) for n in lists)
            assert piece[NAMES.index("axons_in")] == len(lists)
            assert piece[NAMES.index("synaptic_words")] == words
            leaving = layer.read_out * piece[NAMES.index("neurons")]
            for link in program.out_of(layer.name):
                own = every_synapse(program, link)[tuple(slice(*r) for r in box)]
                for there in made[link.target].boxes():
                    leaving += own[(..., *(slice(*r) for r in there))].any(axis=(3, 4, 5)).sum()
            assert piece[NAMES.index("axons_out")] == leaving


@pytest.mark.parametrize("rules", [Pool(), Separate()])
@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_least_is_never_above_taken(name: str, rules: Pool | Separate, data: st.DataObject) -> None:
    program = network(name)
    made = {n: data.draw(grids(layer.box)) for n, layer in program.layers.items()}
    for layer in program.layers.values():
        taken = rules.taken(program, layer, made)
        sizes = np.meshgrid(*(np.diff(bounds) for bounds in made[layer.name].bounds), indexing="ij")
        assert (rules.least(program, layer, sizes) <= taken).all()
        np.testing.assert_array_equal(taken[..., NAMES.index("neurons")], neurons(made[layer.name]))


def test_cuts() -> None:
    assert even(10, 3) == (0, 4, 7, 10)
    assert full(10, 4) == (0, 4, 8, 10)
    assert full(8, 4) == (0, 4, 8)


def test_a_window_with_border_by_hand() -> None:
    """Kernel 3, stride 2, padding 1 over 5: outputs 0 (inputs 0, 1), 1 (1, 2, 3), 2 (3, 4)."""
    window = Window(5, 3, 3, 2, 1, 1)
    assert window.joined((0, 2, 5), (0, 1, 3)).tolist() == [[2, 1], [0, 4]]
    assert Blocks(2, 2, 3).joined((0, 1, 4), (0, 4, 6)).tolist() == [[3, 0], [5, 4]]


def test_a_delayed_synapse_takes_six_bits_more() -> None:
    program = chain((64,), Dense(10, 8))
    late = program.graph["c0"].op.replace(delay=3)
    nodes = [n if n.name != "c0" else type(n)(n.name, late, n.inputs) for n in program.graph]
    made = network_of(program.graph.with_nodes(nodes), 6)
    taken = Pool().taken(made, made.layers["l0"], {"l0": cut((10, 1, 1), (1, 1, 1))})[0, 0, 0]
    assert taken[NAMES.index("synaptic_words")] == 64 * -(-(10 * (8 + 6 + 12) + 16) // 64)


@pytest.mark.parametrize("name", target.names())
def test_a_core_is_full_at_each_limit_and_over_it_beyond(name: str) -> None:
    limits = target.load(name).limits
    core = capacity(limits)
    for index, column in enumerate(NAMES):
        limit = getattr(limits, f"{column}_per_core")
        if limit is not None:
            counts = np.zeros(len(NAMES), np.int64)
            counts[index] = limit.value
            assert core.fits(counts)
            counts[index] += 1
            assert not core.fits(counts)


def test_the_pool_is_a_limit_of_its_own() -> None:
    core = capacity(target.load("loihi2").limits)
    counts = np.array([10_000, 0, 0, 10_000, 0, 0, 0])
    assert core.fits(counts)
    assert core.share(counts) == 1
    assert not core.fits(counts + np.array([1, 0, 0, 0, 0, 0, 0]))
    assert only(core, "AxonIn").fits(counts * 10) == (100_000 <= 16_000)
    assert pooled(counts) == 20_000


def test_names_are_the_limits_names() -> None:
    limits = target.load("loihi2").limits.model_dump()
    assert {f"{name}_per_core" for name in NAMES} - {"axons_out_per_core"} <= limits.keys()
