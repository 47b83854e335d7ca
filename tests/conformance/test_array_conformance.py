"""All arrays in all dataflows keep to what `array_conformance` asks."""

from __future__ import annotations

import pytest
from array_conformance import ARRAYS, ArrayConformance


@pytest.mark.parametrize("array", ARRAYS, ids=str)
class TestArrays(ArrayConformance):
    pass
