"""Whatever the traffic, policy and device: no command violates a constraint, nothing is lost, and nothing depends on
how the
simulation is cut into calls."""

from typing import NamedTuple

import numpy as np
from dram_command_checker import check_commands
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.config.dram import DramConfig, OperatingPoint, Partition, PartitionScope
from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.activity import ActivitySeries
from accelsim.hardware.dram.constraints import COMMANDS
from accelsim.hardware.dram.controller import Dram

DEVICES = (
    "DDR3_1600K_4Gb_x8",
    "DDR3L_1600J_4Gb_x8",
    "DDR4_2133P_8Gb_x8",
    "DDR4_2400R_8Gb_x8",
    "LPDDR3_1600_4Gb_x32",
    "LPDDR4_3200_8Gb_x16",
    "GDDR5_6000_8Gb_x32",
    "HBM2_2000_8Gb_x128",
)
BANK_REFRESH = ("LPDDR3_1600_4Gb_x32", "LPDDR4_3200_8Gb_x16", "GDDR5_6000_8Gb_x32", "HBM2_2000_8Gb_x128")

POINTS = (
    OperatingPoint(vdd_v=1.05, tRCD_ps=7_000),
    OperatingPoint(tRCD_ps=9_000, tRP_ps=9_500, tRAS_ps=24_000, refresh_interval_multiplier=2),
    OperatingPoint(tRCD_ps=20_000, tRP_ps=25_000, tRAS_ps=52_000),
)


class Transfer(NamedTuple):
    stream: int
    is_write: bool
    first: int
    stride: int
    bursts: int
    wait: int


TRANSFERS = st.lists(
    st.builds(
        Transfer,
        stream=st.integers(0, 3),
        is_write=st.booleans(),
        first=st.sampled_from((0, 64, 1 << 13, 1 << 17, 1 << 24)) | st.integers(0, 1 << 20),
        stride=st.sampled_from((0, 1, 1, 1, 3, 128, 2048, 65537)),
        bursts=st.integers(1, 60),
        wait=st.sampled_from((0, 0, 1, 50, 3_000, 12_000)),
    ),
    min_size=1,
    max_size=12,
)


@st.composite
def configs(draw: st.DrawFn) -> DramConfig:
    device = draw(st.sampled_from(DEVICES))
    refreshes = ("all_bank", "none", "per_bank") if device in BANK_REFRESH else ("all_bank", "none")
    partitions = draw(
        st.lists(
            st.builds(
                Partition,
                name=st.uuids().map(str),
                scope=st.sampled_from(
                    (
                        PartitionScope(),
                        PartitionScope(rank=0),
                        PartitionScope(bank=3),
                        PartitionScope(first_subarray=0, last_subarray=1),
                        PartitionScope(bank=0, first_subarray=0, last_subarray=0),
                    )
                ),
                operating_point=st.sampled_from(POINTS),
            ),
            max_size=3,
        )
    )
    return DramConfig(
        device=device,
        channels=draw(st.sampled_from((1, 1, 2, 4))),
        ranks=draw(st.sampled_from((1, 1, 2))),
        address_map=draw(st.sampled_from(("RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR", "rorababgchco"))),
        page_policy=draw(st.sampled_from(("open", "closed"))),
        scheduler=draw(st.sampled_from(("frfcfs", "bank_round_robin"))),
        read_queue_entries=draw(st.sampled_from((1, 4, 32))),
        write_queue_entries=draw(st.sampled_from((1, 8, 32))),
        refresh=draw(st.sampled_from(refreshes)),
        refresh_rate=draw(st.sampled_from((1, 2))),
        refresh_staggered=draw(st.booleans()),
        power_down_idle_cycles=draw(st.sampled_from((None, 1, 40))),
        partitions=tuple(partitions),
    )


def addresses(transfer: Transfer, dram: Dram) -> np.ndarray:
    first = transfer.first // dram.burst_bytes
    return (first + transfer.stride * np.arange(transfer.bursts)) * dram.burst_bytes


def submit_all(dram: Dram, transfers: list[Transfer]) -> None:
    at = 0
    for number, transfer in enumerate(transfers):
        at += transfer.wait * dram.clock_ps
        dram.submit(number, transfer.stream, transfer.is_write, addresses(transfer, dram), at)


