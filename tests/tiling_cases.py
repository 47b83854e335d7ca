"""Tiling problems for tests, from a matrix product or a convolution and a machine in a few numbers."""

from __future__ import annotations

from dataclasses import replace

from accelsim.hardware.pe_array.systolic import SystolicCosts
from accelsim.mapping.array_costs import Folding
from accelsim.mapping.dataflow import DATAFLOWS
from accelsim.mapping.footprint import pixel_grid
from accelsim.mapping.tiling import BufferSpace, TilingProblem
from accelsim.workload.operators import Conv, Gemm, MatMul, Shape

PLENTY_BITS = 2**40


def problem_of(
    operator: Conv | Gemm,
    shape: Shape,
    *,
    dataflow: str = "WS",
    rows: int = 4,
    cols: int = 4,
    bits: tuple[int, int, int, int] = (8, 8, 8, 32),
    space: BufferSpace | None = None,
    objective: str = "compute_cycles",
    on_chip: tuple[bool, bool] = (False, False),
    bytes_per_cycle: float = 8.0,
) -> TilingProblem:
    """The tiling problem of one layer; `bits` are those of ifmap, weight, ofmap and psum."""
    dims = operator.gemm_dims((shape,))
    window = operator.window if isinstance(operator, Conv) else None
    return TilingProblem(
        dims=dims,
        taps=window.kernel[0] * window.kernel[1] if window else 1,
        grid=pixel_grid(operator, (shape,)),
        costs=SystolicCosts(Folding(DATAFLOWS[dataflow], rows, cols)),
        ifmap_bits=bits[0],
        weight_bits=bits[1],
        ofmap_bits=bits[2],
        psum_bits=bits[3],
        space=space or BufferSpace((0, 1, 2), (PLENTY_BITS,) * 3, (2, 2, 2)),
        ifmap_in_dram=not on_chip[0],
        ofmap_in_dram=not on_chip[1],
        ifmap_run_channels=shape[1] if window else dims.k,
        ofmap_run_channels=dims.groups * dims.n if window else dims.n,
        dram_bytes_per_cycle=bytes_per_cycle,
        burst_bytes=64,
        dram_latency_cycles=0,
        objective=objective,
    )


def folding_of(problem: TilingProblem) -> Folding:
    """The systolic array of a problem."""
    assert problem.folding is not None
    return problem.folding


def product_problem(
    shapes: tuple[Shape, Shape],
    *,
    dataflow: str = "WS",
    rows: int = 4,
    cols: int = 4,
    bits: tuple[int, int, int, int] = (8, 8, 8, 32),
    space: BufferSpace | None = None,
) -> TilingProblem:
    """The tiling problem of a product of two feature maps."""
    operator = MatMul()
    dims = operator.gemm_dims(shapes)
    base = problem_of(Gemm(dims.n), (dims.m, dims.k), dataflow=dataflow, rows=rows, cols=cols, bits=bits, space=space)
    return replace(base, dims=dims, grid=pixel_grid(operator, shapes))
