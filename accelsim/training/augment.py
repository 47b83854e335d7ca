"""Batches of images on the device: normalised, and in training shifted and flipped at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accelsim.workload.datasets import ImageSet, Normalisation


class Batches:
    """The images of a dataset, kept on the device as bytes.

    Parameters
    ----------
    images
        What to draw from.
    normalisation
        Applied to every batch.
    batch
        Images in a batch; the last one of a pass may be smaller.
    margin
        Greatest shift of `shuffled`, in pixels; what a shift uncovers mirrors the image.
    device
        Where the images lie and the batches are made.
    """

    def __init__(self, images: ImageSet, normalisation: Normalisation, batch: int, margin: int = 0,
                 device: str = "cpu") -> None:  # fmt: skip
        planes = torch.from_numpy(np.ascontiguousarray(images.images.transpose(0, 3, 1, 2)))
        self._images = planes.to(device)
        self._labels = torch.from_numpy(images.labels.astype(np.int64)).to(device)
        self._batch, self._margin = batch, margin
        scale = 255.0 * torch.tensor(normalisation.std, device=device)
        self._scale = (1.0 / scale).view(1, -1, 1, 1)
        self._shift = (-255.0 * torch.tensor(normalisation.mean, device=device) / scale).view(1, -1, 1, 1)
        self._size = planes.shape[2]
        self._windows: Tensor | None = None

    def __len__(self) -> int:
        return len(range(0, len(self._labels), self._batch))

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All images and labels as they are."""
        for start in range(0, len(self._labels), self._batch):
            part = slice(start, start + self._batch)
            yield self._normalised(self._images[part]), self._labels[part]

    def shuffled(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images and labels in an order, with shifts and flips, that `seed` decides."""
        device = self._images.device
        draw = torch.Generator(device).manual_seed(seed)
        count = len(self._labels)
        order = torch.randperm(count, generator=draw, device=device)
        shifts = torch.randint(2 * self._margin + 1, (2, count), generator=draw, device=device)
        flips = torch.rand(count, generator=draw, device=device) < 0.5
        windows = self._all_windows()
        for start in range(0, count, self._batch):
            chosen = order[start : start + self._batch]
            images = windows[chosen, :, shifts[0, chosen], shifts[1, chosen]]
            images = torch.where(flips[chosen].view(-1, 1, 1, 1), images.flip(3), images)
            yield self._normalised(images), self._labels[chosen]

    def _all_windows(self) -> Tensor:
        """View (image, channel, shift down, shift right, height, width) of the padded images."""
        if self._windows is None:
            margins = (self._margin,) * 4
            parts = [
                functional.pad(part.float(), margins, mode="reflect").byte() for part in torch.split(self._images, 1024)
            ]
            self._windows = torch.cat(parts).unfold(2, self._size, 1).unfold(3, self._size, 1)
        return self._windows

    def _normalised(self, images: Tensor) -> Tensor:
        return (images.float() * self._scale + self._shift).contiguous(memory_format=torch.channels_last)
