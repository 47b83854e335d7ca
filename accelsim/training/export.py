"""Writes a trained network: ``python -m accelsim.training.export CHECKPOINT --data DIR --out DIR --trained-by TEXT``.

Made are ``weights/NAME.npz`` (int8), ``weights/NAME.json`` (how it was trained, and the test images that come out right
in float32, with int8 weights, and with int8 feature maps as well), with ``--onnx`` ``models/NAME.onnx`` (float32), and
for gated networks ``skip/NAME.npz``, the decisions on the test images.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from hashlib import sha256
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer

from accelsim.atomic_file import written_whole
from accelsim.errors import AccelsimError, InputError
from accelsim.numerics.evaluate import Answers, classify
from accelsim.numerics.quantise import quantise_network
from accelsim.numerics.session import open_session
from accelsim.training.checkpoint import load_checkpoint
from accelsim.training.fold import fold_network
from accelsim.training.gated_networks import GATED_RECIPES, GatedNetwork, share_of_work
from accelsim.training.networks import RECIPES
from accelsim.training.train import console
from accelsim.workload.datasets import NORMALISATIONS, load_dataset
from accelsim.workload.decision_trace import DecisionTrace, GatedBlock, save_trace
from accelsim.workload.network_file import load_network, save_network
from accelsim.workload.onnx_build import build_onnx

if TYPE_CHECKING:
    from torch import nn

    from accelsim.workload.datasets import ImageSet
    from accelsim.workload.network_file import Network, QuantisedNetwork

_CALIBRATION_IMAGES = 1000
_DATA = {
    "cifar10": "CIFAR-10 (Krizhevsky, Learning multiple layers of features from tiny images, 2009)",
    "fashion_mnist": "Fashion-MNIST (Zalando SE, MIT licence)",
}


def read_model(checkpoint: Path) -> tuple[nn.Module, str, dict[str, Any]]:
    """Return the network of a checkpoint, the name of its dataset, and the checkpoint.

    Raises
    ------
    InputError
        When the checkpoint is damaged, or its file is not named as training named it.
    """
    state = load_checkpoint(checkpoint)
    name = checkpoint.stem
    plain, gated = RECIPES.get(name), GATED_RECIPES.get(name.rpartition("_")[0])
    if plain is None and gated is None:
        allowed = "NAME.pt or NAME_BUDGET.pt as training writes them"
        raise InputError("is not named after a network", where=checkpoint, allowed=allowed)
    recipe = plain or gated
    model: nn.Module = recipe.build()  # type: ignore[union-attr]
    model.load_state_dict(state["model"])
    return model, plain.dataset if plain else "cifar10", state


def export_network(checkpoint: Path, data: Path, out: Path, trained_by: str, *, with_onnx: bool) -> dict[str, Any]:
    """Write everything about one checkpoint below `out` and return the note on it.

    Parameters
    ----------
    checkpoint
        As `accelsim.training.train` or `train_gated` left it.
    data
        Folder of its dataset: the first thousand training images calibrate, all test images are counted.
    out
        Gets the folders ``weights``, ``models`` and ``skip``.
    trained_by
        Command that trained it, for the note.
    with_onnx
        Write the float32 model, too.
    """
    model, dataset, state = read_model(checkpoint)
    name = checkpoint.stem
    train_set, test_set = (load_dataset(dataset, data, split) for split in ("train", "test"))
    height, width, channels = test_set.images.shape[1:]
    network = fold_network(name, dataset, model, (channels, height, width))
    calibration = NORMALISATIONS[dataset].apply(train_set.head(_CALIBRATION_IMAGES).images)
    weights_file = out / "weights" / f"{name}.npz"
    save_network(weights_file, quantise_network(network, calibration))
    quantised = load_network(weights_file)
    answers = count_answers(network, quantised, test_set)
    note = {
        "network": name,
        "dataset": dataset,
        "data": _DATA[dataset],
        "licence": "Apache-2.0, trained by the project",
        "trained_by": trained_by,
        "training_run": state["name"],
        "date": date.today().isoformat(),
        "torch": torch.__version__,
        "parameters": sum(weight.size for weight in network.weights.values())
        + sum(bias.size for bias in network.biases.values()),
        "weights_sha256": sha256(weights_file.read_bytes()).hexdigest(),
        "test_images": len(test_set),
        "right": {key: int(answer.right.sum()) for key, answer in answers.items()},
        "right_of_first_2000": {key: int(answer.right[:2000].sum()) for key, answer in answers.items()},
    }
    if with_onnx:
        with written_whole(out / "models" / f"{name}.onnx") as part:
            part.write_bytes(build_onnx(network).SerializeToString())
    if isinstance(model, GatedNetwork):
        trace = make_trace(name, model, answers["int8_weights"])
        save_trace(out / "skip" / f"{name}.npz", trace)
        note["executed_percent"] = round(100 * float(trace.executed_shares().mean()), 3)
        note["execution_rates"] = dict(
            zip((block.name for block in trace.blocks), trace.execution_rates().round(4).tolist(), strict=True)
        )
    with written_whole(out / "weights" / f"{name}.json") as part:
        part.write_text(json.dumps(note, indent=1) + "\n")
    return note


def count_answers(network: Network, quantised: QuantisedNetwork, test_set: ImageSet) -> dict[str, Answers]:
    """Answers in float32, with int8 weights, and with weights and feature maps in int8."""
    normalisation = NORMALISATIONS[network.structure.dataset]
    sessions = {
        "float32": open_session(build_onnx(network)),
        "int8_weights": open_session(build_onnx(quantised)),
        "int8": open_session(build_onnx(quantised, quantise_activations=True), optimise=False),
    }
    return {key: classify(session, test_set, normalisation) for key, session in sessions.items()}


def make_trace(name: str, model: GatedNetwork, answers: Answers) -> DecisionTrace:
    """Name the columns of a gated network's decisions."""
    names = {id(module): path for path, module in model.named_modules()}
    _, shares = share_of_work(model)
    channels = model.gates.channel_widths or (0,) * len(shares)
    blocks = tuple(
        GatedBlock(names[id(module)], share, count)
        for module, share, count in zip(model.gated_modules(), shares, channels, strict=True)
    )
    return DecisionTrace(name, blocks, answers.decisions, answers.right)


def main(
    checkpoint: Annotated[Path, typer.Argument(help="NAME.pt, or NAME_BUDGET.pt of a gated network.")],
    data: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    out: Annotated[Path, typer.Option(help="Gets the folders weights, models and skip.")],
    trained_by: Annotated[str, typer.Option(help="Command that trained it, for the note.")],
    onnx: Annotated[bool, typer.Option(help="Write the float32 model as ONNX, too.")] = False,  # noqa: FBT002
) -> None:
    """Quantise a trained network, count its right answers, and write all that ships of it."""
    torch.set_num_threads(1)
    try:
        note = export_network(checkpoint, data, out, trained_by, with_onnx=onnx)
    except AccelsimError as problem:
        console.print(str(problem), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(problem.exit_code)
    console.print_json(data=note)


if __name__ == "__main__":
    typer.run(main)
