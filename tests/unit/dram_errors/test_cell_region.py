"""Regions: cutting them, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.errors import ConfigError
from accelsim.hardware.dram.cell_region import CellRegion, map_bytes, row_interleaved


def test_unaligned_range_of_two_rows() -> None:
    region = map_bytes(100, 200, 64, row_interleaved(banks=2, row_bytes=128))
    assert region.bank.tolist() == [0, 1, 1, 0]
    assert region.row.tolist() == [0, 0, 0, 1]
    assert region.byte_column.tolist() == [100, 0, 64, 0]
    assert region.size_bytes.tolist() == [28, 64, 64, 44]


def test_part_cuts_runs() -> None:
    part = map_bytes(100, 200, 64, row_interleaved(banks=2, row_bytes=128)).part(20, 80)
    assert part.byte_column.tolist() == [120, 0, 64]
    assert part.size_bytes.tolist() == [8, 64, 8]
    assert part.part(0, 0).total_bytes == 0


def test_refusals() -> None:
    region = map_bytes(0, 100, 64, row_interleaved(2, 128))
    with pytest.raises(ConfigError) as wrong:
        region.part(90, 11)
    assert str(wrong.value) == (
        "cell region: (90, 11): lies outside the region; allowed: first byte and size within 100 bytes"
    )
    with pytest.raises(ConfigError) as wrong:
        CellRegion(np.array([0]), np.array([-3]), np.array([0]), np.array([1]))
    assert str(wrong.value) == "cell region: row = -3: not accepted; allowed: >= 0"
    with pytest.raises(ConfigError) as wrong:
        CellRegion(np.array([0]), np.array([0, 1]), np.array([0]), np.array([1]))
    assert str(wrong.value) == "cell region: row: is no list as long as the others"
    with pytest.raises(ConfigError) as wrong:
        map_bytes(-1, 5, 64, row_interleaved(2, 128))
    assert str(wrong.value) == "byte range: (-1, 5, 64): not accepted; allowed: sizes >= 0"
