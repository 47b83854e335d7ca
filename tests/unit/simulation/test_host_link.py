"""The link to a host: what travels over it, when it arrives, and what is no longer in DRAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from small_networks import machine

from accelsim.config.interconnect import HostConfig
from accelsim.config.loader import load_hardware
from accelsim.errors import ConfigError
from accelsim.pipeline import simulate
from accelsim.workload.graph import LayerGraph, Tensor, chain
from accelsim.workload.operators import Activation, Conv, Gemm, Window

if TYPE_CHECKING:
    from accelsim.config.schema import HardwareConfig

WEIGHTS = 64 * 64 + 64 * 32


def two_layers() -> LayerGraph:
    return chain("net", Tensor("x", (8, 64)), [("a", Gemm(64)), ("b", Gemm(32))])


def with_host(gb_per_s: float | None, latency_ns: float | None = None, *, keep_on_chip: bool = True) -> HardwareConfig:
    link = HostConfig(bandwidth_gb_per_s=gb_per_s, latency_ns=latency_ns)
    return machine(clock_mhz=1000, keep_on_chip=keep_on_chip).model_copy(update={"host": link})


def test_inputs_and_results_are_no_dram_traffic() -> None:
    bare, linked = simulate(with_host(None), two_layers()), simulate(with_host(1.0), two_layers())
    assert (bare.totals.dram_read_bytes, bare.totals.dram_write_bytes) == (WEIGHTS + 8 * 64, 8 * 32)
    assert (linked.totals.dram_read_bytes, linked.totals.dram_write_bytes) == (WEIGHTS, 0)
    assert linked.dram.writes == 0
    between = simulate(with_host(1.0, keep_on_chip=False), two_layers()).totals
    assert between.dram_write_bytes == 8 * 64, "what passes between layers stays at home"


def test_a_slow_link_is_waited_for_at_both_ends() -> None:
    """512 bytes in and 256 bytes out at a byte per nanosecond, which is a cycle; DRAM takes no time."""
    free, slow, late = (
        simulate(with_host(rate, latency), two_layers()).totals.total_cycles
        for rate, latency in ((1e5, None), (1.0, None), (1.0, 100))
    )
    assert free + 256 <= slow <= free + 512 + 256
    assert late == slow + 2 * 100


def test_a_faster_link_is_never_slower() -> None:
    cycles = [simulate(with_host(rate), two_layers()).totals.total_cycles for rate in (0.1, 0.5, 2, 8, 64)]
    assert cycles == sorted(cycles, reverse=True)


def test_padded_maps_and_vector_layers_travel_too() -> None:
    same = Window((3, 3), padding=(1, 1, 1, 1))
    graph = chain("net", Tensor("x", (2, 3, 9, 7)), [("scale", Activation("relu")), ("conv", Conv(5, same))])
    for keep_on_chip in (True, False):
        run = simulate(with_host(1.0, keep_on_chip=keep_on_chip), graph)
        assert run.totals.effective_macs == graph.total_macs
        for layer in run.layer_results:
            assert sum(layer.stalls.values()) == layer.stall_cycles
        passed_on = 0 if keep_on_chip else 2 * 3 * 9 * 7
        assert run.totals.dram_write_bytes == passed_on


def test_a_latency_without_a_link_is_refused() -> None:
    with pytest.raises(ConfigError, match="latency_ns needs bandwidth_gb_per_s"):
        load_hardware("systolic_32x32", ["host.latency_ns=5"])
    with pytest.raises(ConfigError, match=r"host\.bandwidth_gb_per_s = 0: not accepted"):
        load_hardware("systolic_32x32", ["host.bandwidth_gb_per_s=0"])