@settings(max_examples=60, deadline=None)
@given(config=configs(), transfers=TRANSFERS)
def test_no_command_violates_a_constraint_and_every_burst_is_served(
    config: DramConfig, transfers: list[Transfer]
) -> None:
    dram = Dram(config, keep_commands=True)
    submit_all(dram, transfers)

    end = dram.finish()
    log = dram.commands()

    assert check_commands(log.tolist(), dram.spec) == []
    assert not dram.busy
    activity = dram.activity(end)
    reads = sum(transfer.bursts for transfer in transfers if not transfer.is_write)
    writes = sum(transfer.bursts for transfer in transfers if transfer.is_write)
    assert activity.reads + activity.forwarded == reads
    assert activity.writes + activity.merged == writes
    assert activity.row_hits + activity.row_misses + activity.row_conflicts == activity.reads + activity.writes
    for index, name in enumerate(COMMANDS):
        assert activity.count(name) == np.count_nonzero(log[:, lo.L_COMMAND] == index), name
    if config.refresh != "none":
        waiting = dram.channel_counters()[:, lo.CH_REFRESH_WAITS].sum()
        due = end // (dram.clock_ps * int(dram._memory.rank[:, lo.RK_REFRESH_EVERY].max()))
        assert activity.refreshes + waiting >= due - 1  # the last data arrives after the last simulated cycle


@settings(max_examples=60, deadline=None)
@given(config=configs(), transfers=TRANSFERS, seed=st.integers(0, 2**32 - 1))
def test_cutting_the_run_changes_nothing(config: DramConfig, transfers: list[Transfer], seed: int) -> None:
    whole, cut = (Dram(config, keep_commands=True) for _ in range(2))
    submit_all(whole, transfers)
    submit_all(cut, transfers)
    whole_end = whole.finish()
    done_whole = sorted(whole_completions(config, transfers))

    draw = np.random.default_rng(seed)
    done: list[tuple[int, int]] = []
    at = 0
    while cut.busy:
        at += int(draw.choice((1, 700, 833, 5_000, 100_000, 5_000_000)))
        done += cut.advance(at)
    cut_end = cut.finish()

    assert cut_end == whole_end
    assert sorted(done) == done_whole
    shared = min(len(whole.commands()), len(cut.commands()))  # the last call may have gone on to a refresh
    assert np.array_equal(whole.commands()[:shared], cut.commands()[:shared])
    assert len(done) == len(transfers)


@settings(max_examples=80, deadline=None)
@given(config=configs(), transfers=TRANSFERS, depth=st.integers(1, 4))
def test_channels_that_go_ahead_change_nothing(config: DramConfig, transfers: list[Transfer], depth: int) -> None:
    # Where commands are logged, all channels go from cycle to cycle together.
    together, ahead = (Dram(config, keep_commands=keep) for keep in (True, False))

    known = [completions_of_a_queue(dram, transfers, depth) for dram in (together, ahead)]

    assert known[0] == known[1]
    for before, after in zip(together.counters(), ahead.counters(), strict=True):
        assert np.array_equal(before, after)
    assert np.array_equal(together.channel_counters(), ahead.channel_counters())
    assert np.array_equal(together.read_latencies(), ahead.read_latencies())
    assert np.array_equal(together.traffic().read_bytes, ahead.traffic().read_bytes)


def completions_of_a_queue(dram: Dram, transfers: list[Transfer], depth: int) -> list[tuple[int, int]]:
    """Offer some transfers, and another one each time that one is complete."""
    waiting = list(enumerate(transfers))
    done: list[tuple[int, int]] = []
    known: list[tuple[int, int]] = []
    now = 0
    while len(done) < len(transfers):
        while waiting and len(transfers) - len(waiting) - len(done) < depth:
            number, transfer = waiting.pop(0)
            dram.submit(number, transfer.stream, transfer.is_write, addresses(transfer, dram), now)
        known += dram.advance(min((time for _, time in set(known) - set(done)), default=lo.NEVER))
        now = min(time for _, time in set(known) - set(done))
        done += [each for each in known if each[1] == now]
    return known


def whole_completions(config: DramConfig, transfers: list[Transfer]) -> list[tuple[int, int]]:
    dram = Dram(config)
    submit_all(dram, transfers)
    done: list[tuple[int, int]] = []
    at = 0
    while dram.busy:
        at += 1_000_000_000
        done += dram.advance(at)
    return done


@settings(max_examples=40, deadline=None)
@given(config=configs(), transfers=TRANSFERS, times=st.lists(st.integers(0, 30_000_000), min_size=1, max_size=4))
def test_activity_at_any_times_adds_up(config: DramConfig, transfers: list[Transfer], times: list[int]) -> None:
    dram = Dram(config)
    submit_all(dram, transfers)
    before = dram.activity(0)
    for time in sorted(times):
        while dram.advance(time):
            pass
        now = dram.activity(time)
        step = ActivitySeries.of([before, now]).steps()[1]
        residency = step.active_ps + step.precharged_ps + step.active_down_ps + step.precharged_down_ps
        assert np.all(residency == step.time_ps)
        for states in (step.active_ps, step.precharged_ps, step.active_down_ps, step.precharged_down_ps):
            assert np.all(states >= 0)
        assert np.all(step.commands >= 0)
        before = now
