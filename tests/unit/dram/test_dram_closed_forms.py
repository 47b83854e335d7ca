"""What the timings alone say about latency and bandwidth, exactly."""

import numpy as np
import pytest

from accelsim.config.dram import DramConfig
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.device import list_devices
from accelsim.hardware.dram.tables import resolve

ROTATING = "row column bank rank bank_group channel"  # consecutive bursts go to other bank groups


def read_at(dram: Dram, address: int, at_ps: int) -> int:
    """Time from the offer of a single read to its last data beat, in cycles."""
    dram.submit(1, 0, is_write=False, addresses=np.array([address]), at_ps=at_ps)
    done: list[tuple[int, int]] = []
    while not done:
        done = dram.advance(at_ps + 10_000_000)
    return (done[0][1] - at_ps) // dram.clock_ps


@pytest.mark.parametrize("device", list_devices())
def test_unloaded_read_latency(device: str) -> None:
    dram = Dram(DramConfig(device=device, refresh="none"))
    timings = dram.spec.timings[0]
    data = 1 + timings["CL"] + timings["DQSCK"] + timings["BL"]  # a request is served from the cycle after it came
    later = 1_000 * dram.clock_ps
    same_bank_other_row = dram.spec.row_bytes * dram.spec.banks_per_rank

    assert read_at(dram, 0, 0) == data + timings["RCD"]
    assert read_at(dram, dram.burst_bytes, later) == data
    assert read_at(dram, same_bank_other_row, 2 * later) == data + timings["RP"] + timings["RCD"]


def test_streaming_reaches_the_peak_bandwidth() -> None:
    dram = Dram(DramConfig(address_map=ROTATING, refresh="none"))
    timings = dram.spec.timings[0]
    count = 512  # four rows
    dram.submit(0, 0, is_write=False, addresses=dram.burst_bytes * np.arange(count), at_ps=0)

    end = dram.finish() // dram.clock_ps

    assert end == 1 + timings["RCD"] + (count - 1) * timings["BL"] + timings["CL"] + timings["BL"]
    assert dram.peak_bandwidth_gb_per_s == pytest.approx(64 / (4 * 0.833), rel=1e-12)


def test_refresh_takes_its_share_of_the_bandwidth() -> None:
    dram = Dram(DramConfig(address_map=ROTATING))
    timings = dram.spec.timings[0]
    count = 20_000
    dram.submit(
        0, 0, is_write=False, addresses=dram.burst_bytes * np.tile(np.arange(512), count // 512 + 1)[:count], at_ps=0
    )

    end = dram.finish() // dram.clock_ps

    first, left, refresh = 1 + timings["RCD"], count, timings["REFI"]
    while True:
        before = (refresh - 1 - first) // timings["BL"] + 1  # reads that issue before the refresh is due
        if before >= left:
            break
        last = first + (before - 1) * timings["BL"]
        left -= before
        precharge = max(refresh, last + timings["RTP"])
        first = precharge + timings["RP"] + timings["RFC"] + timings["RCD"]
        refresh += timings["REFI"]
    assert end == first + (left - 1) * timings["BL"] + timings["CL"] + timings["BL"]


@pytest.mark.parametrize("count", [4, 5, 400, 403])
def test_reads_of_ever_new_rows_are_limited_by_the_four_activate_window(count: int) -> None:
    dram = Dram(DramConfig(address_map="row column rank bank bank_group channel", page_policy="closed", refresh="none"))
    timings = dram.spec.timings[0]
    banks = np.arange(count) % 16
    rows = np.arange(count) // 16
    dram.submit(0, 0, is_write=False, addresses=64 * (banks + 16 * 128 * rows), at_ps=0)

    end = dram.finish() // dram.clock_ps

    last_activate = 1 + (count - 1) // 4 * timings["FAW"] + (count - 1) % 4 * timings["RRD_S"]
    assert end == last_activate + timings["RCD"] + timings["CL"] + timings["BL"]


def test_reduced_trcd_shortens_a_miss_by_its_cycles() -> None:
    nominal = Dram(DramConfig(refresh="none"))
    partition = {"name": "fast", "operating_point": {"tRCD_ps": 7_500, "tRP_ps": 10_000}}
    reduced = Dram(DramConfig.model_validate_json(f'{{"refresh": "none", "partitions": [{_json(partition)}]}}'))

    assert reduced.spec.timings[1]["RCD"] == 10  # 7.5 ns at 0.833 ns, rounded up
    assert read_at(nominal, 0, 0) - read_at(reduced, 0, 0) == 16 - 10
    far = 1_000_000
    conflict = nominal.spec.row_bytes * 16
    assert read_at(nominal, conflict, far) - read_at(reduced, conflict, far) == (16 - 10) + (16 - 13)


def test_only_the_rows_of_a_partition_are_faster() -> None:
    partition = (
        '{"name": "p", "scope": {"bank": 0, "first_subarray": 1, "last_subarray": 2}, '
        '"operating_point": {"tRCD_ps": 7500}}'
    )
    config = DramConfig.model_validate_json(f'{{"refresh": "none", "partitions": [{partition}]}}')
    spec = resolve(config)
    row = spec.row_bytes * spec.banks_per_rank
    latencies = [read_at(Dram(config), row * index, 0) for index in (0, 511, 512, 1535, 1536)]
    other_bank = read_at(Dram(config), row * 512 + spec.row_bytes, 0)

    assert latencies == [37, 37, 31, 31, 37]
    assert other_bank == 37


def _json(value: object) -> str:
    import json

    return json.dumps(value)
