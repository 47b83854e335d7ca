"""Small random networks and machines for tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from accelsim.config.model import validate
from accelsim.config.schema import HardwareConfig
from accelsim.errors import ConfigError
from accelsim.workload.graph import Layer, LayerGraph, Tensor
from accelsim.workload.operators import (
    Activation,
    Concat,
    Conv,
    Elementwise,
    Gemm,
    Operator,
    Pool,
    Shape,
    Upsample,
    View,
    Window,
)

sides = st.integers(1, 3)


def machine(
    sram: dict[str, dict[str, Any]] | None = None,
    *,
    rows: int = 4,
    cols: int = 4,
    dataflow: str = "WS",
    keep_on_chip: bool = True,
    objective: str = "latency",
    clock_mhz: float = 1000,
    dram: dict[str, Any] | None = None,
    precision: dict[str, int] | None = None,
    layers: dict[str, Any] | None = None,
) -> HardwareConfig:
    """A machine; every operand in a buffer of its own of 64 KiB where `sram` is left out."""
    separate = {
        "maps": {"capacity_kib": 64, "operands": ["ifmap", "ofmap"]},
        "weights": {"capacity_kib": 64, "operands": ["weight"]},
        "sums": {"capacity_kib": 64, "operands": ["psum"]},
    }
    return validate(
        HardwareConfig,
        {
            "name": "test machine",
            "pe_array": {
                "rows": rows,
                "cols": cols,
                "dataflow": dataflow,
                "clock_mhz": clock_mhz,
                "operand_bits": 16,
            },
            "vector_unit": {"lanes": 4},
            "precision": precision or {},
            "sram": sram or separate,
            "dram": dram or {"kind": "ideal"},
            "mapping": {"keep_on_chip": keep_on_chip, "objective": objective, "layers": layers or {}},
            "energy": {"table": "45nm"},
        },
        "test machine",
        ConfigError,
    )


@st.composite
def machines(draw: st.DrawFn, smallest_bytes: int = 64, largest_bytes: int = 4096) -> HardwareConfig:
    """Machines of one, two or three buffers from tiny to ample, single or double."""
    sizes = st.integers(smallest_bytes, largest_bytes)

    def buffer(*operands: str) -> dict[str, Any]:
        return {
            "capacity_kib": draw(sizes) * len(operands) / 1024,
            "operands": list(operands),
            "double_buffer": draw(st.booleans()),
        }

    layouts = (
        (("ifmap", "weight", "ofmap", "psum"),),
        (("ifmap", "ofmap"), ("weight",), ("psum",)),
        (("ifmap",), ("weight",), ("ofmap", "psum")),
        (("ifmap", "weight", "ofmap"), ("psum",)),
    )
    layout = draw(st.sampled_from(layouts))
    return machine(
        {"_".join(operands): buffer(*operands) for operands in layout},
        rows=draw(st.integers(1, 5)),
        cols=draw(st.integers(1, 5)),
        dataflow=draw(st.sampled_from(["WS", "OS", "IS"])),
        keep_on_chip=draw(st.booleans()),
        objective=draw(st.sampled_from(["latency", "dram_traffic", "compute_cycles"])),
        clock_mhz=draw(st.sampled_from([1000, 700, 333.333])),
        dram={"kind": draw(st.sampled_from(["ideal", "command"]))},
        precision={"psum_bits": draw(st.sampled_from([8, 32])), "ofmap_bits": draw(st.sampled_from([8, 16]))},
    )


@st.composite
def networks(draw: st.DrawFn) -> LayerGraph:
    """Convolutions, pools, sums, joined maps, functions, views, products and repeated pixels over one or two inputs."""
    shapes: dict[str, Shape] = {}
    batch = draw(st.integers(1, 3))
    inputs = []
    for name in ("x", "y")[: draw(st.integers(1, 2))]:
        shapes[name] = (batch, draw(st.integers(1, 6)), draw(st.integers(3, 9)), draw(st.integers(1, 9)))
        inputs.append(Tensor(name, shapes[name]))
    layers: list[Layer] = []
    for number in range(draw(st.integers(1, 6))):
        source = draw(st.sampled_from(sorted(shapes)))
        operator, sources = draw(_operators(shapes, source))
        layers.append(Layer(f"l{number}", operator, sources, weight=draw(st.sampled_from(["", ""]))))
        shapes[f"l{number}"] = operator.output_shape(tuple(shapes[name] for name in sources))
    return LayerGraph("random", tuple(inputs), tuple(layers))


@st.composite
def _operators(draw: st.DrawFn, shapes: dict[str, Shape], source: str) -> tuple[Operator, tuple[str, ...]]:
    shape = shapes[source]
    if len(shape) != 4:
        flat: list[Operator] = [Gemm(5), Gemm(3, per_position=True), Activation()]
        return draw(st.sampled_from(flat)), (source,)
    kind = draw(st.sampled_from(["conv", "conv", "pool", "sum", "concat", "function", "view", "gemm", "upsample"]))
    alike = [name for name, other in shapes.items() if len(other) == 4 and other[0::2] == shape[0::2]]
    joinable = [name for name in alike if shapes[name][3] == shape[3]]
    if kind == "sum":
        return Elementwise(), (source, draw(st.sampled_from([n for n in joinable if shapes[n] == shape])))
    if kind == "concat":
        return Concat(), (source, *draw(st.lists(st.sampled_from(joinable), min_size=1, max_size=2)))
    if kind == "function":
        return Activation(), (source,)
    if kind == "view":
        return View((shape[0], shape[1] * shape[2] * shape[3])), (source,)
    if kind == "gemm":
        return Gemm(draw(st.integers(1, 9))), (source,)
    if kind == "upsample":
        most = 3 if shape[2] * shape[3] <= 81 else 1
        return Upsample((draw(st.integers(1, most)), draw(st.integers(1, most)))), (source,)
    kernel = draw(st.integers(1, min(3, shape[2]))), draw(st.integers(1, min(3, shape[3])))
    window = Window(kernel, draw(st.tuples(sides, sides)), draw(st.tuples(*[st.integers(0, 1)] * 4)))
    if kind == "pool":
        return Pool("max", draw(st.sampled_from([None, window]))), (source,)
    groups = draw(st.sampled_from([1, shape[1]]))
    return Conv(groups * draw(sides), window, groups), (source,)
