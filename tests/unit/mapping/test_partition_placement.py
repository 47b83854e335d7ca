"""Tensors in partitions: addresses of a partition, room in it, and the errors that follow the tensor."""

from __future__ import annotations

import numpy as np
import pytest

import accelsim
from accelsim.config.dram import DramConfig, OperatingPoint, Partition, PartitionScope
from accelsim.errors import ConfigError, MappingError
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.partition_ranges import DATASHEET, partition_ranges
from accelsim.hardware.dram.read_errors import decode_addresses
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.network import map_network
from accelsim.mapping.placement import Demand, Rooms, place
from accelsim.pipeline import memory_interface

PAGE = 4096
LOW = OperatingPoint(vdd_v=1.0)


def config(address_map: str = "ChRaBaRoCo", *scopes: PartitionScope) -> DramConfig:
    partitions = tuple(
        Partition(name=f"p{index}", scope=scope, operating_point=LOW) for index, scope in enumerate(scopes)
    )
    return DramConfig(channels=2, address_map=address_map, partitions=partitions)


@pytest.mark.parametrize(
    "scopes",
    [
        (PartitionScope(channel=1),),
        (PartitionScope(bank=3), PartitionScope(bank=5)),
        (PartitionScope(channel=0, bank=2), PartitionScope(bank=2, first_subarray=1, last_subarray=4)),
    ],
)
def test_every_page_belongs_to_the_partition_that_its_bursts_lie_in(scopes: tuple[PartitionScope, ...]) -> None:
    spec = Dram(config("ChRaBaRoCo", *scopes)).spec
    ranges = partition_ranges(spec, PAGE)
    assert sum(end - begin for stretch in ranges.values() for begin, end in stretch) == spec.capacity_bytes
    generator = np.random.default_rng(3)
    for address in generator.integers(0, spec.capacity_bytes, 200).tolist():
        fields = {name: int(value[0]) for name, value in decode_addresses(spec, np.array([address])).items()}
        bank = fields["bank_group"] * spec.geometry.banks_per_group + fields["bank"]
        subarray = fields["row"] // spec.geometry.rows_per_subarray
        owner = DATASHEET
        for index, scope in enumerate(scopes):
            inside = scope.channel in (None, fields["channel"]) and scope.bank in (None, bank)
            if scope.first_subarray is not None and scope.last_subarray is not None:
                inside = inside and scope.first_subarray <= subarray <= scope.last_subarray
            owner = f"p{index}" if inside else owner
        found = [name for name, stretch in ranges.items() if any(begin <= address < end for begin, end in stretch)]
        assert found == [owner]


def test_a_map_that_spreads_pages_over_channels_is_refused() -> None:
    spec = Dram(config("RoBaRaCoCh", PartitionScope(channel=1))).spec
    with pytest.raises(ConfigError, match=r"address_map = 'RoBaRaCoCh': spreads pages .* over the channels"):
        partition_ranges(spec, PAGE)
    partition_ranges(Dram(config("RoBaRaCoCh")).spec, PAGE)  # without partitions nothing is told apart


def test_demands_find_room_in_their_partition_and_nowhere_else() -> None:
    rooms = Rooms({"a": "low", "b": "low"}, {"low": ((8 * PAGE, 10 * PAGE), (20 * PAGE, 24 * PAGE))}, ((0, 3 * PAGE),))
    demands = [
        Demand("a", 2 * PAGE, 0, 9),
        Demand("b", 3 * PAGE, 0, 9),
        Demand("c", PAGE, 0, 9),
        Demand("a@x", 1, 0, 9),
    ]
    regions = place(demands, 1 << 30, rooms).regions
    assert {name: region.address // PAGE for name, region in regions.items()} == {"a": 8, "b": 20, "c": 0, "a@x": 23}
    with pytest.raises(MappingError, match=r"'b' of 20 KiB finds no room in one piece; .* longest .* has 16 KiB"):
        place([Demand("b", 5 * PAGE, 0, 9)], 1 << 30, rooms)
    with pytest.raises(MappingError, match="'d' of 16 KiB"):
        place([Demand("d", 4 * PAGE, 0, 9)], 1 << 30, rooms)


def test_a_tensor_moved_to_another_partition_lies_there() -> None:
    overrides = [
        "dram.address_map=ChRaBaRoCo",
        "dram.partitions=[{name: low, scope: {bank: 5}, operating_point: {vdd_v: 1.0}}]",
        "mapping.partitions={c3.weight: low}",
    ]
    machine = accelsim.load_hardware("systolic_32x32", overrides)
    dram = Dram(machine.dram)
    graph = accelsim.load_workload("lenet5")
    mapping = map_network(graph, machine, memory_interface(machine, dram), build_array(machine))
    for name, region in mapping.placement.regions.items():
        pages = np.arange(region.address, region.address + region.size_bytes, 64)
        fields = decode_addresses(dram.spec, pages)
        bank = fields["bank_group"] * dram.spec.geometry.banks_per_group + fields["bank"]
        assert (bank == 5).all() == (name == "c3.weight")


@pytest.mark.parametrize(
    ("assigned", "message"),
    [
        ("{conv9.weight: low}", "mapping.partitions.conv9.weight: is no weight array and no feature map"),
        ("{c3.weight: high}", "mapping.partitions.c3.weight = 'high' stands not under dram.partitions: low"),
    ],
)
def test_assignments_that_cannot_hold_are_refused(assigned: str, message: str) -> None:
    overrides = ["dram.address_map=ChRaBaRoCo", "dram.partitions=[{name: low, scope: {bank: 5}}]"]
    with pytest.raises(accelsim.InputError) as caught:
        accelsim.simulate("systolic_32x32", "lenet5", overrides=[*overrides, f"mapping.partitions={assigned}"])
    assert message in str(caught.value)
