"""A made-up but consistent run: a double-buffered machine stepped through by a recurrence, every sum exact."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.result import (
    ENERGY_COMPONENTS,
    OCCUPANCY_DTYPE,
    PHASE_DTYPE,
    STALL_CAUSES,
    TRAFFIC_DTYPE,
    DramResult,
    LayerResult,
    Machine,
    Profile,
    RunInfo,
    RunResult,
    sum_layers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

CLOCK_MHZ = 700.0
PEAK_MACS = 1024
PEAK_GB_PER_S = 19.2
COMPONENTS = ("ifmap DMA", "weight DMA", "PE array", "ofmap DMA")
CAPACITIES = {"ifmap": 65536, "weight": 65536, "ofmap": 32768}
ACTIONS = {
    "pe_array": ("mac",),
    "vector_unit": ("operation",),
    "register_file": ("read", "write"),
    "sram": ("read", "write"),
    "interconnect": ("transfer",),
    "dram": ("activate", "read", "write", "refresh", "background"),
    "leakage": ("pe_array", "sram"),
}
PS_PER_CYCLE = 1_000_000 / CLOCK_MHZ


def make_run(
    names: Sequence[str] | int = 50,
    *,
    steps: int = 20,
    seed: int = 7,
    profile: bool = True,
    hardware: str = "systolic_32x32",
    workload: str = "sample_net",
    fused: bool = False,
    dram: dict[str, Any] | None = None,
    banks: tuple[int, int] = (1, 16),
    bits_flipped: int = 0,
) -> RunResult:
    """Build a run of the given layers (or of that many), each in `steps` tiles, `fused` with one that rides on it.

    Its DRAM has as many ranks and banks of a rank as `banks` says, and bits that flip where `dram` asks for them.
    """
    rng = np.random.default_rng(seed)
    layer_names = [f"layer{i:03d}.conv" for i in range(names)] if isinstance(names, int) else list(names)
    machine = _Machine(rng, steps)
    if fused:
        layer_names = [name + suffix for name in layer_names for suffix in ("", ".relu")]
    layers = tuple(
        machine.ride(name) if fused and index % 2 else machine.run_layer(index, name)
        for index, name in enumerate(layer_names)
    )
    latency_ps = math.ceil(machine.now * PS_PER_CYCLE)
    counts = DramResult(900, 90, 10, 100, 98, 800, 200, 5, latency_ps / 2000, 8.25, bits_flipped)
    of_dram = _dram_profile(counts, dram or {}, banks, latency_ps)
    return RunResult(
        run=RunInfo(f"{workload}-{hardware}-0011223344", "0011223344556677", hardware, workload, 0, "0.1.0"),
        machine=Machine(CLOCK_MHZ, PEAK_MACS, PEAK_GB_PER_S),
        totals=sum_layers(layers, latency_ps, PEAK_MACS),
        energy_pj=_split_actions(layers),
        dram=counts,
        layer_results=layers,
        profile=replace(machine.profile(tuple(layer_names), latency_ps), **of_dram) if profile else None,
        resolved_config={
            "name": hardware,
            "pe_array": {"rows": 32, "cols": 32, "dataflow": "WS"},
            "dram": dram or {},
            "note": "a < b & c",
        },
    )


class _Machine:
    """Fetches tiles one step ahead, computes, drains; counts in cycles and keeps every phase."""

    def __init__(self, rng: np.random.Generator, steps: int) -> None:
        self.rng, self.steps, self.now = rng, steps, 0
        self.rows: list[tuple[int, int, int, int, int, int]] = []
        self.free = [0, 0, 0, 0]
        self.buffer_free = [0, 0]

    def run_layer(self, index: int, name: str) -> LayerResult:
        begin, rng = self.now, self.rng
        compute, stalls = 0, dict.fromkeys(STALL_CAUSES, 0)
        read, write = 0, 0
        op = ("conv", "pool", "conv", "gemm")[index % 4]
        for step in range(self.steps):
            sizes = [int(rng.integers(500, 6000)), int(rng.integers(200, 9000)), int(rng.integers(100, 3000))]
            cycles = int(rng.integers(200, 900))
            room = self.buffer_free[-2]
            ready = [
                self._use(part, index, step, max(self.free[part], room), sizes[part] // 8, sizes[part])
                for part in (0, 1)
            ]
            start = max(self.now, *ready)
            cause = "ifmap_fetch" if ready[0] >= ready[1] else "weight_fetch"
            stalls[cause] += start - self.now
            self.now = self._use(2, index, step, start, cycles, 0)
            self.buffer_free.append(self.now)
            self._use(3, index, step, max(self.now, self.free[3]), sizes[2] // 16, sizes[2])
            compute += cycles
            read, write = read + sizes[0] + sizes[1], write + sizes[2]
        energies = {part: float(rng.integers(1_000, 900_000)) for part in ENERGY_COMPONENTS}
        macs = 0 if op == "pool" else int(compute * PEAK_MACS * 0.8)
        return LayerResult(
            name, op, self.now - begin, compute, sum(stalls.values()), stalls, macs, macs, 0.8, read, write,
            math.fsum(energies.values()), energies, 0.0, {"tile_m": 64, "tile_n": 32},
        )  # fmt: skip

    def ride(self, name: str) -> LayerResult:
        energies = dict.fromkeys(ENERGY_COMPONENTS, 0.0) | {"vector_unit": 500.0}
        mapping = {"fused_into": name.removesuffix(".relu")}
        return LayerResult(name, "activation", 0, 0, 0, {}, 0, 0, 0.0, 0, 0, 500.0, energies, 0.0, mapping)

    def _use(self, component: int, layer: int, step: int, start: int, cycles: int, size: int) -> int:
        end = start + max(cycles, 1)
        self.free[component] = end
        self.rows.append((component, layer, step, round(start * PS_PER_CYCLE), round(end * PS_PER_CYCLE), size))
        return end

    def profile(self, layers: tuple[str, ...], latency_ps: int) -> Profile:
        phases = np.array(sorted(self.rows, key=lambda row: (row[3], row[0])), dtype=PHASE_DTYPE)
        traffic = np.zeros(1000, dtype=TRAFFIC_DTYPE)
        traffic["time_ps"] = np.linspace(0, latency_ps, 1000, endpoint=False).astype(np.int64)
        bins = np.searchsorted(traffic["time_ps"], phases["start_ps"], side="right") - 1
        np.add.at(traffic["read_bytes"], bins, np.where(phases["component"] < 2, phases["bytes"], 0))
        np.add.at(traffic["write_bytes"], bins, np.where(phases["component"] == 3, phases["bytes"], 0))
        occupancy = {
            name: np.array(
                [(row["end_ps"], min(CAPACITIES[name], 2 * int(row["bytes"]))) for row in phases[mask]],
                dtype=OCCUPANCY_DTYPE,
            )
            for name, mask in zip(CAPACITIES, (phases["component"] == part for part in (0, 1, 3)), strict=True)
        }
        return Profile(COMPONENTS, layers, phases, traffic, occupancy, dict(CAPACITIES))


def _dram_profile(
    counts: DramResult, config: dict[str, Any], banks: tuple[int, int], latency_ps: int
) -> dict[str, Any]:
    """Spread the counts over the banks, and the time over three of the four power states."""
    rng = np.random.default_rng(5)
    names = [
        "activates",
        "row_hits",
        "row_misses",
        "row_conflicts",
        *(["bits_flipped"] if "bit_errors" in config else []),
    ]
    every = banks[0] * banks[1]
    grids = {name: rng.multinomial(getattr(counts, name), [1 / every] * every).reshape(banks) for name in names}
    time = banks[0] * latency_ps
    states = {"active": time // 2, "precharged": time - time // 2 - time // 3, "active_power_down": time // 3}
    return {"dram_banks": grids, "dram_state_ps": states | {"precharge_power_down": 0}}


def _split_actions(layers: tuple[LayerResult, ...]) -> dict[str, dict[str, float]]:
    energy: dict[str, dict[str, Any]] = {}
    for component, actions in ACTIONS.items():
        total = math.fsum(layer.energy_by_component[component] for layer in layers)
        energy[component] = {action: total / len(actions) for action in actions}
    return energy
