"""More bandwidth does not make a network slower, though the mapping is chosen anew for it."""

from __future__ import annotations

import pytest

from accelsim.mapping.tiling_kernel import SLACK
from accelsim.pipeline import simulate


@pytest.mark.parametrize("network", ["resnet18", "squeezenet1_1"])
def test_more_channels_are_no_slower_than_the_slack_of_the_search(network: str) -> None:
    cycles = [
        simulate(
            "edge_16x16", network, overrides=["dram.device=DDR4_2400R_8Gb_x8", f"dram.channels={channels}"]
        ).totals.total_cycles
        for channels in (1, 2, 4)
    ]
    assert cycles[1] <= cycles[0] * (1 + SLACK)
    assert cycles[2] <= cycles[1] * (1 + SLACK)
