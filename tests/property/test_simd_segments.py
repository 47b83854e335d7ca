"""What the loops gather of inputs in several parts and groups: every element of k once, from where it lies."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.config.loader import load_hardware
from accelsim.hardware.pe_array import simd_loops as loops
from accelsim.hardware.pe_array.simd import SimdConfig
from accelsim.hardware.pe_array.simd_blocking import Blocking
from accelsim.hardware.pe_array.simd_product import BlockedProduct
from accelsim.mapping.cached_network import CachedStage, PlacedPart
from accelsim.mapping.footprint import pixel_grid
from accelsim.workload.operators import Conv, Window

FAR = 1 << 20


@settings(deadline=None)
@given(
    parts=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    groups=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.integers(1, 2),
    kc=st.integers(1, 30),
    bits=st.sampled_from([8, 16, 32]),
)
def test_segments_hold_every_element_of_k_once(
    parts: list[int], groups: int, kernel: tuple[int, int], dilation: int, kc: int, bits: int
) -> None:
    parts = [channels * groups for channels in parts]
    shape = (1, sum(parts), 9, 9)
    operator = Conv(groups, Window(kernel, dilation=(dilation, dilation)), groups)
    first = np.cumsum([0, *parts])
    placed = tuple(
        PlacedPart(number * FAR, int(begin), channels, 0)
        for number, (begin, channels) in enumerate(zip(first[:-1], parts, strict=True))
    )
    stage = CachedStage(
        index=0,
        name="layer",
        operator=operator,
        input_shapes=(shape,),
        output_shape=operator.output_shape((shape,)),
        dims=operator.gemm_dims((shape,)),
        grid=pixel_grid(operator, (shape,)),
        inputs=(placed,),
        ifmap_bits=bits,
        weight_bits=bits,
        ofmap_bits=bits,
        psum_bits=bits,
        vector_operations=0,
    )
    config = load_hardware("eden_cpu").pe_array
    assert isinstance(config, SimdConfig)
    product = BlockedProduct(config, stage, Blocking(6, 16, 6, 16, kc, by_filters=False))
    per_group, size = shape[1] // groups, bits // 8
    for group in range(groups):
        segments, slices = product.segments(group)
        for begin, extent, low, high in slices.tolist():
            expected = []
            for k in range(begin, begin + extent):
                tap, channel = divmod(k, per_group)
                channel += group * per_group
                part = int(np.searchsorted(first, channel, side="right")) - 1
                pixel = tap // kernel[1] * dilation * 9 + tap % kernel[1] * dilation
                offset = (pixel * parts[part] + channel - int(first[part])) * size
                expected += [part * FAR + offset + byte for byte in range(size)]
            found: list[int] = []
            for segment in segments[low:high].tolist():
                for col in range(segment[loops.SG_COLS]):
                    pixel = segment[loops.SG_ROW] * 9 + segment[loops.SG_COL] + col
                    base = segment[loops.SG_BASE] + pixel * segment[loops.SG_PIXEL]
                    found += range(base, base + segment[loops.SG_RUN])
            assert sorted(found) == sorted(expected)
