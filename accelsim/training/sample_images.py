"""Writes the first test images of a dataset as npz: ``python -m accelsim.training.sample_images NAME --data DIR``."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from accelsim.atomic_file import written_whole
from accelsim.errors import AccelsimError
from accelsim.workload.datasets import load_dataset


def main(
    name: Annotated[str, typer.Argument(help="cifar10 or fashion_mnist.")],
    data: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    out: Annotated[Path, typer.Option(help="npz file to write.")],
    count: Annotated[int, typer.Option(min=1, help="How many, from the first.")] = 2000,
) -> None:
    """Write test images and labels as `accelsim.workload.datasets.read_images` reads them."""
    console = Console(stderr=True)
    try:
        images = load_dataset(name, data, "test").head(count)
        with written_whole(out, "--out") as part, part.open("wb") as file:
            np.savez_compressed(file, images=images.images, labels=images.labels)
    except AccelsimError as problem:
        console.print(str(problem), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(problem.exit_code)
    console.print(f"{out}: {len(images)} images")


if __name__ == "__main__":
    typer.run(main)
