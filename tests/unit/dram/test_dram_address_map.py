"""Address maps, bit for bit."""

import numpy as np
import pytest

from accelsim.config.dram import DramConfig
from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.controller import Dram


def place(address: int, config: DramConfig) -> tuple[int, int, int, int, int]:
    """Channel, rank, bank group, bank and row of an address."""
    dram = Dram(config.model_copy(update={"refresh": "none"}), keep_commands=True)
    dram.submit(0, 0, is_write=False, addresses=np.array([address]), at_ps=0)
    dram.finish()
    first = dram.commands()[0]
    group, bank = divmod(int(first[lo.L_BANK]), 4)
    return int(first[lo.L_CHANNEL]), int(first[lo.L_RANK]), group, bank, int(first[lo.L_ROW])


@pytest.mark.parametrize(
    ("address_map", "bit", "expected"),
    [
        ("RoBaRaCoCh", 6, (1, 0, 0, 0, 0)),
        ("RoBaRaCoCh", 7 + 7, (0, 1, 0, 0, 0)),
        ("RoBaRaCoCh", 7 + 8, (0, 0, 1, 0, 0)),
        ("RoBaRaCoCh", 7 + 10, (0, 0, 0, 1, 0)),
        ("RoBaRaCoCh", 7 + 12, (0, 0, 0, 0, 1)),
        ("ChRaBaRoCo", 6 + 7, (0, 0, 0, 0, 1)),
        ("ChRaBaRoCo", 6 + 7 + 16, (0, 0, 0, 1, 0)),
        ("ChRaBaRoCo", 6 + 7 + 18, (0, 0, 1, 0, 0)),
        ("ChRaBaRoCo", 6 + 7 + 20, (0, 1, 0, 0, 0)),
        ("ChRaBaRoCo", 6 + 7 + 21, (1, 0, 0, 0, 0)),
        ("MOP4CLXOR", 8, (1, 0, 0, 0, 0)),
        ("MOP4CLXOR", 9, (0, 1, 0, 0, 0)),
        ("MOP4CLXOR", 6, (0, 1, 0, 0, 0)),  # column bit 0 into the rank
        ("MOP4CLXOR", 7, (0, 0, 1, 0, 0)),  # column bit 1 into the bank group
        ("MOP4CLXOR", 10, (0, 0, 1, 0, 0)),
        ("MOP4CLXOR", 12, (0, 0, 0, 1, 0)),
        ("MOP4CLXOR", 14, (0, 0, 2, 0, 0)),  # column bit 2
        ("MOP4CLXOR", 17, (0, 0, 0, 0, 1)),  # column bit 5 into the row
        ("MOP4CLXOR", 19, (0, 0, 0, 0, 1)),
        ("rochrababgco", 13, (0, 0, 1, 0, 0)),
        ("row column:5 bank bank_group rank column:2 channel", 6, (1, 0, 0, 0, 0)),
        ("row column:5 bank bank_group rank column:2 channel", 9, (0, 1, 0, 0, 0)),
        ("row bank bank_group rank channel column bank_group^column:3", 9, (0, 0, 1, 0, 0)),
        ("RoBaRaCoCh", 40, (0, 0, 0, 0, 0)),  # beyond the memory: wraps around
    ],
)
def test_a_bit_selects_its_field(address_map: str, bit: int, expected: tuple[int, ...]) -> None:
    assert place(1 << bit, DramConfig(channels=2, ranks=2, address_map=address_map)) == expected
