"""Retrains a network for a memory with errors: ``python -m accelsim.training.boost NETWORK --data DIR --out DIR``.

Curricular retraining as in Koppula et al., "EDEN", MICRO 2019, section 3.2: weights and feature maps are loaded through
the errors of one module in the forward pass only, implausible values are zeroed, and the error rate rises in steps,
every two epochs, from none to the one aimed at. The cells that are weak are those that inference meets later, from the
same records (`accelsim.numerics.rated_faults`).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

from accelsim.atomic_file import written_whole
from accelsim.errors import AccelsimError, InputError
from accelsim.numerics.classifier import load_classifier
from accelsim.numerics.number_format import INT8
from accelsim.numerics.quantise import LARGEST, quantise_network
from accelsim.numerics.rated_faults import RatedFaults
from accelsim.numerics.stored_network import Formats, store_network
from accelsim.training.augment import Batches
from accelsim.training.networks import Recipe
from accelsim.training.structure_module import StructureModule
from accelsim.training.train import Schedule, console, count_correct, train_network
from accelsim.workload.datasets import NORMALISATIONS, load_dataset
from accelsim.workload.network_file import load_network, save_network
from accelsim.workload.onnx_build import build_onnx

if TYPE_CHECKING:
    from torch import nn

    from accelsim.numerics.faults import FaultCells
    from accelsim.numerics.stored_network import StoredNetwork
    from accelsim.workload.network_file import Network

EPOCHS, RATE, BATCH = 10, 0.01, 128
"""EDEN asks for 10 to 15 epochs; learning rate and batch are not printed there (assumption)."""

EPOCHS_PER_STEP = 2
"""Epochs after which the error rate rises (EDEN)."""

_CALIBRATION_IMAGES = 1_000
_WORD = 256


@dataclass(frozen=True)
class Curriculum:
    """The rising error rate.

    Parameters
    ----------
    rate
        Bit-error rate at the end.
    epochs
        Epochs in all.
    kind, module
        Error model, and the seed that names the module.
    curricular
        Whether the rate rises in steps; else it is the full one from the start, as in EDEN's comparison.
    """

    rate: float
    epochs: int = EPOCHS
    kind: str = "uniform"
    module: int = 0
    curricular: bool = True

    def rate_in(self, epoch: int) -> float:
        """Bit-error rate in an epoch, counted from 0."""
        steps = -(-self.epochs // EPOCHS_PER_STEP) - 1
        if not self.curricular or steps < 1:
            return self.rate
        return self.rate * min(epoch // EPOCHS_PER_STEP, steps) / steps


@dataclass(frozen=True)
class _Cells:
    """Weak cells of one tensor, on the device."""

    element: Tensor
    bit: Tensor
    flip_one: Tensor
    flip_zero: Tensor

    @classmethod
    def of_faults(cls, faults: FaultCells, device: str) -> _Cells:
        cells = faults.cells
        return cls(
            torch.from_numpy(cells["element"].astype(np.int64)).to(device),
            torch.from_numpy(cells["bit"].astype(np.int32)).to(device),
            torch.from_numpy(cells["flip_one"].astype(np.float32)).to(device),
            torch.from_numpy(cells["flip_zero"].astype(np.float32)).to(device),
        )


class FaultyModule(StructureModule):
    """A network that loads int8 weights and feature maps through weak cells; gradients pass as if nothing happened.

    Parameters
    ----------
    network
        Initial weights.
    scales
        Value of one step of every stored feature map.
    batches
        Batches in an epoch.
    curriculum
        How the error rate rises.
    device
        Where it computes.
    """

    def __init__(
        self, network: Network, scales: dict[str, float], batches: int, curriculum: Curriculum, device: str = "cpu"
    ) -> None:
        super().__init__(network)
        self._scales, self._batches, self._curriculum, self._device = scales, batches, curriculum, device
        self._store = _stored(network)
        self._cells: dict[str, _Cells] = {}
        self._at_rate: float | None = None
        self._draw = torch.Generator(device)
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.rate: float | None = None
        """Bit-error rate outside of training; that of the curriculum where it is None."""

    def forward(self, images: Tensor) -> Tensor:
        """Answers; each call is another pass through the memory."""
        step = int(self.steps)
        rate = self._curriculum.rate_in(step // self._batches) if self.rate is None else self.rate
        if rate != self._at_rate:
            self._at_rate, self._cells = rate, self._cells_at(rate)
        self._draw.manual_seed(self._curriculum.module * 1_000_003 + step)
        if self.training:
            self.steps += 1
        return super().forward(images)

    def _cells_at(self, rate: float) -> dict[str, _Cells]:
        """Weak cells of all tensors at a rate, by names of the network's own."""
        if not rate:
            return {}
        faults = RatedFaults(self._store, rate, self._curriculum.kind, self._curriculum.module)
        own = {node.name for node in self.structure.nodes} | {"image"}
        cells: dict[str, _Cells] = {}
        for stage in self._store.classifier.stages:
            weights = self._store.weights.get(stage.index)
            found = faults.weight_cells(stage) if weights is not None else None
            if weights is not None and found is not None:
                cells[f"{weights.name.removesuffix('.weight')}.weight"] = _Cells.of_faults(found, self._device)
            for root in stage.roots:
                tensor = self._store.maps[root].tensor if root in self._store.maps else ""
                name = tensor if tensor in own else tensor.removesuffix(".mean")
                found = faults.map_cells(stage, root) if name in own else None
                if found is not None:
                    cells[name] = _Cells.of_faults(found, self._device)
        return cells

    def weight(self, name: str) -> Tensor:
        """Weights as int8 words, read through the memory."""
        weight = super().weight(name)
        peaks = weight.detach().abs().flatten(1).amax(1).clamp_min(1e-12)
        scale = (peaks / LARGEST).view(-1, *(1,) * (weight.dim() - 1))
        return self._loaded(weight, scale, f"{name}.weight", 1)

    def stored(self, name: str, values: Tensor) -> Tensor:
        """A feature map as int8 words, read through the memory; tensors that are not stored stay as they are."""
        if name not in self._scales:
            return values
        return self._loaded(values, torch.tensor(self._scales[name], device=values.device), name, len(values))

    def _loaded(self, values: Tensor, scale: Tensor, name: str, images: int) -> Tensor:
        with torch.no_grad():
            words = torch.clamp(torch.round(values / scale), -LARGEST, LARGEST).to(torch.int32)
            low, high = words.min(), words.max()
            cells = self._cells.get(name)
            if cells is not None:
                words = self._flipped(words.reshape(images, -1), cells).reshape(values.shape)
                words = torch.where((words < low) | (words > high), 0, words)
            read = words.to(values.dtype) * scale
        return values + (read - values).detach()

    def _flipped(self, words: Tensor, cells: _Cells) -> Tensor:
        """Flip bits of int8 words, (images, elements), each image's read a draw of its own."""
        raw = words & (_WORD - 1)
        stored = (raw[:, cells.element] >> cells.bit) & 1
        chance = torch.where(stored == 1, cells.flip_one, cells.flip_zero)
        draw = torch.rand(chance.shape, generator=self._draw, device=chance.device)
        mask = torch.zeros_like(raw)
        mask.index_add_(1, cells.element, torch.where(draw < chance, 1 << cells.bit, 0).to(raw.dtype))
        flipped = raw ^ mask
        return torch.where(flipped > LARGEST, flipped - _WORD, flipped)


