"""EDEN's evaluation again: DRAM energy saved and time gained by lower voltage and tRCD, platform by platform.

Koppula et al., "EDEN", MICRO 2019, table 3 gives for each network what reductions keep its accuracy within 1 %; the
platforms are those of tables 4 to 6.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from accelsim.config.dram import OperatingPoint, whole_memory_at
from accelsim.config.loader import load_hardware
from accelsim.errors import InputError
from accelsim.hardware.dram.controller import Dram
from accelsim.pipeline import simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from accelsim.result import RunResult

LEAST_TRCD_PS = 2_500
"""No row is open sooner than this, whatever a table says."""


@dataclass(frozen=True)
class Reductions:
    """How far voltage and activation time are lowered, in volts and picoseconds."""

    vdd_v: float
    trcd_ps: int


TABLE_3 = {
    "fp32": {
        "resnet101": Reductions(0.30, 5_500), "mobilenet_v2": Reductions(0.25, 1_000),
        "vgg16": Reductions(0.35, 6_000), "densenet201": Reductions(0.25, 2_000),
        "squeezenet1_1": Reductions(0.10, 1_000), "alexnet": Reductions(0.30, 4_500),
        "yolov3": Reductions(0.35, 6_000), "yolov3_tiny": Reductions(0.30, 5_000),
    },
    "int8": {
        "resnet101": Reductions(0.30, 5_500), "mobilenet_v2": Reductions(0.10, 1_000),
        "vgg16": Reductions(0.35, 6_000), "densenet201": Reductions(0.25, 2_000),
        "squeezenet1_1": Reductions(0.10, 1_000), "alexnet": Reductions(0.30, 4_500),
        "yolov3": Reductions(0.30, 5_500), "yolov3_tiny": Reductions(0.30, 4_500),
        "scalesim_alexnet": Reductions(0.30, 4_500), "scalesim_yolo_tiny": Reductions(0.30, 4_500),
    },
}  # fmt: skip
"""Koppula et al., MICRO 2019, table 3, vendor A: reductions at the highest bit-error rate that costs under 1 %.

YOLO and YOLO-Tiny are taken for YOLOv3 and its tiny variant, of which the paper's table of networks has the models:
237.0 and 33.8 MB, where DarkNet's files have 236.5 and 33.8 MiB (YOLOv2's 194.5 and 42.9). Its mAP of 55.3 is that
of YOLOv3 at 416 x 416; its 23.7 is that of tiny YOLOv2. Its sizes with feature maps, 360.0 and 51.3 MB, decide nothing:
in FP32, weights and the results of all layers take 449.2 and 64.1 MiB at 416 x 416, 362.3 and 51.7 MiB at 320 x 320.
Weights and what convolutions read are 51.3 MiB in tiny YOLOv2, but 390.8 in YOLOv3 and 562.6 in VGG-16 (218.0 there).
"""


@dataclass(frozen=True)
class Platform:
    """A machine of the paper, what it runs, and what the paper says of it.

    Parameters
    ----------
    name, hardware, overrides
        The machine that runs int8; for fp32 it is the preset of that name with ``_fp32`` behind it.
    workloads
        Networks with their precisions.
    energy_saving, speedup
        Means of the paper, as shares; None where it prints none.
    software
        Further overrides for some of its networks: how the software that the paper ran them in computes.
    """

    name: str
    hardware: str
    overrides: tuple[str, ...]
    workloads: tuple[tuple[str, str], ...]
    energy_saving: float | None
    speedup: float | None
    software: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def overrides_for(self, network: str) -> tuple[str, ...]:
        """Overrides of the preset with which a network runs."""
        return (*self.overrides, *self.software.get(network, ()))


_DARKNET = ("yolov3_tiny", "yolov3")
_PLAIN_LOOPS = ("pe_array.loops=row_streaming", "pe_array.simulated_rows=3")
"""How DarkNet multiplies matrices on a CPU (src/gemm.c), three rows per core standing for all."""
_LIBRARY_PRODUCTS = ("pe_array.lowered_in_memory=true",)
"""How DarkNet does so on a GPU (src/convolutional_kernels.cu): ``im2col``, then a product of the vendor's library."""

_CPU_NETWORKS = ("yolov3_tiny", "yolov3", "resnet101", "vgg16", "squeezenet1_1", "densenet201")
_SCALESIM = (("scalesim_yolo_tiny", "int8"), ("scalesim_alexnet", "int8"))
_LPDDR3 = ("dram.device=LPDDR3_1600_4Gb_x32", "dram.channels=2", "dram.ranks=4")
"""4 GB of LPDDR3-1600; how it is organised EDEN does not say (assumption)."""

