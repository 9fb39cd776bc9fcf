"""Placements: within every limit, each neuron once, few cores, the same every time; refused with remedies."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import avnir
from avnir import target
from avnir.compile import compile_graph
from avnir.errors import LimitError, ProgramError, TargetError, UnsupportedError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.place import Placement, place
from avnir.place.balance import equal
from avnir.place.cuts import counted
from avnir.place.grid import Grid, cut
from avnir.place.memory import RULES
from avnir.place.network import network_of
from avnir.place.pack import busiest, pack
from avnir.place.problem import Problem
from avnir.place.remedies import binding
from avnir.place.resources import NAMES, Capacity, capacity
from avnir.place.table import core_rows, layer_rows
from avnir.program import Program
from avnir.target import Target
from tests.networks import audio_visual, spikes
from tests.place.networks import Conv, Dense, Listed, chain, lif, oxford, pilotnet, recurrent, weights

LOIHI1, LOIHI2 = target.load("loihi1"), target.load("loihi2")


def assert_whole(made: Placement, program: Program, chip: Target) -> None:
    """Every neuron of every layer on one core, and no core over a limit."""
    core = capacity(chip.limits)
    for layer in program.graph.neurons:
        pieces = made.layers[layer.name]
        shape = made.grids[layer.name].bounds
        seen = np.zeros([bounds[-1] for bounds in shape], np.int64)
        for piece in pieces:
            seen[tuple(slice(*r) for r in (piece.channels, piece.rows, piece.columns))] += 1
        assert (seen == 1).all()
        assert seen.size == np.prod(program.graph.shapes[layer.name])
    assert set(made.layers) == {layer.name for layer in program.graph.neurons}
    for address in made.addresses:
        assert core.fits(made.taken(address))
        assert address[0] < made.chips
        assert address[1] < made.cores_per_chip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("chip", [LOIHI1, LOIHI2], ids=["loihi1", "loihi2"])
def test_compiled_networks_are_placed_whole(seed: int, chip: Target) -> None:
    program = compile_graph(audio_visual(seed, reset="zero"), chip).program
    made = place(program, chip)
    assert_whole(made, program, chip)
    assert made.json() == place(program, chip).json()
    assert Placement.from_json(made.json(), chip) == made


@settings(max_examples=25, deadline=None)
@given(
    layers=st.lists(
        st.one_of(
            st.builds(Conv, st.integers(1, 40), st.integers(2, 8), st.just(3), padding=st.just((1, 1))),
            st.builds(
                Conv, st.integers(1, 20), st.integers(2, 8), st.just(3), st.just((2, 2)), st.just((1, 1))
            ),
        ),
        min_size=1,
        max_size=3,
    ),
    dense=st.lists(st.builds(Dense, st.integers(1, 300), st.integers(2, 8)), max_size=2),
    size=st.integers(3, 40),
    chip=st.sampled_from([LOIHI1, LOIHI2]),
)
def test_random_networks_are_placed_whole(
    layers: list[Conv], dense: list[Dense], size: int, chip: Target
) -> None:
    program = chain((2, size, size), *layers, *dense, target=chip.name)
    try:
        made = place(program, chip, chips=4)
    except LimitError as error:
        places = {finding.place for finding in error.findings}
        assert places <= {"the whole program", *(layer.name for layer in program.graph.neurons)}
    else:
        assert_whole(made, program, chip)
        assert Placement.from_json(made.json(), chip) == made


def test_a_layer_that_feeds_itself() -> None:
    program = recurrent(1500)
    made = place(program, LOIHI2)
    assert_whole(made, program, LOIHI2)
    assert len(made.layers["l"]) > 1
    words = sum(piece.resources[NAMES.index("synaptic_words")] for piece in made.layers["l"])
    pieces = [piece.neurons for piece in made.layers["l"]]
    assert words == sum(40 * -(-(n * 20 + 16) // 64) + 1500 * -(-(n * 20 + 16) // 64) for n in pieces)


def test_several_chips_are_filled_in_turn() -> None:
    made = place(pilotnet(), LOIHI2, chips=3, cores=12)
    assert [address[0] for address in made.addresses] == sorted(address[0] for address in made.addresses)
    assert made.addresses[12] == (1, 0)
    assert {address[0] for address in made.addresses} == {0, 1, 2}


def test_layers_share_cores() -> None:
    made = place(chain((20,), Dense(30, 8), Dense(10, 8), Dense(4, 8)), LOIHI2)
    assert made.addresses == ((0, 0),)
    assert made.taken((0, 0))[NAMES.index("groups")] == 3
    assert place(oxford(), LOIHI2).cores == 3  # 16,200 and 16,128 words: two and a bit of 16,000


def test_listed_synapses_take_what_they_have() -> None:
    """2,000 axons of one synapse but the first; of as many dense ones, 16,000 words hold 24 neurons."""
    program = chain((2000,), Listed(1500, 0.0), Dense(10, 8))
    made = place(program, LOIHI2)
    assert_whole(made, program, LOIHI2)
    words = -(-(1500 * 20 + 16) // 64) + 1999 * 1
    assert made.layers["l0"][0].resources[NAMES.index("synaptic_words")] == words
    assert made.layers["l0"][0].work == 3499 + 1500
    assert made.cores == 1
    assert place(chain((2000,), Dense(1500, 8), Dense(10, 8)), LOIHI2).cores > 1500 / 25


def test_at_most_eight_groups_share_a_core() -> None:
    made = place(chain((5,), *(Dense(5, 8) for _ in range(9))), LOIHI2)
    assert made.cores == 2
    assert all(made.taken(address)[NAMES.index("groups")] <= 8 for address in made.addresses)


def test_measured_work_is_what_was_counted() -> None:
    program = chain((2, 6, 6), Conv(4, 8, padding=(1, 1)), Dense(5, 8))
    inputs = {"x": (np.random.default_rng(1).random((7, 3, 2, 6, 6)) < 0.4).astype(np.uint8)}
    trace = interpret_integer(program.graph, inputs)
    made = place(program, LOIHI2, run=(inputs, trace))
    fan_out = program.graph["c0"].op.fan_out((2, 6, 6), False)  # type: ignore[attr-defined]
    operations = (inputs["x"] * fan_out).sum() / 21
    assert made.measured
    assert made.layers["l0"][0].work == pytest.approx(operations + 4 * 36)
    assert made.layers["l1"][0].work == pytest.approx(trace.spikes["l0"].sum() * 5 / 21 + 5)
    assert place(program, LOIHI2).layers["l1"][0].work == 4 * 36 * 5 + 5


def test_cuts_go_where_the_spikes_are() -> None:
    """All spikes in a third of the columns: cut evenly, one core would do nearly all of the work."""
    program = chain((4, 34, 34), Conv(4, 8, padding=(1, 1)))
    quiet = np.zeros((4, 1, 4, 34, 34), np.uint8)
    quiet[..., :12] = 1
    trace = interpret_integer(program.graph, {"x": quiet})
    made = place(program, LOIHI2, run=({"x": quiet}, trace))
    assert made.cores == place(program, LOIHI2).cores == 2
    few, many = sorted(sum(piece.work for piece in made.on(address)) for address in made.addresses)
    assert many < 1.1 * few


@settings(max_examples=40, deadline=None)
@given(work=st.lists(st.integers(0, 50), min_size=1, max_size=30), data=st.data())
def test_cuts_of_equal_work_cover_the_axis(work: list[int], data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, len(work)))
    bounds = equal(np.array(work, float), parts)
    assert bounds[0] == 0
    assert bounds[-1] == len(work)
    assert len(bounds) == parts + 1
    assert all(a < b for a, b in itertools.pairwise(bounds))


def test_cuts_of_equal_work_by_hand() -> None:
    assert equal(np.array([1.0, 1, 1, 3]), 2) == (0, 3, 4)
    assert equal(np.array([9.0, 1, 1, 1]), 3) == (0, 1, 2, 4)


@settings(max_examples=40, deadline=None)
@given(data=st.lists(st.tuples(st.integers(1, 10), st.integers(0, 9)), min_size=1, max_size=5))
def test_few_pieces_are_packed_as_well_as_can_be(data: list[tuple[int, int]]) -> None:
    each = np.full(len(NAMES), 12)
    core = Capacity(each, 12)
    counts = np.array([[size, 0, 0, 0, 0, 0, 0] for size, _ in data])
    work = np.array([done for _, done in data], float)
    got = pack(counts, work, core)

    def cost(cores: Array) -> tuple[int, float]:
        return len(set(cores)), busiest(cores, work)

    possible = [
        np.array(cores)
        for cores in itertools.product(range(len(data)), repeat=len(data))
        if np.bincount(cores, weights=counts[:, 0]).max() <= 12
    ]
    assert cost(got) == min(cost(cores) for cores in possible)


@settings(max_examples=40, deadline=None)
@given(data=st.lists(st.tuples(st.integers(1, 10), st.integers(0, 9)), min_size=9, max_size=40))
def test_many_pieces_are_packed_within_limits_and_near_the_bound(data: list[tuple[int, int]]) -> None:
    core = Capacity(np.full(len(NAMES), 12), 12)
    counts = np.array([[size, 0, 0, 0, 0, 0, 0] for size, _ in data])
    got = pack(counts, np.array([done for _, done in data], float), core)
    assert np.bincount(got, weights=counts[:, 0]).max() <= 12
    assert sorted(set(got)) == list(range(got.max() + 1))
    assert core.least(counts) <= got.max() + 1 < 2 * counts[:, 0].sum() / 12 + 1  # else two would fit one


@settings(max_examples=40, deadline=None)
@given(
    data=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6), st.integers(0, 9)), min_size=9, max_size=30)
)
def test_no_move_or_swap_would_ease_the_busiest_core(data: list[tuple[int, int, int]]) -> None:
    core = Capacity(np.full(len(NAMES), 12), 20)
    counts = np.array([[first, second, 0, 0, 0, 0, 0] for first, second, _ in data])
    work = np.array([done for *_, done in data], float)
    got = pack(counts, work, core)
    busy = np.bincount(got, weights=work)
    assume((busy == busy.max()).sum() == 1)
    top = int(busy.argmax())
    for piece in (got == top).nonzero()[0]:
        for other in (got != top).nonzero()[0]:
            moved = got.copy()
            moved[piece] = got[other]
            swapped = moved.copy()
            swapped[other] = top
            for changed in (moved, swapped):
                loads = np.array([counts[changed == at].sum(axis=0) for at in range(len(busy))])
                assert not core.fits(loads).all() or busiest(changed, work) >= busy[top]


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_what_is_counted_anew_is_enough(data: st.DataObject) -> None:
    """Another cut of any layers, from what was counted before, against everything from the start."""
    layers = (Conv(6, 8, padding=(1, 1)), Conv(4, 5), Dense(12, 8), Listed(9, 0.3))
    program = data.draw(st.sampled_from([recurrent(20), chain((2, 6, 6), *layers)]))
    network = network_of(program.graph, 6)
    rules = RULES[data.draw(st.sampled_from(sorted(RULES)))]
    problem = Problem(network, rules, capacity(LOIHI2.limits))

    def drawn() -> dict[str, Grid]:
        parts = {n: [data.draw(st.integers(1, min(3, size))) for size in layer.box] for n, layer in boxes}
        return {n: cut(layer.box, parts[n]) for n, layer in boxes}

    boxes = list(network.layers.items())
    first, second = drawn(), drawn()
    mixed = {n: data.draw(st.sampled_from([first, second]))[n] for n, _ in boxes}
    anew, whole = counted(problem, mixed, counted(problem, first)), counted(problem, mixed)
    np.testing.assert_array_equal(anew.counts, whole.counts)
    np.testing.assert_array_equal(anew.work, whole.work)


def test_what_is_scarce_on_a_layer_is_named() -> None:
    head, rows = layer_rows(place(pilotnet(), LOIHI2), LOIHI2)
    scarcest = {row[0]: row[head.index("scarcest")] for row in rows}
    assert scarcest["l0"] == "Neurons"
    assert scarcest["l5"] == "SynMem"


def test_a_row_for_every_core() -> None:
    made = place(pilotnet(), LOIHI2)
    head, rows = core_rows(made, LOIHI2)
    assert head == (
        "chip",
        "core",
        "pieces",
        "AxonIn",
        "Groups",
        "Neurons",
        "SynMem",
        "AxonMap",
        "AxonMem",
        "total %",
    )
    assert len(rows) == made.cores
    assert sum(int(row[head.index("Neurons")]) for row in rows) == made.neurons
    assert rows[0][2].startswith("l0[W 0:5]")
    assert "AxonOut" in core_rows(place(chain((4,), Dense(3, 8), target="loihi1"), LOIHI1), LOIHI1)[0]


def with_bits(program: Program, bits: int, layers: tuple[str, ...]) -> Program:
    nodes = []
    for node in program.graph:
        if node.name in layers:
            shape = node.op.weight.shape  # type: ignore[attr-defined]
            op = node.op.replace(weight=weights(np.random.default_rng(0), bits, *shape))
            node = Node(node.name, op, node.inputs)
        nodes.append(node)
    return Program(program.graph.with_nodes(nodes), program.target)


def test_remedies_were_tried_and_work() -> None:
    program = chain((1600,), Dense(1600, 8), Dense(10, 8))
    with pytest.raises(LimitError) as caught:
        place(program, LOIHI2, cores=45)
    whole, layer, *_ = caught.value.findings
    assert "but one chip has 45 usable ones" in whole.problem
    assert "SynMem" in layer.problem
    bits = int(re.search(r"(\d)-bit weights would fit \((\d+) cores", whole.remedy)[1])  # type: ignore[index]
    assert 2 <= bits < 8
    assert place(with_bits(program, bits, ("c0", "c1")), LOIHI2, cores=45).cores <= 45
    with pytest.raises(LimitError):
        place(with_bits(program, bits + 1, ("c0", "c1")), LOIHI2, cores=45)
    more = int(re.search(r"(\d+) more cores", whole.remedy)[1])  # type: ignore[index]
    assert place(program, LOIHI2, cores=45 + more).cores == 45 + more
    here = int(re.search(r"(\d)-bit weights here would fit", layer.remedy)[1])  # type: ignore[index]
    assert place(with_bits(program, here, ("c0",)), LOIHI2, cores=45).cores <= 45


def test_one_core_is_singular() -> None:
    program = chain((1600,), Dense(1600, 8), Dense(10, 8))
    with pytest.raises(LimitError, match=r"1 more core would, that is 2 chips\.") as caught:
        place(program, LOIHI2, cores=place(program, LOIHI2).cores - 1)
    assert not re.search(r"\b1 (more )?(cores|chips)", str(caught.value))


def test_only_columns_that_bind_are_named() -> None:
    """A layer that fits a core whole may be cut all the same, to fill what other layers leave."""
    program = chain((64,), Dense(10, 8), Dense(3000, 8), Dense(3000, 8))
    problem = Problem(network_of(program.graph, 6), RULES["pool"], capacity(LOIHI2.limits), None)
    grids = {name: cut(layer.box, (2, 1, 1)) for name, layer in problem.network.layers.items()}
    found = {name: binding(problem, layer, grids) for name, layer in problem.network.layers.items()}
    assert found["l0"] == {} == found["l1"]
    assert set(found["l2"]) == {"SynMem", "Pool"}
    assert all(pieces > 1 for pieces in found["l2"].values())


def test_a_layer_bound_by_neurons_is_told_that_bits_do_not_help() -> None:
    with pytest.raises(LimitError, match=r"l0: Neurons binds: 20 pieces .* Fewer bits here save no core"):
        place(pilotnet(), LOIHI2, cores=30)


@pytest.mark.parametrize(("chip", "inputs", "most"), [(LOIHI2, 12_000, 9_998), (LOIHI1, 5_000, 4_096)])
def test_one_neuron_that_is_too_large(chip: Target, inputs: int, most: int) -> None:
    with pytest.raises(LimitError, match=f"one neuron alone takes .*With at most {most} inputs"):
        place(chain((inputs,), Dense(5, 8), target=chip.name), chip)
    assert place(chain((most,), Dense(1, 8), target=chip.name), chip).cores == 1
    with pytest.raises(LimitError):
        place(chain((most + 1,), Dense(1, 8), target=chip.name), chip)


def test_a_neuron_with_too_many_axons_through_a_window() -> None:
    program = chain((512, 6, 6), Conv(4, 8, padding=(1, 1)), target="loihi1")
    with pytest.raises(LimitError, match=r"l0: one neuron alone takes AxonIn 4608 of 4096\. Use smaller"):
        place(program, LOIHI1)


def test_what_no_placement_can_change() -> None:
    program = chain((4,), Dense(3, 8))
    soft = [
        Node(n.name, n.op.replace(reset="subtract"), n.inputs) if n.op.spiking else n for n in program.graph
    ]
    with pytest.raises(LimitError, match="the reset 'subtract' is not the chip's"):
        place(Program(program.graph.with_nodes(soft), "loihi1"), LOIHI1)


@pytest.mark.parametrize("options", [{"chips": 0}, {"cores": 0}, {"cores": 129}])
def test_options_that_are_none_of_the_chips(options: dict[str, int]) -> None:
    with pytest.raises(TargetError):
        place(oxford(), LOIHI2, **options)  # type: ignore[arg-type]


def test_neurons_reshaped_between_convolutions_are_refused() -> None:
    weight = np.ones((2, 1, 1, 1), np.int8)
    nodes = (
        Node("x", integer.Input((1, 4, 4))),
        Node("c0", integer.Conv(weight), ("x",)),
        Node("l0", lif((4, 2, 4)), ("c0",)),
        Node("c1", integer.Conv(np.ones((2, 4, 1, 1), np.int8)), ("l0",)),
        Node("l1", lif((2, 2, 4)), ("c1",)),
        Node("out", integer.Output((2, 2, 4)), ("l1",)),
    )
    with pytest.raises(UnsupportedError, match="Keep the shape"):
        place(Program(verified(Graph("integer", nodes)), "loihi2"), LOIHI2)


def test_flattened_and_reshaped_neurons_are_placed() -> None:
    """A convolution into flat neurons, and dense synapses into neurons that a convolution reads."""
    nodes = (
        Node("x", integer.Input((1, 4, 4))),
        Node("c0", integer.Conv(np.ones((2, 1, 1, 1), np.int8)), ("x",)),
        Node("l0", lif((32,)), ("c0",)),
        Node("c1", integer.Dense(np.ones((18, 32), np.int8)), ("l0",)),
        Node("l1", lif((2, 3, 3)), ("c1",)),
        Node("c2", integer.Conv(np.ones((1, 2, 3, 3), np.int8)), ("l1",)),
        Node("l2", lif((1, 1, 1)), ("c2",)),
        Node("out", integer.Output((1,)), ("l2",)),
    )
    program = Program(verified(Graph("integer", nodes)), "loihi2")
    made = place(program, LOIHI2)
    assert_whole(made, program, LOIHI2)
    assert made.grids["l0"].bounds == ((0, 2), (0, 4), (0, 4))


def changed(made: Placement, **values: object) -> str:
    record = json.loads(made.json())
    record["pieces"][0] |= values
    return json.dumps(record)


def test_a_placement_that_was_changed_is_refused() -> None:
    made = place(oxford(), LOIHI2)
    for values, complaint in (
        ({"core": 500}, "there is no core 500"),
        ({"channels": [0, 3]}, "do not cover it once"),
        ({"channels": [3, 0]}, "not a range"),
        ({"layer": None, "rows": [1]}, "not a placement"),
        ({"resources": dict.fromkeys(NAMES, 20_001)}, "holds more than"),
        ({"resources": dict.fromkeys(NAMES, -1)}, "less than nothing"),
        ({"core": float("inf")}, "not a placement"),
    ):
        with pytest.raises(ProgramError, match=complaint):
            Placement.from_json(changed(made, **values), LOIHI2)
    for text in ("", "[]", "{}", '{"format": "other"}'):
        with pytest.raises(ProgramError, match="not a placement"):
            Placement.from_json(text, LOIHI2)
    with pytest.raises(ProgramError, match="it is for loihi2, not for loihi1"):
        Placement.from_json(made.json(), LOIHI1)


def test_the_published_schema_describes_what_is_written() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(avnir.__file__).parent / "placement.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    record = json.loads(place(pilotnet(), LOIHI2).json())
    jsonschema.validate(record, schema)
    del record["pieces"][0]["resources"]["groups"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, schema)


def test_inputs_of_the_compiled_network_are_no_layers() -> None:
    graph = audio_visual(0, reset="zero")
    program = compile_graph(graph, LOIHI2).program
    inputs = spikes(graph, 0)
    made = place(program, LOIHI2, run=(inputs, interpret_integer(program.graph, inputs)))
    assert not set(made.layers) & set(inputs)
