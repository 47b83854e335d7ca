"""What is stated of a network beside its layers: values of tensors or their statistics, and images to judge it by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from accelsim.workload.operand_data import UNKNOWN, OperandData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from accelsim.workload.skip import SkipPlan
    from accelsim.workload.training import TrainingRecord


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotations of one network.

    Parameters
    ----------
    operands
        What is known of the values in feature maps and weight arrays, by tensor.
    images
        Labelled images that the network classifies; None where there are none.
    model
        ONNX file that the network came from, which can be run; None for one described by its shapes alone.
    skip
        Gates and exits with what they decided for each sample; None where everything always runs.
    training
        How a step of training is simulated; None for inference.
    """

    operands: Mapping[str, OperandData] = field(default_factory=dict)
    images: Path | None = None
    model: Path | None = None
    skip: SkipPlan | None = None
    training: TrainingRecord | None = None

    def of_tensor(self, name: str) -> OperandData:
        """What is known of a tensor."""
        return self.operands.get(name, UNKNOWN)

    def of_batch(self, shapes: Mapping[str, tuple[int, ...]]) -> Annotations:
        """The same where the feature maps have these shapes, which differ in their first dimension alone."""
        changed = {
            name: data.of_batch(shapes[name])
            for name, data in self.operands.items()
            if name in shapes and data.load is not None
        }
        return replace(self, operands={**self.operands, **changed}) if changed else self


NO_ANNOTATIONS = Annotations()
"""Nothing is stated."""
