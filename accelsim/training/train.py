"""Trains one network: ``python -m accelsim.training.train NAME --data DIR --out DIR``.

A run is decided by its seed alone on a given machine: each epoch draws from a generator of its own, so one that was
interrupted and resumed ends in the same weights as one that was not.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import TYPE_CHECKING, Annotated

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional

from accelsim.errors import AccelsimError, InputError, RunError
from accelsim.training.augment import Batches
from accelsim.training.checkpoint import load_checkpoint, save_checkpoint
from accelsim.training.networks import RECIPES, Recipe
from accelsim.workload.datasets import NORMALISATIONS, load_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Objective: TypeAlias = Callable[[nn.Module, Tensor, Tensor], Tensor]

console = Console(stderr=True)

_WARM_UP = 0.2  # share of the steps in which the learning rate rises
_EPOCH_SEEDS = 100_003  # a prime above any number of epochs: seeds of two runs do not meet


@dataclass(frozen=True)
class Schedule:
    """What a run needs besides the recipe.

    Attributes
    ----------
    seed
        Decides initial weights, order, shifts and flips.
    device
        ``cpu`` or ``cuda``.
    checkpoint
        Where the state after each epoch is kept and taken up again; None keeps none.
    half
        Compute in bfloat16 where PyTorch deems it safe; weights stay float32.
    """

    seed: int = 0
    device: str = "cpu"
    checkpoint: Path | None = None
    half: bool = True


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of a network's answers."""
    return functional.cross_entropy(model(images), labels)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """One cycle: up to `recipe.rate` in a straight line over the first fifth of the steps, then down to zero."""
    rise = _WARM_UP * steps
    return recipe.rate * (min((step + 1) / rise, 1.0) if step < rise else (steps - step) / (steps - rise))


def train_network(
    name: str, model: nn.Module, recipe: Recipe, data: Batches, schedule: Schedule, objective: Objective = cross_entropy
) -> list[float]:
    """Train `model` in place and return the mean loss of each epoch run.

    Parameters
    ----------
    name
        Written to the checkpoint, which is taken up only by a run of the same name, recipe and seed.
    model
        On `schedule.device`; parameters that need no gradient stay as they are.
    recipe, schedule
        How to train.
    data
        Training images.
    objective
        Loss of one batch, given model, images and labels.

    Raises
    ------
    InputError
        When the checkpoint is damaged or belongs to another run.
    RunError
        When the loss is no longer a number.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(
        parameters, lr=recipe.rate, momentum=recipe.momentum, weight_decay=recipe.decay, nesterov=recipe.momentum > 0
    )
    identity = f"{name} seed={schedule.seed} epochs={recipe.epochs} batch={recipe.batch} rate={recipe.rate}"
    first, losses = _resume(identity, model, optimiser, schedule)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for epoch in range(first, recipe.epochs):
        started = time.monotonic()
        losses.append(_train_epoch(epoch, model, optimiser, recipe, data, schedule, objective))
        console.print(f"{name} epoch {epoch + 1}/{recipe.epochs}: loss {losses[-1]:.4f}, "
                       f"{time.monotonic() - started:.0f} s")  # fmt: skip
        if schedule.checkpoint is not None:
            state = {"name": identity, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
            save_checkpoint(schedule.checkpoint, {**state, "epoch": epoch + 1, "losses": losses})
    return losses


def _resume(
    identity: str, model: nn.Module, optimiser: torch.optim.Optimizer, schedule: Schedule
) -> tuple[int, list[float]]:
    if schedule.checkpoint is None or not schedule.checkpoint.exists():
        return 0, []
    state = load_checkpoint(schedule.checkpoint)
    if state["name"] != identity:
        raise InputError("belongs to another run", where=schedule.checkpoint, value=state["name"], allowed=identity)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["epoch"]), list(state["losses"])


def _train_epoch(
    epoch: int, model: nn.Module, optimiser: torch.optim.Optimizer, recipe: Recipe, data: Batches, schedule: Schedule,
    objective: Objective,
) -> float:  # fmt: skip
    model.train()
    total = torch.zeros((), device=schedule.device)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"epoch {epoch + 1}/{recipe.epochs}", total=len(data))
        for index, (images, labels) in enumerate(data.shuffled(schedule.seed * _EPOCH_SEEDS + epoch)):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(recipe, epoch * len(data) + index, recipe.epochs * len(data))
            with torch.autocast(schedule.device, torch.bfloat16, enabled=schedule.half):
                loss = objective(model, images, labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.detach().float()
            progress.advance(task)
    mean = float(total) / len(data)
    if math.isnan(mean):
        message = f"the loss of epoch {epoch + 1} is not a number: the learning rate {recipe.rate} is too high"
        raise RunError(message)
    return mean


@torch.no_grad()
def count_correct(model: nn.Module, data: Batches) -> int:
    """Images whose highest answer is their label, in float32."""
    model.eval()
    right = 0
    for images, labels in data.in_order():
        answer = model(images)
        logits = answer[0] if isinstance(answer, tuple) else answer
        right += int((logits.argmax(1) == labels).sum())
    return right


def main(
    name: Annotated[str, typer.Argument(help="Network to train: " + ", ".join(RECIPES))],
    data: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint, NAME.pt.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs instead of the recipe's.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch; more is rarely faster here.")] = 1,
) -> None:
    """Train a network, or go on where an earlier run of the same command was stopped; print its test accuracy."""
    try:
        run(name, data, out, Schedule(seed, device), epochs, threads)
    except AccelsimError as problem:
        console.print(str(problem), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(problem.exit_code)


def run(name: str, data: Path, out: Path, schedule: Schedule, epochs: int | None = None, threads: int = 1) -> nn.Module:
    """Do what `main` does and return the trained network."""
    if name not in RECIPES:
        raise InputError("no network has this name", where="NAME", value=name, allowed=", ".join(RECIPES))
    if schedule.device == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no such device", where="--device", value=schedule.device, allowed="cpu")
    torch.set_num_threads(threads)
    recipe = RECIPES[name] if epochs is None else replace(RECIPES[name], epochs=epochs)
    train_set, test_set = (load_dataset(recipe.dataset, data, split) for split in ("train", "test"))
    torch.manual_seed(schedule.seed)
    model = recipe.build().to(schedule.device)
    normalisation = NORMALISATIONS[recipe.dataset]
    batches = Batches(train_set, normalisation, recipe.batch, recipe.margin, schedule.device)
    train_network(name, model, recipe, batches, replace(schedule, checkpoint=out / f"{name}.pt"))
    right = count_correct(model, Batches(test_set, normalisation, 500, device=schedule.device))
    console.print(f"{name}: {right} of {len(test_set)} test images right")
    return model


if __name__ == "__main__":
    typer.run(main)