def _stored(network: Network) -> StoredNetwork:
    """The network as accelsim's inference stores it, for its addresses and weak cells; scales do not matter."""
    classifier = load_classifier(build_onnx(network))
    images = np.zeros((1, *network.structure.input_shape), np.float32)
    return store_network(classifier, Formats.uniform(INT8), images)


def boost(
    network: Network, scales: dict[str, float], data: Batches, curriculum: Curriculum, schedule: Schedule,
    rate: float = RATE,
) -> Network:  # fmt: skip
    """Retrain a network for a memory with errors.

    Parameters
    ----------
    network
        What is retrained; it stays as it is.
    scales
        Value of one step of every stored feature map.
    data
        Training images.
    curriculum
        Which errors, and how their rate rises.
    schedule
        Seed, device and checkpoint.
    rate
        Highest learning rate.

    Raises
    ------
    InputError
        When the checkpoint is damaged or belongs to another run.
    RunError
        When the loss is no longer a number.
    """
    module = FaultyModule(network, scales, len(data), curriculum, schedule.device).to(schedule.device)
    recipe = Recipe(lambda: module, epochs=curriculum.epochs, batch=BATCH, rate=rate, decay=0.0)
    name = f"{network.structure.name} boosted {curriculum}"
    train_network(name, module, recipe, data, replace(schedule, half=False))
    return module.network()


