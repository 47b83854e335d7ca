"""Where operands enter and leave each array: what an interconnect between buffers and array has to reach."""

from __future__ import annotations

import pytest
from small_layers import sequence_of_layer, whole_of

from accelsim.config.loader import load_hardware
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.array_costs import ArrayLayer, Ports
from accelsim.pipeline import simulate
from accelsim.workload.graph import Tensor, chain
from accelsim.workload.operators import Conv, Window

IFMAP, OPERATOR = (1, 16, 8, 8), Conv(32, Window((3, 3), padding=(1, 1, 1, 1)))

EXPECTED = {
    # sets of 3 x 4 elements: a weight for the four of a row, an input for the rows of a set
    "eyeriss": {"weight": Ports(168, 4), "ifmap": Ports(12, 3), "psum": Ports(14)},
    "diannao": {"ifmap": Ports(16, 16), "weight": Ports(16), "psum": Ports(16)},
    "cambricon_x": {"ifmap": Ports(16, 16), "weight": Ports(16), "psum": Ports(16)},
    "bit_pragmatic": {"ifmap": Ports(256, 256), "weight": Ports(256), "psum": Ports(256)},
    "scnn": {"weight": Ports(64, 64), "ifmap": Ports(64), "psum": Ports(64)},
    "dcnn": {"weight": Ports(64, 64), "ifmap": Ports(64), "psum": Ports(64)},
    "smartexchange": {"ifmap": Ports(64, 32), "weight": Ports(64), "psum": Ports(64)},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_ports_are_those_of_the_machine(name: str) -> None:
    shapes = (IFMAP,)
    layer = ArrayLayer("c1", OPERATOR, IFMAP, OPERATOR.output_shape(shapes), OPERATOR.gemm_dims(shapes), 8, 8, 8, 24)
    costs = build_array(load_hardware(name)).costs(layer)
    assert sequence_of_layer(layer, costs, whole_of(layer.dims)).work.ports == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_tree_charges_more_links_for_words_that_go_to_several_places(name: str) -> None:
    graph = chain("net", Tensor("x", IFMAP), [("c1", OPERATOR)])
    tree = ["interconnect.kind=multicast_tree", "interconnect.bits_per_cycle=4096", "interconnect.radix=2"]
    bus = ["interconnect.kind=bus", "interconnect.bits_per_cycle=4096"]
    links = []
    for wires in (tree, bus):
        energy = simulate(name, graph, overrides=[*wires, "interconnect.hop_cycles=1"], fidelity="estimate").energy_pj
        links.append(energy["interconnect"]["hop"])
    assert 0 < links[0] < links[1], "a bus charges the whole wire for every word"
