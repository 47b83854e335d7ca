"""Trains a gated network for several budgets: ``python -m accelsim.training.train_gated NAME --data DIR --out DIR``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import TYPE_CHECKING, Annotated

import torch
import typer

from accelsim.errors import AccelsimError, InputError
from accelsim.training.augment import Batches
from accelsim.training.checkpoint import load_checkpoint
from accelsim.training.gated_networks import GATED_RECIPES, GatedNetwork, GatedResNet, share_of_work
from accelsim.training.gates import Budget
from accelsim.training.train import Schedule, console, train_network
from accelsim.workload.datasets import NORMALISATIONS, load_dataset

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accelsim.training.networks import Recipe
    from accelsim.training.train import Objective
    from accelsim.workload.datasets import ImageSet

_GATE_IMAGES = 12_800  # a hundred steps: the gates start out open


def train_gated(
    name: str, train_set: ImageSet, test_set: ImageSet, out: Path, schedule: Schedule, budgets: tuple[int, ...],
    epochs: int | None = None, joint_epochs: int | None = None, backbone: Path | None = None,
) -> GatedNetwork:  # fmt: skip
    """Train the backbone, the gates, and then both for each budget in turn; every stage keeps its checkpoint in `out`.

    Parameters
    ----------
    name
        A key of `GATED_RECIPES`.
    train_set, test_set
        Images to learn from and to count right answers on.
    out
        Folder of the checkpoints ``NAME_backbone.pt``, ``NAME_gates.pt`` and ``NAME_<budget>.pt``.
    schedule
        Seed and device; its checkpoint is not looked at.
    budgets
        Percent of the computation, in the order of training.
    epochs, joint_epochs
        Epochs of the backbone and of each budget, instead of the recipe's.
    backbone
        Checkpoint of the plain ResNet of the same depth, or of the backbone of one with other gates, whose weights
        stand in for the training of the backbone.

    Raises
    ------
    InputError
        When no network has this name, or the backbone is not that of this network.
    """
    if name not in GATED_RECIPES:
        raise InputError("no gated network has this name", where="NAME", value=name, allowed=", ".join(GATED_RECIPES))
    recipe = GATED_RECIPES[name]
    torch.manual_seed(schedule.seed)
    model = recipe.build().to(schedule.device)
    fixed, gated = share_of_work(model)
    open_budget = Budget(1.0, fixed, tuple(gated), recipe.strength)

    def stage(suffix: str, steps: Recipe, images: ImageSet, objective: Objective, count: int | None = None) -> None:
        steps = steps if count is None else replace(steps, epochs=count)
        batches = Batches(images, NORMALISATIONS[steps.dataset], steps.batch, steps.margin, schedule.device)
        place = replace(schedule, checkpoint=out / f"{name}_{suffix}.pt")
        train_network(f"{name}_{suffix}", model, steps, batches, place, objective)
        report(f"{name}_{suffix}", model, open_budget, test_set, schedule.device)

    if backbone is None:
        model.gating = False
        stage("backbone", recipe.backbone, train_set, backbone_objective, epochs)
        model.gating = True
    else:
        _load_backbone(model, backbone)
    model.requires_grad_(requires_grad=False)
    model.gates.requires_grad_(requires_grad=True)
    stage("gates", recipe.gates, train_set.head(_GATE_IMAGES), open_budget.objective)
    model.requires_grad_(requires_grad=True)
    for percent in budgets:
        budget = replace(open_budget, target=percent / 100)
        stage(str(percent), recipe.joint, train_set, budget.objective, joint_epochs)
    return model


def _load_backbone(model: GatedNetwork, checkpoint: Path) -> None:
    if not isinstance(model, GatedResNet):
        raise InputError("only gated ResNets start from a plain network", where="backbone", value=str(checkpoint))
    model.load_plain(load_checkpoint(checkpoint)["model"])


def backbone_objective(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy while everything runs."""
    return torch.nn.functional.cross_entropy(model(images)[0], labels)


@torch.no_grad()
def report(name: str, model: GatedNetwork, budget: Budget, test_set: ImageSet, device: str) -> tuple[int, float]:
    """Count right answers and the share of the computation executed on the test images, and print both."""
    model.eval()
    right, work = 0, 0.0
    for images, labels in Batches(test_set, NORMALISATIONS["cifar10"], 500, device=device).in_order():
        logits, decisions = model(images)
        right += int((logits.argmax(1) == labels).sum())
        work += len(labels) * (float(budget.share(decisions)) if decisions else 1.0)
    share = work / len(test_set)
    line = f"{name}: {right} of {len(test_set)} test images right, {100 * share:.2f} % of the computation"
    console.print(line, soft_wrap=True)
    return right, share


def main(
    name: Annotated[str, typer.Argument(help="Network to train: " + ", ".join(GATED_RECIPES))],
    data: Annotated[Path, typer.Option(help="Folder of CIFAR-10.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoints.")],
    budgets: Annotated[str, typer.Option(help="Percent of the computation, falling.")] = "100,75,50,35",
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of the backbone.")] = None,
    joint_epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of each budget.")] = None,
    backbone: Annotated[Path | None, typer.Option(help="Checkpoint of a ResNet without gates to start from.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch; more is rarely faster here.")] = 1,
) -> None:
    """Train a gated network, or go on where an earlier run of the same command was stopped."""
    torch.set_num_threads(threads)
    try:
        targets = _parse_budgets(budgets)
        train_set, test_set = (load_dataset("cifar10", data, split) for split in ("train", "test"))
        train_gated(name, train_set, test_set, out, Schedule(seed, device), targets, epochs, joint_epochs, backbone)
    except AccelsimError as problem:
        console.print(str(problem), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(problem.exit_code)


def _parse_budgets(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() and 1 <= int(part) <= 100 for part in parts):
        raise InputError("is no list of budgets", where="--budgets", value=text, allowed="such as 100,75,50")
    return tuple(int(part) for part in parts)


if __name__ == "__main__":
    typer.run(main)
