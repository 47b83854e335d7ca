"""Interconnects against networks stepped word by word, and what holds for any of them in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interconnect_stepper import MeshNetwork, TreeNetwork, Word, run_bus
from small_networks import machine

from accelsim.config.interconnect import InterconnectConfig
from accelsim.config.loader import load_hardware
from accelsim.energy.table import load_energy_table
from accelsim.errors import ConfigError
from accelsim.hardware.interconnect import build_interconnect
from accelsim.hardware.interconnect.bus import Bus
from accelsim.hardware.interconnect.mesh import Mesh
from accelsim.hardware.interconnect.multicast_tree import MulticastTree
from accelsim.mapping.traffic import Route
from accelsim.pipeline import simulate
from accelsim.workload.graph import Tensor, chain
from accelsim.workload.operators import Conv, Gemm, Window

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig

hops = st.integers(1, 4)
routes = st.builds(Route, ports=st.integers(1, 12), fan_out=st.integers(1, 5), returns=st.booleans())
carried = st.lists(st.tuples(routes, st.integers(0, 20)), min_size=1, max_size=4)


def ports_of(route: Route, word: int) -> range:
    first, last = route.ports_of(word % route.groups)
    return range(first, last + 1)


@settings(max_examples=200, deadline=None)
@given(rows=st.integers(1, 4), cols=st.integers(1, 5), hop_cycles=hops, flows=carried)
def test_mesh_takes_the_cycles_of_its_routers(
    rows: int, cols: int, hop_cycles: int, flows: list[tuple[Route, int]]
) -> None:
    mesh = Mesh(8, hop_cycles, rows, cols)
    out, back = MeshNetwork(hop_cycles), MeshNetwork(hop_cycles, towards_corner=True)
    for route, count in flows:
        for word in range(count):
            at = [mesh.router_of(port, route.ports) for port in ports_of(route, word)]
            if route.returns:
                back.arrive(at[0], Word(frozenset({(0, 0)})))
            else:
                out.source.append(((0, 0), Word(frozenset(at))))
    stepped = max(out.run(), back.run())
    ways, words = zip(*flows, strict=True)
    assert mesh.completion_cycles(ways, words) == stepped
    assert int(mesh.busy_cycles(ways, np.array([words]).T)[0]) <= stepped


@settings(max_examples=200, deadline=None)
@given(radix=st.integers(2, 4), hop_cycles=hops, flows=carried)
def test_trees_take_the_cycles_of_their_nodes(radix: int, hop_cycles: int, flows: list[tuple[Route, int]]) -> None:
    trees = MulticastTree(8, hop_cycles, radix)
    stepped = [0]
    for route, count in flows:
        depth = trees.depth(route.ports)
        network = TreeNetwork(hop_cycles, radix, towards_root=route.returns)
        for word in range(count):
            leaves = [(depth, port) for port in ports_of(route, word)]
            if route.returns:
                network.arrive(leaves[0], Word(frozenset({(0, 0)})))
            else:
                network.source.append(((0, 0), Word(frozenset(leaves))))
        stepped.append(network.run())
    ways, words = zip(*flows, strict=True)
    assert trees.completion_cycles(ways, words) == max(stepped)
    assert int(trees.busy_cycles(ways, np.array([words]).T)[0]) == max(words)


@settings(max_examples=100, deadline=None)
@given(hop_cycles=hops, words=st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_bus_takes_the_cycles_of_its_arbiter(hop_cycles: int, words: list[int]) -> None:
    bus = Bus(8, hop_cycles)
    ways = [Route()] * len(words)
    assert bus.completion_cycles(ways, words) == run_bus(words, hop_cycles)
    assert int(bus.busy_cycles(ways, np.array([words]).T)[0]) == sum(words)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 4), cols=st.integers(1, 4), radix=st.integers(2, 4), route=routes)
def test_hops_are_the_links_that_a_word_passes(rows: int, cols: int, radix: int, route: Route) -> None:
    mesh, trees = Mesh(8, 1, rows, cols), MulticastTree(8, 1, radix)
    depth = trees.depth(route.ports)
    passed = [0, 0]
    for word in range(route.groups):
        meshed, branched = MeshNetwork(1), TreeNetwork(1, radix)
        at = [mesh.router_of(port, route.ports) for port in ports_of(route, word)]
        meshed.source.append(((0, 0), Word(frozenset(at))))
        branched.source.append(((0, 0), Word(frozenset((depth, port) for port in ports_of(route, word)))))
        meshed.run()
        branched.run()
        passed[0] += len(meshed.links)  # a link exists from the first word that takes it
        passed[1] += len(branched.links)
    assert mesh.hops(route) * route.groups == pytest.approx(passed[0])
    assert trees.hops(route) * route.groups == pytest.approx(passed[1])


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 3), cols=st.integers(1, 4), hop_cycles=hops,
    route=routes.filter(lambda route: not route.returns), steps=st.lists(st.integers(1, 9), min_size=1, max_size=5),
)  # fmt: skip
def test_steps_in_a_row_wait_for_the_way_once(
    rows: int, cols: int, hop_cycles: int, route: Route, steps: list[int]
) -> None:
    """Words of all steps, one behind the other: all have arrived when the busy cycles and one way are over."""
    mesh, network = Mesh(8, hop_cycles, rows, cols), MeshNetwork(hop_cycles)
    for count in steps:
        for word in range(count):
            at = frozenset(mesh.router_of(port, route.ports) for port in ports_of(route, word))
            network.source.append(((0, 0), Word(at)))
    busy = [int(mesh.busy_cycles([route], np.array([[count]]))[0]) for count in steps]
    ways = [mesh.completion_cycles([route], [count]) - cycles for count, cycles in zip(steps, busy, strict=True)]
    assert network.run() <= sum(busy) + max(ways)
    assert network.run() >= sum(busy)


# -- in a run ----------------------------------------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "bus": {"kind": "bus"},
    "multicast_tree": {"kind": "multicast_tree", "radix": 4},
    "mesh": {"kind": "mesh", "rows": 2, "cols": 3, "hop_cycles": 2},
}


def with_interconnect(**keys: Any) -> HardwareConfig:  # noqa: ANN401 - as in a config
    return machine(clock_mhz=1000).model_copy(update={"interconnect": InterconnectConfig(**keys)})


def network() -> Any:  # noqa: ANN401 - a layer graph
    same = Window((3, 3), padding=(1, 1, 1, 1))
    return chain("net", Tensor("x", (1, 6, 9, 9)), [("a", Conv(8, same)), ("b", Conv(5, same)), ("c", Gemm(7))])


@pytest.mark.parametrize("kind", KINDS)
def test_more_bits_per_cycle_are_never_slower(kind: str) -> None:
    free = simulate(with_interconnect(), network())
    runs = [
        simulate(with_interconnect(bits_per_cycle=bits, **KINDS[kind]), network()) for bits in (4, 8, 32, 128, 4096)
    ]
    cycles = [run.totals.total_cycles for run in runs]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > free.totals.total_cycles
    latencies = [layer.stalls.get("interconnect", 0) for layer in runs[-1].layer_results]
    assert cycles[-1] == free.totals.total_cycles + sum(latencies), "a wide one costs its way alone"
    for run in runs:
        assert run.totals.compute_cycles == free.totals.compute_cycles
        for layer in run.layer_results:
            assert sum(layer.stalls.values()) == layer.stall_cycles


@pytest.mark.parametrize("kind", KINDS)
def test_links_are_paid_for_by_bits_and_hops(kind: str) -> None:
    """One product on a 4 x 4 weight-stationary array: 6 x 8 inputs in 2 folds of columns, all in one step each."""
    graph = chain("net", Tensor("x", (6, 8)), [("fc", Gemm(8))])
    config = with_interconnect(bits_per_cycle=32, **KINDS[kind])
    interconnect = build_interconnect(config.interconnect)
    assert interconnect is not None
    table = load_energy_table(config.energy.table)
    folds = 2  # along both dimensions
    bits = {"ifmap": 6 * 8 * 8 * folds, "weight": 8 * 8 * 8, "read sums": 6 * 8 * 32, "written sums": 6 * 8 * (32 + 8)}
    sides = {"ifmap": Route(4), "weight": Route(4), "read sums": Route(4), "written sums": Route(4, returns=True)}
    bit_hops = sum(bits[name] * interconnect.hops(sides[name]) for name in bits)
    energy = simulate(config, graph).energy_pj["interconnect"]
    assert energy["hop"] == pytest.approx(bit_hops * (table.interconnect_pj_per_bit_hop or 0), abs=0.01)
    moved = 6 * 8 * 8 + 8 * 8 * 8 + 6 * 8 * 8  # from and to DRAM
    assert energy["transfer"] == pytest.approx(moved * table.interconnect_pj_per_bit, abs=0.01)


def test_a_step_takes_as_long_as_its_words() -> None:
    """One fold on a bus of 8 bits: 4 weights x 4, 10 x 4 inputs and 10 x 4 results, a byte per cycle, and one hop."""
    graph = chain("net", Tensor("x", (10, 4)), [("fc", Gemm(4))])
    whole = {"fc": {"order": "mnk", "m": 10, "n": 4, "k": 4}}
    free = machine(layers=whole, clock_mhz=1000)
    bus = free.model_copy(update={"interconnect": InterconnectConfig(kind="bus", bits_per_cycle=8, hop_cycles=3)})
    cycles = [simulate(config, graph).totals for config in (free, bus)]
    assert cycles[0].total_cycles == cycles[0].compute_cycles == 4 + 10 + 6
    assert cycles[1].total_cycles == 4 * 4 + 10 * 4 + 10 * 4 + 3


def test_default_is_no_interconnect() -> None:
    assert build_interconnect(load_hardware("systolic_32x32").interconnect) is None
    assert set(simulate("edge_16x16", "lenet5").energy_pj["interconnect"]) == {"transfer"}


def test_no_bus_carries_more_than_it_is_wide() -> None:
    for bits in (4, 16, 64):
        config = with_interconnect(kind="bus", bits_per_cycle=bits)
        bare = with_interconnect()
        table = load_energy_table(bare.energy.table)
        run, free = simulate(config, network()), simulate(bare, network())
        through_edge = free.energy_pj["interconnect"]["transfer"] - run.energy_pj["interconnect"]["transfer"]
        assert run.totals.total_cycles * bits >= through_edge / table.interconnect_pj_per_bit - 1


BROKEN = {
    "interconnect.kind=ring": r"interconnect\.kind = 'ring': not accepted; allowed: .*'bus'.*'mesh'",
    "interconnect.kind=bus": r"interconnect: kind = bus needs bits_per_cycle",
    "interconnect={kind: mesh, bits_per_cycle: 8, rows: 2}": r"kind = mesh needs cols",
    "interconnect={kind: bus, bits_per_cycle: 8, radix: 2}": r"kind = bus takes no radix",
    "interconnect={kind: none, bits_per_cycle: 8}": r"kind = none takes no bits_per_cycle",
    "interconnect={kind: bus, bits_per_cycle: 0}": r"interconnect\.bits_per_cycle = 0: not accepted",
    "interconnect={kind: multicast_tree, bits_per_cycle: 8, radix: 1}": r"interconnect\.radix = 1: not accepted",
    "interconnect.width=8": r"interconnect\.width: unknown key; allowed: one of bits_per_cycle, cols, hop_cycles, kind",
    "dma.channels=0": r"dma\.channels = 0: not accepted",
    "dma.bytes_per_cycle=-1": r"dma\.bytes_per_cycle = -1",
    "dma.bursts=1": r"dma\.bursts: unknown key; allowed: one of bytes_per_cycle, channels, outstanding_bursts",
    "sram.accumulator.bytes_per_cycle=0": r"sram\.accumulator\.bytes_per_cycle = 0: not accepted",
    "sram.accumulator.depth=0": r"sram\.accumulator\.depth = 0: not accepted",
}


@pytest.mark.parametrize("override", BROKEN)
def test_bad_values_are_told_with_what_is_allowed(override: str) -> None:
    with pytest.raises(ConfigError, match=BROKEN[override]):
        load_hardware("systolic_32x32", [override])


def test_a_table_without_a_price_for_links_is_told(tmp_path: Any) -> None:  # noqa: ANN401 - a path
    from accelsim.resources import resource_folder

    text = (resource_folder("hw_configs") / "energy" / "45nm.yaml").read_text("utf-8")
    lines = [line for line in text.splitlines() if "interconnect_pj_per_bit_hop" not in line]
    (tmp_path / "bare.yaml").write_text("\n".join(lines), "utf-8")
    overrides = ["interconnect={kind: bus, bits_per_cycle: 64}", f"energy.table={tmp_path / 'bare.yaml'}"]
    with pytest.raises(ConfigError, match=r"interconnect_pj_per_bit_hop: has no price for the links of a bus"):
        simulate("systolic_32x32", "lenet5", overrides=overrides)
