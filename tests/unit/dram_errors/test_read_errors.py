"""Partitions, rates and error models joined: which bits of what is read flip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from accelsim.config.dram import BitErrorConfig, DramConfig, OperatingPoint, Partition, PartitionScope
from accelsim.errors import ConfigError
from accelsim.hardware.dram.bit_error_rate import rate_at_reduction
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.read_errors import ReadErrors, decode_addresses
from accelsim.pipeline import simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

TABLE = BitErrorConfig(table="eden_table3")


def memory(*partitions: Partition, address_map: str = "RoBaRaCoCh", **options: int) -> Dram:
    return Dram(DramConfig(partitions=partitions, address_map=address_map, channels=options.get("channels", 1)))


def below(vdd_v: float, **scope: int) -> Partition:
    point = OperatingPoint(vdd_v=vdd_v)
    return Partition(name=f"{vdd_v} {scope}", scope=PartitionScope(**scope), operating_point=point)


def count_bursts(errors: ReadErrors, addresses: NDArray[np.int64], access: int = 0) -> NDArray[np.int64]:
    return errors.count(addresses, np.full(len(addresses), errors.spec.burst_bytes), access)


@pytest.mark.parametrize("address_map", ["RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR"])
def test_every_burst_has_cells_of_its_own(address_map: str) -> None:
    errors = ReadErrors(memory(address_map=address_map, channels=2).spec, TABLE, 0)
    addresses = np.arange(0, 2**21, errors.spec.burst_bytes)
    fields = decode_addresses(errors.spec, addresses)
    cells = set(zip(*(fields[name].tolist() for name in fields), strict=True))
    assert len(cells) == len(addresses)


def test_decoded_fields_follow_the_map() -> None:
    spec = memory().spec
    fields = decode_addresses(spec, np.array([0, 64, 64 * 128, 64 * 128 * 4, 64 * 128 * 16]))
    assert fields["column"].tolist() == [0, 1, 0, 0, 0]
    assert fields["bank_group"].tolist() == [0, 0, 1, 0, 0]
    assert fields["bank"].tolist() == [0, 0, 0, 1, 0]
    assert fields["row"].tolist() == [0, 0, 0, 0, 1]


def test_no_partition_flips_nothing() -> None:
    errors = ReadErrors(memory().spec, TABLE, 0)
    assert errors.models == (None,)
    assert count_bursts(errors, np.arange(0, 2**20, 64)).sum() == 0


def test_flips_stay_in_the_partition_and_follow_its_rate() -> None:
    errors = ReadErrors(memory(below(0.95, bank=5)).spec, TABLE, 0)
    addresses = np.arange(0, 2**24, 64)
    flips = count_bursts(errors, addresses)
    assert flips.nonzero()[0].tolist() == [5]
    bits = 2**24 * 8 / 16
    rate = rate_at_reduction("eden_table3", vdd_reduction_v=0.25)
    assert abs(flips[5] - bits * rate) < 4 * np.sqrt(bits * rate * (1 - rate)) + 4 * np.sqrt(bits * rate)


def test_parts_of_bursts_flip_as_the_whole_ones_do() -> None:
    errors = ReadErrors(memory(below(0.85)).spec, TABLE, 0)
    addresses = np.arange(0, 2**16, 64)
    halves = [errors.count(addresses + first, np.full(len(addresses), 32), 5) for first in (0, 32)]
    assert np.array_equal(sum(halves), count_bursts(errors, addresses, 5))
    assert min(half.sum() for half in halves) > 0


def test_two_partitions_flip_at_their_own_rates() -> None:
    errors = ReadErrors(memory(below(0.95), below(0.85, bank=3)).spec, TABLE, 0)
    flips = count_bursts(errors, np.arange(0, 2**24, 64))
    assert flips[3] > 2 * flips[2] > 0


def test_flips_do_not_depend_on_how_a_tensor_is_read() -> None:
    errors = ReadErrors(memory(below(0.9)).spec, TABLE, 7)
    data = np.arange(5_000, dtype=np.int64).astype(np.uint8)
    whole = errors.flips(errors.region(12_345, 5_000), data, 3)
    cut = [
        errors.flips(errors.region(12_345 + a, b - a), data[a:b], 3) for a, b in ((0, 77), (77, 4_096), (4_096, 5_000))
    ]
    assert np.array_equal(whole, np.concatenate(cut))
    assert whole.any()


def test_seed_and_access_matter() -> None:
    addresses = np.arange(0, 2**20, 64)
    spec = memory(below(0.9)).spec
    first = count_bursts(ReadErrors(spec, TABLE, 0), addresses, 0)
    assert np.array_equal(first, count_bursts(ReadErrors(spec, TABLE, 0), addresses, 0))
    assert not np.array_equal(first, count_bursts(ReadErrors(spec, TABLE, 0), addresses, 1))
    assert not np.array_equal(first, count_bursts(ReadErrors(spec, TABLE, 1), addresses, 0))


@pytest.mark.parametrize("model", ["uniform", "bitline", "wordline", "data_dependent"])
def test_every_model_runs(model: str) -> None:
    config = BitErrorConfig(table="eden_table3", model=model)  # type: ignore[arg-type]
    flips = count_bursts(ReadErrors(memory(below(0.9)).spec, config, 0), np.arange(0, 2**20, 64))
    assert flips.sum() > 0


def test_a_setting_outside_of_the_table_is_told_with_the_partition() -> None:
    errors = ReadErrors(memory(below(0.5)).spec, TABLE, 0)
    with pytest.raises(ConfigError) as caught:
        errors.models  # noqa: B018 - the property raises
    assert str(caught.value) == (
        "dram.bit_errors.table = 'eden_table3': has no bit-error rate for a partition at vdd_v 0.5: eden_table3: "
        "vdd_v = 0.65: outside of the measured range of vendor A; allowed: 1 to 1.35"
    )


def test_a_run_counts_its_flips_and_saves_energy() -> None:
    partition = "dram.partitions=[{name: all, operating_point: {vdd_v: 0.95}}]"
    table = "dram.bit_errors={table: eden_table3}"
    nominal = simulate("systolic_32x32", "lenet5")
    low = simulate("systolic_32x32", "lenet5", overrides=[partition, table])
    assert nominal.dram.bits_flipped == 0
    assert low.dram.bits_flipped > 0
    assert low.profile is not None
    assert low.profile.dram_banks["bits_flipped"].sum() == low.dram.bits_flipped
    assert low.totals.dram_energy_pj < nominal.totals.dram_energy_pj
    assert low.totals.total_cycles == nominal.totals.total_cycles
    bits = low.totals.dram_read_bytes * 8
    rate = rate_at_reduction("eden_table3", vdd_reduction_v=0.25)
    assert abs(low.dram.bits_flipped - bits * rate) < 5 * np.sqrt(2 * bits * rate)
