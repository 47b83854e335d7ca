"""Retrains for decomposed weights: ``python -m accelsim.training.pot_projection NETWORK --data DIR --out DIR``.

As in SmartExchange (Zhao et al., ISCA 2020) and its released code: an epoch of SGD on ordinary weights, then these are
decomposed into sparse powers of two times small bases and replaced by what decodes from them; and again. Biases and
weights that stay plain are trained throughout. Weights that a projection made zero stay zero from then on, as
SmartDeal's masks do. From a checkpoint of training (NAME.pt) the network keeps its batch normalisations meanwhile, and
what is decomposed are the weights with these folded in; a network file (NAME.npz) has them folded for good.

A projection throws away what an epoch has moved by less than half a step. So ``--tuning-epochs`` may follow, with
SmartDeal's gradients of coefficients and bases (`accelsim.training.pot_tuning`). Either way the network at the end
computes with what decodes from the file written: its accuracy is that of the file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer

from accelsim.atomic_file import written_whole
from accelsim.errors import AccelsimError, InputError
from accelsim.training.augment import Batches
from accelsim.training.checkpoint import load_checkpoint, save_checkpoint
from accelsim.training.export import read_model
from accelsim.training.fold import fold_network
from accelsim.training.gated_networks import GatedNetwork
from accelsim.training.networks import Recipe
from accelsim.training.pot_tuning import BATCH, DECAY, MOMENTUM, TUNING_RATE, tune
from accelsim.training.structure_module import StructureModule
from accelsim.training.train import Schedule, console, count_correct, train_network
from accelsim.training.trainable import FoldedTrainable, NormalisedTrainable, zeros_kept
from accelsim.workload.datasets import NORMALISATIONS, load_dataset
from accelsim.workload.network_file import load_network
from accelsim.workload.onnx_build import build_onnx
from accelsim.workload.pot.decompose import decompose_network
from accelsim.workload.pot.files import save_pot_weights
from accelsim.workload.pot.parameters import INDEX_KINDS, PotParameters

if TYPE_CHECKING:
    from torch import nn

    from accelsim.training.trainable import Trainable
    from accelsim.workload.network_file import Network
    from accelsim.workload.pot.weights import PotWeights

EPOCHS, RATE, FOLDED_RATE = 10, 0.05, 0.01
"""The released code trains up to 300 epochs, from a rate of 0.05 down; a lower one where normalisations are folded."""
MARGIN = 2

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


@dataclass(frozen=True)
class Tuning:
    """Epochs on coefficients and bases after those on ordinary weights, and the peak of their learning rate."""

    epochs: int = 0
    rate: float = TUNING_RATE


def retrain(
    trainable: Trainable, projection: Projection, data: Batches, epochs: int, rate: float, schedule: Schedule
) -> tuple[Network, PotWeights]:
    """Train and project in turn.

    Parameters
    ----------
    trainable
        What is retrained, already trained with ordinary weights; it changes.
    projection
        How to decompose.
    data
        Training images.
    epochs
        How often; the learning rate of each is one cycle, whose peak falls from `rate` in a straight line.
    rate
        Peak of the learning rate in the first epoch.
    schedule
        Seed, device, and where the state after each epoch is kept and taken up again.

    Returns
    -------
    tuple
        The network with decoded weights, and the decomposed ones.

    Raises
    ------
    InputError
        When the checkpoint is damaged or belongs to another run.
    RunError
        When the loss is no longer a number.
    """
    module = trainable.module.to(schedule.device)
    name = trainable.network().structure.name
    identity = f"{name} {projection} seed={schedule.seed} epochs={epochs} rate={rate}"
    first = _resume(identity, module, schedule)
    found, pot = projection.project(trainable.network())
    for epoch in range(first, epochs):
        trainable.put(found.weights)
        peak = rate * (epochs - epoch) / epochs
        recipe = Recipe(lambda: module, epochs=1, batch=BATCH, rate=peak, decay=DECAY, momentum=MOMENTUM)
        turn = replace(schedule, seed=schedule.seed + epoch, checkpoint=None)
        with zeros_kept(trainable):
            train_network(f"{name}, turn {epoch + 1} of {epochs}", module, recipe, data, turn)
        if schedule.checkpoint is not None:
            state = {"name": identity, "epoch": epoch + 1, "model": module.state_dict()}
            save_checkpoint(schedule.checkpoint, state)
        found, pot = projection.project(trainable.network())
    return found, pot


def _resume(identity: str, module: nn.Module, schedule: Schedule) -> int:
    """Take up the state of an earlier run, if there is any, and return how many epochs it had done."""
    if schedule.checkpoint is None or not schedule.checkpoint.exists():
        return 0
    state = load_checkpoint(schedule.checkpoint)
    if state["name"] != identity:
        raise InputError("belongs to another run", where=schedule.checkpoint, value=state["name"], allowed=identity)
    module.load_state_dict(state["model"])
    return int(state["epoch"])


def read_trainable(path: Path, data: Path) -> tuple[Trainable, Network]:
    """What a file holds to be retrained, and the network that it is now; `data` is the folder of its images.

    Raises
    ------
    InputError
        When the file cannot be read, or the network has gates.
    """
    if path.suffix == ".pt":
        module, dataset, _ = read_model(path)
        if isinstance(module, GatedNetwork):
            raise InputError("has gates, which cannot be retrained here", where=path)
        height, width, channels = load_dataset(dataset, data, "test").images.shape[1:]
        network = fold_network(path.stem, dataset, module, (channels, height, width))
        return NormalisedTrainable(module, network.structure), network
    stored = load_network(path)
    if stored.structure.decisions:
        raise InputError("has gates, which cannot be retrained here", where=path)
    network = stored.dequantised()
    return FoldedTrainable(network), network


def run(
    network: Path, data: Path, out: Path, projection: Projection, epochs: int, rate: float | None,
    schedule: Schedule, images: int | None = None, tuning: Tuning | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Do what `main` does and return the note that is written."""
    tuning = tuning or Tuning()
    trainable, plain = read_trainable(network, data)
    rate = rate or (RATE if isinstance(trainable, NormalisedTrainable) else FOLDED_RATE)
    dataset = plain.structure.dataset
    train_set, test_set = (load_dataset(dataset, data, split) for split in ("train", "test"))
    normalisation = NORMALISATIONS[dataset]
    batches = Batches(train_set.head(images or len(train_set)), normalisation, BATCH, MARGIN, schedule.device)
    tests = Batches(test_set, normalisation, 500, device=schedule.device)

    def right(candidate: Network) -> int:
        return count_correct(StructureModule(candidate).to(schedule.device), tests)

    once, _ = projection.project(plain)
    rights = {"right_plain": right(plain), "right_decomposed": right(once)}
    name = f"{network.stem}_retrained"
    out.mkdir(parents=True, exist_ok=True)
    turns = replace(schedule, checkpoint=out / f"{name}_projected.pt")
    found, pot = retrain(trainable, projection, batches, epochs, rate, turns)
    rights["right_projected"] = right(found)
    if tuning.epochs:
        tuned = replace(schedule, checkpoint=out / f"{name}_tuned.pt")
        found, pot = tune(found, pot, batches, tuning.epochs, tuning.rate, tuned)
        rights["right_tuned"] = right(found)
    found = replace(found, structure=replace(found.structure, name=name))
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
        "tuning_epochs": tuning.epochs,
        "tuning_rate": tuning.rate,
        "training_images": images or len(train_set),
        "test_images": len(test_set),
        **rights,
        "right_retrained": rights.get("right_tuned", rights["right_projected"]),
        "compression": 32 * pot.weight_count / storage.total_bits,
        "sparsity": pot.sparsity,
    }
    with written_whole(out / f"{name}.json") as part:
        part.write_text(json.dumps(note, indent=1) + "\n")
    return note