def plain_right(network: Network, data: Batches) -> int:
    """Images that the network gets right without errors and in float32."""
    module: nn.Module = StructureModule(network)
    return count_correct(module, data)


def main(
    network: Annotated[Path, typer.Argument(help="NAME.npz, as accelsim.training.export wrote it.")],
    data: Annotated[Path, typer.Option(help="Folder of its dataset.")],
    out: Annotated[Path, typer.Option(help="Gets NAME_boosted.npz, .onnx and .json, and the checkpoint.")],
    rate: Annotated[float, typer.Option(help="Bit-error rate to train for.")],
    error_model: Annotated[str, typer.Option(help="uniform, bitline, wordline or data_dependent.")] = "uniform",
    module: Annotated[int, typer.Option(min=0, help="Seed that names the DRAM module.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs.")] = EPOCHS,
    curricular: Annotated[bool, typer.Option(help="Let the error rate rise in steps.")] = True,  # noqa: FBT002
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Decides the order of the images.")] = 0,
    images: Annotated[int | None, typer.Option(min=1, help="Training images, from the first; all by default.")] = None,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = RATE,
) -> None:
    """Retrain a network for a memory with errors, or go on where an earlier run of the same command was stopped."""
    torch.set_num_threads(1)
    try:
        curriculum = Curriculum(rate, epochs, error_model, module, curricular)
        note = run(network, data, out, curriculum, Schedule(seed, device), images, learning_rate)
    except AccelsimError as problem:
        console.print(str(problem), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(problem.exit_code)
    console.print_json(data=note)


def run(
    network: Path, data: Path, out: Path, curriculum: Curriculum, schedule: Schedule, images: int | None = None,
    learning_rate: float = RATE,
) -> dict[str, Any]:  # fmt: skip
    """Do what `main` does and return the note that is written."""
    if not 0 < curriculum.rate < 0.5:
        raise InputError("not accepted", where="--rate", value=curriculum.rate, allowed="more than 0, less than 0.5")
    stored = load_network(network)
    plain, dataset = stored.dequantised(), stored.structure.dataset
    if stored.structure.decisions:
        raise InputError("has gates, which cannot be retrained here", where=network)
    train_set, test_set = (load_dataset(dataset, data, split) for split in ("train", "test"))
    normalisation = NORMALISATIONS[dataset]
    batches = Batches(train_set.head(images or len(train_set)), normalisation, BATCH, 2, schedule.device)
    name = f"{network.stem}_boosted"
    found = boost(
        plain, stored.activation_scales, batches, curriculum, replace(schedule, checkpoint=out / f"{name}.pt"),
        learning_rate,
    )  # fmt: skip
    found = replace(found, structure=replace(found.structure, name=name))
    calibration = normalisation.apply(train_set.head(_CALIBRATION_IMAGES).images)
    save_network(out / f"{name}.npz", quantise_network(found, calibration))
    with written_whole(out / f"{name}.onnx") as part:
        part.write_bytes(build_onnx(found).SerializeToString())
    tests = Batches(test_set, normalisation, 500)
    note = {
        "network": name,
        "of": network.name,
        "rate": curriculum.rate,
        "error_model": curriculum.kind,
        "module": curriculum.module,
        "epochs": curriculum.epochs,
        "curricular": curriculum.curricular,
        "learning_rate": learning_rate,
        "training_images": images or len(train_set),
        "test_images": len(test_set),
        "right_before": plain_right(plain, tests),
        "right_after": plain_right(found, tests),
    }
    with written_whole(out / f"{name}.json") as part:
        part.write_text(json.dumps(note, indent=1) + "\n")
    return note


if __name__ == "__main__":
    typer.run(main)
