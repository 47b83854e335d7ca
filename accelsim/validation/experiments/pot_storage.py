"""Storage of networks whose weights are sparse powers of two and small bases, beside a published table.

::

    kind: pot_storage
    index: vector             # of rows that do not say: element, vector, group, code
    rows: [{network: vgg19_cifar, sparsity: 0.928, claimed: 1.08}]
    measure: worst_error      # as of a table
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from accelsim.config.model import Record
from accelsim.validation.aggregates import Measure, error_of, mean_ratio
from accelsim.validation.experiment import Breakdown, Experiment, Outcome, Point
from accelsim.validation.runs import check_network, named_network
from accelsim.workload.pot.storage import network_storage_at_sparsity

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.validation.bench import Bench
    from accelsim.workload.pot.storage import StorageBits


Accounting = Literal["element", "vector", "group", "code"]
"""What a bit of the index stands for; ``code`` is the accounting of the released code: one for each coefficient, and
plain weights left out."""


class StorageRow(Record):
    """A network of the table, in megabytes."""

    network: str
    sparsity: Annotated[float, Field(ge=0, lt=1)]
    """Share of the coefficients that are zero."""
    index: Accounting | None = None
    claimed: float


class PotStorage(Experiment):
    """Megabytes at a stated sparsity."""

    kind: Literal["pot_storage"]
    index: Accounting = "vector"
    rows: Annotated[tuple[StorageRow, ...], Field(min_length=1)]
    measure: Measure = "mean_error"

    def check(self, where: Path) -> None:
        """Find networks that there are not."""
        for row in self.rows:
            check_network(row.network, where)

    def conduct(self, bench: Bench) -> Outcome:
        """Count the bits of every row."""
        points, shares = [], {}
        for row in self.rows:
            accounting = row.index or self.index
            index = "element" if accounting == "code" else accounting
            bits = network_storage_at_sparsity(named_network(row.network, bench.where), row.sparsity, index)
            counted = bits.total_bits - (bits.plain_bits if accounting == "code" else 0)
            name = f"{row.network} at {row.sparsity:.1%}"
            points.append(Point(name, counted / 8e6, row.claimed))
            shares[name] = _shares(bits)
        breakdown = Breakdown("storage", shares)
        return Outcome(error_of(points, self.measure), tuple(points), (breakdown,), mean_ratio(points), (), "MB")


def _shares(bits: StorageBits) -> dict[str, float]:
    parts = {
        "coefficients": bits.coefficient_bits, "index": bits.index_bits, "bases": bits.basis_bits,
        "plain weights": bits.plain_bits,
    }  # fmt: skip
    return {part: count / bits.total_bits for part, count in parts.items()}