PLATFORMS = (
    Platform(
        "CPU", "eden_cpu", (), tuple(product(_CPU_NETWORKS, ("fp32", "int8"))), 0.21, 0.08,
        dict.fromkeys(_DARKNET, _PLAIN_LOOPS),
    ),
    Platform(
        "GPU", "eden_gpu", (), tuple(product(_DARKNET, ("fp32", "int8"))), 0.37, 0.027,
        dict.fromkeys(_DARKNET, _LIBRARY_PRODUCTS),
    ),
    Platform("Eyeriss, DDR4", "eden_eyeriss", (), _SCALESIM, 0.31, 0.0),
    Platform("TPU, DDR4", "eden_tpu", (), _SCALESIM, 0.32, 0.0),
    Platform("Eyeriss, LPDDR3", "eden_eyeriss", _LPDDR3, _SCALESIM, 0.21, 0.0),
    Platform("TPU, LPDDR3", "eden_tpu", _LPDDR3, _SCALESIM, 0.21, 0.0),
)  # fmt: skip
"""Koppula et al., MICRO 2019, section 7: means over the networks, at less than 1 % of accuracy lost.

The YOLO networks ran in DarkNet there, the others in OpenVINO, whose library multiplies block by block.
"""

VARIANTS = ("vdd", "trcd", "both")


@dataclass(frozen=True)
class Gain:
    """What a reduction is worth.

    Parameters
    ----------
    energy_saving
        Share of the DRAM's energy that is saved.
    speedup
        Latency before over latency after, less 1.
    """

    energy_saving: float
    speedup: float


@dataclass(frozen=True)
class CaseResult:
    """One network on one platform.

    Parameters
    ----------
    platform, network, precision
        What ran where.
    vdd_reduction_v, trcd_reduction_ps
        Reductions.
    dram_energy_pj, latency_ns
        Without any.
    gains
        By variant: voltage alone, tRCD alone, both.
    """

    platform: str
    network: str
    precision: str
    vdd_reduction_v: float
    trcd_reduction_ps: int
    dram_energy_pj: float
    latency_ns: float
    gains: dict[str, Gain]


@dataclass(frozen=True)
class PlatformResult:
    """All networks of one platform, and the means beside those of the paper."""

    platform: str
    cases: tuple[CaseResult, ...]
    mean: dict[str, Gain]
    published_energy_saving: float | None
    published_speedup: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


def chosen_platforms(beginnings: Sequence[str]) -> tuple[Platform, ...]:
    """Platforms whose names begin with one of some texts; all where none is given.

    Raises
    ------
    InputError
        When a text begins no name.
    """
    names = ", ".join(platform.name for platform in PLATFORMS)
    for text in beginnings:
        if not any(platform.name.lower().startswith(text.lower()) for platform in PLATFORMS):
            raise InputError("is no platform of this study", where="--platform", value=text, allowed=names)
    wanted = tuple(text.lower() for text in beginnings)
    return tuple(platform for platform in PLATFORMS if not wanted or platform.name.lower().startswith(wanted))


def run_platform(platform: Platform, progress: Callable[[str, float], None] | None = None) -> PlatformResult:
    """Simulate all networks of a platform."""
    cases = []
    for number, (network, precision) in enumerate(platform.workloads):
        if progress:
            progress(f"{network} {precision} on {platform.name}", number / len(platform.workloads))
        cases.append(run_case(platform, network, precision, TABLE_3[precision][network]))
    return PlatformResult(
        platform.name, tuple(cases), {variant: mean_gain(cases, variant) for variant in VARIANTS},
        platform.energy_saving, platform.speedup,
    )  # fmt: skip


def reduced_point(dram: Dram, reductions: Reductions) -> OperatingPoint:
    """Operating point so far below the nominal values of a memory."""
    vdd_v = round(dram.spec.device.nominal_v - reductions.vdd_v, 6)
    trcd_ps = max(dram.spec.timings[0]["RCD"] * dram.clock_ps - reductions.trcd_ps, LEAST_TRCD_PS)
    return OperatingPoint(vdd_v=vdd_v, tRCD_ps=trcd_ps)


def run_case(platform: Platform, network: str, precision: str, reductions: Reductions) -> CaseResult:
    """Simulate one network at the datasheet's operating point, and at those of the three variants."""
    preset = platform.hardware if precision == "int8" else f"{platform.hardware}_{precision}"
    config = load_hardware(preset, platform.overrides_for(network))
    dram = Dram(config.dram)
    both = reduced_point(dram, reductions)
    points = {
        "vdd": OperatingPoint(vdd_v=both.vdd_v),
        "trcd": OperatingPoint(tRCD_ps=both.tRCD_ps),
        "both": both,
    }

    def run(point: OperatingPoint | None) -> RunResult:
        return simulate(config, network, overrides=[whole_memory_at(point)] if point else [], accuracy=False)

    base = run(None)
    gains = {}
    for variant in VARIANTS:
        found = run(points[variant])
        gains[variant] = Gain(
            1 - found.totals.dram_energy_pj / base.totals.dram_energy_pj,
            base.totals.latency_ns / found.totals.latency_ns - 1,
        )
    return CaseResult(
        platform.name, network, precision, reductions.vdd_v, reductions.trcd_ps,
        base.totals.dram_energy_pj, base.totals.latency_ns, gains,
    )  # fmt: skip


def mean_gain(cases: Iterable[CaseResult], variant: str) -> Gain:
    """Geometric mean over the networks, of what is left of the energy and of the speedups, as the paper has it."""
    left, faster, count = 1.0, 1.0, 0
    for case in cases:
        left *= 1 - case.gains[variant].energy_saving
        faster *= 1 + case.gains[variant].speedup
        count += 1
    if not count:
        raise InputError("has no networks", where="platform")
    return Gain(1 - left ** (1 / count), faster ** (1 / count) - 1)
