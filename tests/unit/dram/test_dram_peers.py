"""Cycles against Ramulator 2.1.0 and energy against DRAMsim3, as measured on the same traces."""

import pytest

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.replay import replay_trace
from accelsim.validation.dram_peers import (
    DRAMSIM3,
    DRAMSIM3_CLOCK_NS,
    DRAMSIM3_CONFIG,
    RAMULATOR2,
    RAMULATOR2_CONFIG,
    energy_of_dramsim3s_commands,
)
from accelsim.validation.traces import trace


@pytest.mark.parametrize(("name", "address_map"), RAMULATOR2)
def test_cycles_and_row_outcomes_equal_ramulator_2(name: str, address_map: str) -> None:
    cycles, hits, misses, conflicts, latency = RAMULATOR2[name, address_map]
    config = RAMULATOR2_CONFIG.model_copy(update={"address_map": address_map})

    assert replay_trace(trace(name), config).cycles_accepted == cycles

    dram = Dram(config)
    dram.submit(0, 0, trace(name).is_write, trace(name).addresses, 0)
    dram.advance((cycles + 1) * dram.clock_ps)  # as far as Ramulator 2 counted
    counted = dram.channel_counters()[0]
    assert (counted[lo.CH_HITS], counted[lo.CH_MISSES], counted[lo.CH_CONFLICTS]) == (hits, misses, conflicts)
    # It leaves out the latest reads, still on their way: one part in ten thousand.
    assert counted[lo.CH_LATENCY_SUM] / counted[lo.CH_LATENCY_COUNT] == pytest.approx(latency, abs=0.06, rel=2e-4)


@pytest.mark.parametrize("name", DRAMSIM3)
def test_energy_of_dramsim3s_command_counts_equals_dramsim3s_energy(name: str) -> None:
    energy, counted = energy_of_dramsim3s_commands(name), DRAMSIM3[name]
    for part, expected in counted.energy.items():
        assert energy[part] == pytest.approx(expected * DRAMSIM3_CLOCK_NS, rel=1e-4), part
    assert sum(energy.values()) == pytest.approx(counted.total * DRAMSIM3_CLOCK_NS, rel=1e-4)


@pytest.mark.parametrize("name", ["seq1M", "rand200k"])
def test_cycles_of_reads_with_banks_taking_turns_are_near_dramsim3s(name: str) -> None:
    # Its transaction queue of 32 feeds command queues of 8 per bank: 40 requests in view of one bank. It moves one
    # request per cycle from the first to the second, which a single queue does not have; hence one per cent and not
    # equality. With writes it is 12 % slower than this controller, because its command queues mix reads and writes
    # and so turn the data bus around more often.
    assert replay_trace(trace(name), DRAMSIM3_CONFIG).cycles == pytest.approx(DRAMSIM3[name].cycles, rel=0.01)