def main(
    network: Annotated[Path, typer.Argument(help="NAME.pt of accelsim.training.train, or NAME.npz of export.")],
    data: Annotated[Path, typer.Option(help="Folder of its dataset.")],
    out: Annotated[Path, typer.Option(help="Gets NAME_retrained_pot.npz, .onnx and .json.")],
    theta: Annotated[float, typer.Option(help="Coefficients smaller than this become zero.")] = _DEFAULTS.theta,
    index: Annotated[str, typer.Option(help=f"What an index bit stands for: {', '.join(INDEX_KINDS)}.")] = "vector",
    vector_sparsity: Annotated[float, typer.Option(help="Fraction of vectors to zero in each group.")] = 0.0,
    epochs: Annotated[int, typer.Option(min=0, help="Epochs, each followed by a projection.")] = EPOCHS,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate of the first epoch.")] = None,
    tuning_epochs: Annotated[int, typer.Option(min=0, help="Epochs on coefficients and bases thereafter.")] = 0,
    tuning_rate: Annotated[float, typer.Option(help="Highest learning rate of these.")] = TUNING_RATE,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Decides the order of the images.")] = 0,
    images: Annotated[int | None, typer.Option(min=1, help="Training images, from the first; all by default.")] = None,
) -> None:
    """Retrain a network for decomposed weights; print images right before, decomposed, and retrained."""
    torch.set_num_threads(1)
    try:
        for option, value in (("--learning-rate", learning_rate), ("--tuning-rate", tuning_rate)):
            if value is not None and value <= 0:
                raise InputError("not accepted", where=option, value=value, allowed="more than 0")
        parameters = PotParameters(theta=theta, index=index)  # type: ignore[arg-type] # checked by the record
        projection = Projection(parameters, vector_sparsity)
        tuning = Tuning(tuning_epochs, tuning_rate)
        note = run(network, data, out, projection, epochs, learning_rate, Schedule(seed, device), images, tuning)
    except AccelsimError as problem:
        console.print(str(problem), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(problem.exit_code)
    console.print_json(data=note)


if __name__ == "__main__":
    typer.run(main)
