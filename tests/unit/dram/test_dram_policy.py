"""Queues, streams, refresh, power-down and pages, as the controller's options ask for them."""

import numpy as np
import pytest

from accelsim.config.dram import DramConfig, OperatingPoint, Partition
from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.constraints import COMMANDS
from accelsim.hardware.dram.controller import Dram


def issued(dram: Dram, *names: str) -> list[tuple[int, str]]:
    return [
        (int(row[lo.L_CYCLE]), COMMANDS[row[lo.L_COMMAND]])
        for row in dram.commands()
        if not names or COMMANDS[row[lo.L_COMMAND]] in names
    ]


def advance(dram: Dram, until_ps: int) -> list[tuple[int, int]]:
    done: list[tuple[int, int]] = []
    while step := dram.advance(until_ps):
        done += step
    return done


def test_streams_take_turns() -> None:
    dram = Dram(DramConfig(refresh="none"), keep_commands=True)
    for stream in range(3):
        dram.submit(stream, stream, is_write=False, addresses=(stream << 13 << 4) + 64 * np.arange(8), at_ps=0)

    dram.finish()

    rows = [int(row[lo.L_ROW]) for row in dram.commands() if COMMANDS[row[lo.L_COMMAND]] == "ACT"]
    assert rows == [
        0,
        1,
        2,
    ]  # same bank: the requests were accepted 0 1 2 0 1 2 ..., and each row serves all of its hits


def test_transfers_of_a_stream_are_accepted_in_order() -> None:
    dram = Dram(DramConfig(refresh="none"))
    for number in range(5):
        dram.submit(number, 0, is_write=True, addresses=(number << 20) + 64 * np.arange(4), at_ps=0)

    done = advance(dram, 10**9)

    assert done == [(number, (4 * number + 4) * dram.clock_ps) for number in range(5)]  # one per cycle, posted


def test_a_write_is_posted_and_a_read_waits_for_its_data() -> None:
    dram = Dram(DramConfig(refresh="none"))
    dram.submit(7, 0, is_write=True, addresses=np.array([0]), at_ps=0)
    dram.submit(8, 1, is_write=False, addresses=np.array([1 << 25]), at_ps=0)

    assert dict(advance(dram, 10**8))[7] == dram.clock_ps
    assert not dram.busy


