"""Retrains for decomposed weights: ``python -m accelsim.training.pot_projection NETWORK --data DIR --out DIR``.

As in SmartExchange (Zhao et al., ISCA 2020) and its released code: an epoch of plain SGD on ordinary weights, then
these are decomposed into sparse powers of two times small bases and replaced by what decodes from them; and again.
Biases and weights that stay plain are trained throughout. What is left at the end has just been projected, so accuracy
is that of the file written. Weights that a projection made zero stay zero from then on, as SmartDeal's masks do.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer

from accelsim.atomic_file import written_whole
from accelsim.errors import AccelsimError, InputError
from accelsim.training.augment import Batches
from accelsim.training.networks import Recipe
from accelsim.training.structure_module import StructureModule
from accelsim.training.train import Schedule, console, count_correct, train_network
from accelsim.workload.datasets import NORMALISATIONS, load_dataset
from accelsim.workload.network_file import load_network
from accelsim.workload.onnx_build import build_onnx
from accelsim.workload.pot.decompose import decompose_network
from accelsim.workload.pot.files import save_pot_weights
from accelsim.workload.pot.parameters import INDEX_KINDS, PotParameters

if TYPE_CHECKING:
    from torch import Tensor

    from accelsim.workload.network_file import Network
    from accelsim.workload.pot.weights import PotWeights

EPOCHS, RATE, BATCH, DECAY = 10, 0.01, 128, 5e-4
"""The released code trains up to 300 epochs from a rate of 0.05 down, with this batch and decay; less here."""

_DEFAULTS = PotParameters()


@dataclass(frozen=True)
class Projection:
    """How weights are decomposed after each epoch.

    Parameters
    ----------
    parameters
        Of the fit.
    vector_sparsity
        Fraction of the vectors of each group of 32 filters that is zeroed.
    """

    parameters: PotParameters = _DEFAULTS
    vector_sparsity: float = 0.0

    def decompose(self, network: Network) -> PotWeights:
        """Decompose the weights of a network; the arrays have the names of its graph."""
        weights = {f"{name}.weight": array for name, array in network.weights.items()}
        return decompose_network(
            weights, self.parameters, network=network.structure.name, vector_sparsity=self.vector_sparsity
        )  # fmt: skip

    def project(self, network: Network) -> tuple[Network, PotWeights]:
        """The network with the weights that decode from its decomposition, and that."""
        pot = self.decompose(network)
        decoded = {layer.name.removesuffix(".weight"): layer.decode() for layer in pot.layers}
        return replace(network, weights=decoded), pot


class MaskedModule(StructureModule):
    """A network whose zero weights stay zero."""

    def weight(self, name: str) -> Tensor:
        """Weights as they are computed with: no gradient reaches the zeros."""
        weight = super().weight(name)
        return weight * (weight.detach() != 0)


def retrain(
    network: Network, projection: Projection, data: Batches, epochs: int, rate: float, schedule: Schedule
) -> tuple[Network, PotWeights]:
    """Train and project in turn.

    Parameters
    ----------
    network
        What is retrained, already trained with ordinary weights; it stays as it is.
    projection
        How to decompose.
    data
        Training images.
    epochs
        How often; the learning rate of each is one cycle, whose peak falls from `rate` in a straight line.
    rate
        Peak of the learning rate in the first epoch.
    schedule
        Seed and device; no checkpoint is kept.

    Returns
    -------
    tuple
        The network with decoded weights, and the decomposed ones.

    Raises
    ------
    RunError
        When the loss is no longer a number.
    """
    found, pot = projection.project(network)
    for epoch in range(epochs):
        module = MaskedModule(found).to(schedule.device)
        peak = rate * (epochs - epoch) / epochs
        recipe = Recipe(partial(MaskedModule, found), epochs=1, batch=BATCH, rate=peak, decay=DECAY, momentum=0.0)
        turn = replace(schedule, seed=schedule.seed + epoch, checkpoint=None, half=False)
        train_network(f"{network.structure.name}, turn {epoch + 1} of {epochs}", module, recipe, data, turn)
        found, pot = projection.project(module.network())
    return found, pot


def run(
    network: Path, data: Path, out: Path, projection: Projection, epochs: int, rate: float, schedule: Schedule,
    images: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Do what `main` does and return the note that is written."""
    stored = load_network(network)
    if stored.structure.decisions:
        raise InputError("has gates, which cannot be retrained here", where=network)
    plain, dataset = stored.dequantised(), stored.structure.dataset
    train_set, test_set = (load_dataset(dataset, data, split) for split in ("train", "test"))
    normalisation = NORMALISATIONS[dataset]
    batches = Batches(train_set.head(images or len(train_set)), normalisation, BATCH, 2, schedule.device)
    tests = Batches(test_set, normalisation, 500, device=schedule.device)

    def right(candidate: Network) -> int:
        return count_correct(StructureModule(candidate).to(schedule.device), tests)

    once, _ = projection.project(plain)
    found, pot = retrain(plain, projection, batches, epochs, rate, schedule)
    name = f"{network.stem}_retrained"
    found = replace(found, structure=replace(found.structure, name=name))
    out.mkdir(parents=True, exist_ok=True)
    save_pot_weights(pot, out / f"{name}_pot.npz")
    with written_whole(out / f"{name}.onnx") as part:
        part.write_bytes(build_onnx(found).SerializeToString())
    storage = pot.storage()
    note = {
        "network": name,
        "of": network.name,
        "parameters": projection.parameters.to_dict(),
        "vector_sparsity": projection.vector_sparsity,
        "epochs": epochs,
        "learning_rate": rate,
        "training_images": images or len(train_set),
        "test_images": len(test_set),
        "right_plain": right(plain),
        "right_decomposed": right(once),
        "right_retrained": right(found),
        "compression": 32 * pot.weight_count / storage.total_bits,
        "sparsity": pot.sparsity,
    }
    with written_whole(out / f"{name}.json") as part:
        part.write_text(json.dumps(note, indent=1) + "\n")
    return note


def main(
    network: Annotated[Path, typer.Argument(help="NAME.npz, as accelsim.training.export wrote it.")],
    data: Annotated[Path, typer.Option(help="Folder of its dataset.")],
    out: Annotated[Path, typer.Option(help="Gets NAME_retrained_pot.npz, .onnx and .json.")],
    theta: Annotated[float, typer.Option(help="Coefficients smaller than this become zero.")] = _DEFAULTS.theta,
    index: Annotated[str, typer.Option(help=f"What an index bit stands for: {', '.join(INDEX_KINDS)}.")] = "vector",
    vector_sparsity: Annotated[float, typer.Option(help="Fraction of vectors to zero in each group.")] = 0.0,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs, each followed by a projection.")] = EPOCHS,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate of the first epoch.")] = RATE,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Decides the order of the images.")] = 0,
    images: Annotated[int | None, typer.Option(min=1, help="Training images, from the first; all by default.")] = None,
) -> None:
    """Retrain a network for decomposed weights; print images right before, decomposed, and retrained."""
    torch.set_num_threads(1)
    try:
        if learning_rate <= 0:
            raise InputError("not accepted", where="--learning-rate", value=learning_rate, allowed="more than 0")
        parameters = PotParameters(theta=theta, index=index)  # type: ignore[arg-type] # checked by the record
        projection = Projection(parameters, vector_sparsity)
        note = run(network, data, out, projection, epochs, learning_rate, Schedule(seed, device), images)
    except AccelsimError as problem:
        console.print(str(problem), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(problem.exit_code)
    console.print_json(data=note)


if __name__ == "__main__":
    typer.run(main)
