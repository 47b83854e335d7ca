"""The last phase of a step of training: gradients move the weights, which are read and written with their state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from accelsim.workload.operators import Elementwise, MatMul
from accelsim.workload.pot.parameters import CODE_BITS
from accelsim.workload.pot.storage import BASIS_BITS

if TYPE_CHECKING:
    from accelsim.workload.gradients import StepBuilder
    from accelsim.workload.pot.operand import PotOperand


class Updates:
    """Adds the updates of all trained parameters, and counts what they have to remember.

    A weight and its momentum lie side by side, so that a pass reads both with the gradient and writes both. The
    narrower weights that the array reads are the upper bits of these: no copy of them is written.

    Parameters
    ----------
    step
        The step, its weight gradients known.
    """

    def __init__(self, step: StepBuilder) -> None:
        self.step = step
        self.state_bits = 0

    def add_all(self) -> None:
        """Update each weight array once, however many layers share it; then biases and normalisations in one go."""
        step, graph = self.step, self.step.graph
        weights = [weight for layer in graph.layers if (weight := graph.weight_tensor(layer)) is not None]
        sizes = {weight.name: weight.elements for weight in weights}
        decomposed = 0
        for name, size in sizes.items():
            gradients = step.weight_gradients.get(name)
            if not gradients:
                continue
            total = self._total(name, gradients, size)
            pot = step.operands[name].pot if step.record.method == "smartdeal" and name in step.operands else None
            if pot is None:
                self._descend(name, total, size)
            else:
                self._decomposed(name, total, pot)
                decomposed += 1
        if step.record.method == "smartdeal" and not decomposed:
            raise step.refuse("training", "smartdeal needs decomposed weights: pot_weights, or statistics with pot")
        others = graph.total_parameters - sum(sizes.values())
        if others:
            self._descend(f"{graph.name}.other_parameters", None, others)

    def _total(self, name: str, gradients: list[str], size: int) -> str:
        if len(gradients) == 1:
            return gradients[0]
        step = self.step
        rows = [step.view("update", f"{name}.gradient{index}", made, (1, size)) for index, made in enumerate(gradients)]
        return step.add("update", f"{name}.gradient", Elementwise("add"), *rows, bits=step.record.gradient_bits)

    def _descend(self, name: str, gradient: str | None, size: int) -> None:
        """Gradient descent, with momentum if there is any."""
        step, record = self.step, self.step.record
        state = step.outside(f"{name}.state", (record.states_per_weight, size), record.state_bits)
        sources = [state]
        if gradient is not None:
            sources.append(step.view("update", f"{name}.gradient_row", gradient, (1, size)))
        step.add("update", f"{name}.update", Elementwise("add"), *sources, bits=record.state_bits)
        self.state_bits += record.states_per_weight * size * record.state_bits

    def _decomposed(self, name: str, gradient: str, pot: PotOperand) -> None:
        """Two small products per slice, over its rows that are not masked; rows of padding have no gradient."""
        step, record, layout = self.step, self.step.record, pot.layout
        slices, columns = layout.all_slices, layout.basis
        rows = layout.filter_weights // (layout.slices * columns)
        rows = max(1, round(rows * pot.row_density))
        slopes = step.view("update", f"{name}.gradient_slices", gradient, (slices, rows, columns))
        basis = step.outside(f"{name}.basis", (slices, columns, columns), BASIS_BITS)
        codes = step.outside(f"{name}.coefficients", (slices, columns, rows), CODE_BITS)
        made = {
            "coefficient": step.add(
                "weight_gradient", f"{name}.coefficient_gradient", MatMul(), slopes, basis, bits=record.gradient_bits
            ),
            "basis": step.add(
                "weight_gradient", f"{name}.basis_gradient", MatMul(), codes, slopes, bits=record.gradient_bits
            ),
        }
        coefficients, bits = slices * rows * columns, CODE_BITS + record.counter_bits
        counted = step.outside(f"{name}.counted_codes", (1, coefficients), bits)
        row = step.view("update", f"{name}.coefficient_row", made["coefficient"], (1, coefficients))
        step.add("update", f"{name}.sign_step", Elementwise("add"), counted, row, bits=bits)
        self.state_bits += coefficients * bits + pot.storage.index_bits
        self._descend(f"{name}.basis", made["basis"], math.prod((slices, columns, columns)))