def test_two_channels_serve_twice_as_fast() -> None:
    ends = []
    for channels in (1, 2):
        dram = Dram(
            DramConfig(channels=channels, refresh="none", address_map="row column bank rank bank_group channel")
        )
        dram.submit(0, 0, is_write=False, addresses=64 * np.arange(1_024), at_ps=0)
        ends.append(dram.finish() // dram.clock_ps)
    latency = 1 + 16 + 16 + 4
    assert ends[1] - latency == pytest.approx((ends[0] - latency) / 2, rel=0.02)


@pytest.mark.parametrize(("rate", "interval"), [(1, 9364), (2, 4682)])
def test_refreshes_come_every_trefi(rate: int, interval: int) -> None:
    dram = Dram(DramConfig.model_validate({"refresh_rate": rate}), keep_commands=True)

    advance(dram, 100_000 * dram.clock_ps)

    assert issued(dram) == [(interval * nth, "REF") for nth in range(1, 99_999 // interval + 1)]


def test_a_refresh_multiplier_of_the_whole_rank_makes_refreshes_rarer() -> None:
    point = OperatingPoint(refresh_interval_multiplier=4)
    dram = Dram(DramConfig(partitions=(Partition(name="all", operating_point=point),)), keep_commands=True)

    advance(dram, 100_000 * dram.clock_ps)

    assert [cycle for cycle, _ in issued(dram, "REF")] == [37_456, 74_912]


def test_the_strictest_partition_decides_the_refreshes_of_its_rank() -> None:
    partitions = (
        Partition(name="all", operating_point=OperatingPoint(refresh_interval_multiplier=4)),
        Partition.model_validate({"name": "one", "scope": {"bank": 2}}),
    )
    dram = Dram(DramConfig(partitions=partitions), keep_commands=True)

    advance(dram, 10_000 * dram.clock_ps)

    assert [cycle for cycle, _ in issued(dram, "REF")] == [9_364]


def test_staggered_refreshes_of_two_ranks() -> None:
    dram = Dram(DramConfig(ranks=2, refresh_staggered=True), keep_commands=True)

    advance(dram, 20_000 * dram.clock_ps)

    assert [cycle for cycle, _ in issued(dram, "REF")] == [4_682, 9_364, 14_046, 18_728]


def test_bank_refreshes_go_round() -> None:
    dram = Dram(DramConfig(device="LPDDR4_3200_8Gb_x16", refresh="per_bank"), keep_commands=True)

    advance(dram, 780 * 20 * dram.clock_ps)

    log = dram.commands()
    assert log[:, lo.L_CYCLE].tolist() == [780 * nth for nth in range(1, 20)]
    assert log[:, lo.L_BANK].tolist() == [nth % 8 for nth in range(19)]


def test_an_idle_rank_powers_down_and_pays_to_come_back() -> None:
    dram = Dram(DramConfig(power_down_idle_cycles=50, refresh="none"), keep_commands=True)
    advance(dram, 1_000 * dram.clock_ps)
    dram.submit(0, 0, is_write=False, addresses=np.array([0]), at_ps=1_000 * dram.clock_ps)

    end = dram.finish() // dram.clock_ps

    assert issued(dram) == [(50, "PDE"), (1_001, "PDX"), (1_009, "ACT"), (1_025, "RD")]
    assert end == 1_025 + 20
    activity = dram.activity(end * dram.clock_ps)
    assert activity.precharged_down_ps.tolist() == [(1_001 - 50) * dram.clock_ps]


def test_a_rank_in_power_down_wakes_for_its_refresh() -> None:
    dram = Dram(DramConfig(power_down_idle_cycles=50), keep_commands=True)

    advance(dram, 10_000 * dram.clock_ps)

    assert issued(dram) == [(50, "PDE"), (9_364, "PDX"), (9_372, "REF"), (9_372 + 433, "PDE")]


def test_a_closed_page_precharges_with_the_last_access_to_the_row() -> None:
    dram = Dram(DramConfig(page_policy="closed", refresh="none"), keep_commands=True)
    dram.submit(0, 0, is_write=False, addresses=64 * np.arange(3), at_ps=0)

    dram.finish()

    assert [name for _, name in issued(dram)] == ["ACT", "RD", "RD", "RDA"]


def test_writes_drain_between_the_watermarks() -> None:
    dram = Dram(DramConfig(refresh="none"), keep_commands=True)
    dram.submit(0, 0, is_write=False, addresses=64 * np.arange(4_000), at_ps=0)
    count = 400
    addresses = (1 << 13) + 64 * (np.arange(count) % 128 + (np.arange(count) // 128 << 12))
    times = 12 * dram.clock_ps * np.arange(count)  # slower than they are drained
    dram.submit(1, 1, is_write=True, addresses=addresses, at_ps=times)

    dram.finish()

    runs: list[tuple[str, int]] = []
    for _, name in issued(dram, "RD", "WR"):
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + 1)
        else:
            runs.append((name, 1))
    bursts = [count for name, count in runs[:-2] if name == "WR"]
    assert min(bursts[1:]) >= 26 - 7  # from more than 80 % of 32 to less than 20 %
    assert len(bursts) > 5


def test_traffic_over_time_holds_every_burst() -> None:
    dram = Dram(DramConfig())
    dram.submit(0, 0, is_write=False, addresses=64 * np.arange(50_000), at_ps=0)
    dram.submit(1, 1, is_write=True, addresses=(1 << 30) + 64 * np.arange(20_000), at_ps=0)
    end = dram.finish()

    traffic = dram.traffic()

    assert traffic.read_bytes.sum() == 50_000 * 64
    assert traffic.write_bytes.sum() == 20_000 * 64
    assert traffic.bin_ps * traffic.read_bytes.size >= end - 100_000
    assert traffic.bin_ps * traffic.read_bytes.size <= 4 * end
    banks = dram.bank_activity()
    assert banks.activates.shape == (1, 16)
    assert banks.activates.sum() == dram.activity(end).activates
    outcomes = banks.row_hits.sum() + banks.row_misses.sum() + banks.row_conflicts.sum()
    assert outcomes == 70_000


def test_what_the_simulator_may_not_do() -> None:
    dram = Dram(DramConfig())
    advance(dram, 1_000_000)
    with pytest.raises(ValueError, match="is next"):
        dram.submit(0, 0, is_write=False, addresses=np.array([0]), at_ps=0)
    with pytest.raises(ValueError, match="0 bursts"):
        dram.submit(0, 0, is_write=False, addresses=np.zeros(0, np.int64), at_ps=2_000_000)
    with pytest.raises(ValueError, match="stream 99"):
        dram.submit(0, 99, is_write=False, addresses=np.array([0]), at_ps=2_000_000)


def test_many_small_transfers_reuse_their_places() -> None:
    dram = Dram(DramConfig(refresh="none"))
    done: list[tuple[int, int]] = []
    at = 0
    for number in range(500):
        dram.submit(
            number, number % 4, is_write=number % 3 == 0, addresses=64 * np.arange(number, number + 3), at_ps=at
        )
        if number % 40 == 39:
            at += 200_000
            done += advance(dram, at)
    done += advance(dram, 10**9)
    assert sorted(number for number, _ in done) == list(range(500))
