"""Runs a stored network on images while bits of what it reads from DRAM flip."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.numerics.accuracy_request import IMAGES_PER_LOAD
from accelsim.numerics.faults import FlipCount, Plausible, read_words
from accelsim.numerics.number_format import INT8
from accelsim.numerics.segments import RESULT, Read, cut_network, weight_input, words_name
from accelsim.numerics.session import open_session
from accelsim.numerics.stored_network import fixed_batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.numerics.encoded_weights import EncodedWeights
    from accelsim.numerics.faults import FaultCells, FaultSource
    from accelsim.numerics.number_format import Correction, NumberFormat, Words
    from accelsim.numerics.segments import Segment
    from accelsim.numerics.stored_network import StoredNetwork

    Floats = NDArray[np.float32]

BATCH = 125
"""Images that go through onnxruntime at a time where nothing asks for fewer."""


@dataclass(eq=False)
class Inference:
    """A stored network on a memory.

    Parameters
    ----------
    network
        The network.
    faults
        Which bits may flip; None for a memory that makes no errors.
    correction
        What becomes of values that cannot be right.
    images_per_load
        Images that share one read of the weights, rounded down to whole passes but for one at least. A machine reads
        them in every pass (1), but more is faster: expected accuracy stays the same, only images share their fate.
    threads
        Threads of onnxruntime.

    Attributes
    ----------
    flips
        Bits flipped and words corrected so far, by stage and tensor.
    """

    network: StoredNetwork
    faults: FaultSource | None = None
    correction: Correction = "zero"
    images_per_load: int = IMAGES_PER_LOAD
    threads: int = 1
    flips: dict[tuple[str, str], FlipCount] = field(default_factory=dict)

    @cached_property
    def _read_cells(self) -> dict[Read, FaultCells]:
        if self.faults is None:
            return {}
        found = {}
        for stage in self.network.classifier.stages:
            for root in stage.roots:
                cells = self.faults.map_cells(stage, root) if root in self.network.maps else None
                if cells is not None:
                    found[Read(stage.index, root)] = cells
        return found

    @cached_property
    def _weight_cells(self) -> dict[int, FaultCells]:
        if self.faults is None:
            return {}
        stages = self.network.classifier.stages
        found = {index: self.faults.weight_cells(stages[index]) for index in self.network.weights}
        return {index: cells for index, cells in found.items() if cells is not None}

    @cached_property
    def _sessions(self) -> list[tuple[Segment, Any]]:
        segments = cut_network(self.network, self._read_cells, self._weight_cells)
        return [(segment, open_session(segment.model, self.threads)) for segment in segments]

    @property
    def is_clean(self) -> bool:
        """Whether no bit can flip, so that onnxruntime runs the network in one piece."""
        return not self._read_cells and not self._weight_cells

    @property
    def pass_images(self) -> int:
        """Images of a pass of the machine."""
        return next((cells.batch for cells in (*self._read_cells.values(), *self._weight_cells.values())), 1)

    @property
    def batch(self) -> int:
        """Images that go through onnxruntime at a time: whole passes."""
        size = max(self.images_per_load, self.pass_images) if self._weight_cells else BATCH
        return fixed_batch(self.network.classifier) or max(size // self.pass_images, 1) * self.pass_images

    def scores(self, images: Floats, first_pass: int = 0) -> NDArray[np.float32]:
        """Scores of images, (images, classes).

        Parameters
        ----------
        images
            As the network takes them, (n, c, h, w).
        first_pass
            Number of the pass in which the first one goes; decides its flips.
        """
        size, fixed = self.batch, fixed_batch(self.network.classifier)
        weights = {index: self.network.weights[index].values.copy() for index in self._weight_cells}
        parts = []
        for start in range(0, len(images) - (len(images) % size if fixed else 0), size):
            with np.errstate(invalid="ignore"):
                parts.append(self._batch(images[start : start + size], weights, first_pass + start // self.pass_images))
        return np.concatenate(parts)

    def _batch(self, images: Floats, weights: dict[int, Floats], number: int) -> NDArray[np.float32]:
        """Scores of one batch, whose first image belongs to pass `number`."""
        restore = [(weights[index], *self._load_weights(index, weights[index], number)) for index in weights]
        image = self.network.classifier.input.name
        stored = self.network.maps[image]
        words = {image: stored.form.encode(images, stored.scale)}
        scores: NDArray[np.float32] = np.zeros(0, np.float32)
        for segment, session in self._sessions:
            feed: dict[str, Any] = {words_name(root): _numbers(words[root], self._form(root)) for root in segment.maps}
            feed |= {read.input: _numbers(self._flipped(read, words[read.root], number), self._form(read.root))
                     for read in segment.reads}  # fmt: skip
            feed |= {weight_input(index): weights[index] for index in segment.weights}
            names = [*(words_name(root) for root in segment.made), *([RESULT] if segment.last else [])]
            made = dict(zip(names, session.run(names, feed), strict=True))
            words |= {root: made[words_name(root)].view(self._form(root).word_dtype) for root in segment.made}
            scores = made.get(RESULT, scores)
        for values, positions, clean in restore:
            values.reshape(-1)[positions] = clean
        return scores.reshape(len(images), -1)

    def _form(self, root: str) -> NumberFormat:
        return self.network.maps[root].form

    def _flipped(self, read: Read, words: Words, number: int) -> Words:
        stored = self.network.maps[read.root]
        copy = words.reshape(len(words), -1).copy()
        plausible = Plausible(*stored.plausible, self.correction)
        count, _ = read_words(copy, self._read_cells[read], stored.form, plausible, number)
        self._note(read.stage, read.root, count)
        return copy.reshape(words.shape)

    def _load_weights(self, index: int, values: Floats, number: int) -> tuple[NDArray[np.int64], Floats]:
        """Change the values of a stage's weights to what one read of them gives; return what was there, and where."""
        stored = self.network.weights[index]
        encoded = stored.encoded
        elements, words = self._read_encoded(index, encoded, number) if encoded else self._read_plain(index, number)
        positions = stored.positions(elements)
        flat = values.reshape(-1)
        clean = flat[positions].copy()
        scale = np.broadcast_to(stored.scale, values.shape).reshape(-1)[positions] if stored.scale.ndim else 1.0
        flat[positions] = stored.form.decode(words, scale)
        return positions, clean

    def _read_plain(self, index: int, number: int) -> tuple[NDArray[np.int64], Words]:
        """Elements of a stage's weights, counted as (outputs, inputs), of which bits flipped, and their words."""
        stored = self.network.weights[index]
        words = self._flat_words(index)
        plausible = Plausible(*stored.plausible, self.correction)
        count, touched = read_words(words, self._weight_cells[index], stored.form, plausible, number)
        self._note(index, stored.name, count)
        elements = np.unique(touched[:, 1])
        found = words[0, elements]
        words[0, elements] = stored.words.reshape(-1)[stored.positions(elements)]
        return elements, found

    def _read_encoded(self, index: int, encoded: EncodedWeights, number: int) -> tuple[NDArray[np.int64], Words]:
        """The same of weights that are rebuilt from the bytes read; what cannot be right shows in the weights alone."""
        stored = self.network.weights[index]
        read = encoded.stored[None].copy()
        count, touched = read_words(read, self._weight_cells[index], INT8, Plausible(0, 0, "none"), number)
        elements, values = encoded.changed(read[0], np.unique(touched[:, 1]))
        words, corrected = stored.rebuilt(elements, values, self.correction)
        self._note(index, stored.name, replace(count, corrected=corrected))
        return elements, words

    def _flat_words(self, index: int) -> Words:
        """Words of a stage's weights in the order of (outputs, inputs), as one row."""
        if index not in self._words_by_output:
            stored = self.network.weights[index]
            order = stored.positions(np.arange(stored.words.size))
            self._words_by_output[index] = stored.words.reshape(-1)[order][None].copy()
        return self._words_by_output[index]

    @cached_property
    def _words_by_output(self) -> dict[int, Words]:
        return {}

    def _note(self, stage: int, tensor: str, count: FlipCount) -> None:
        key = (self.network.classifier.stages[stage].layer.name, tensor)
        self.flips[key] = self.flips.get(key, FlipCount(0, 0, 0)) + count


def _numbers(words: Words, form: NumberFormat) -> NDArray[Any]:
    return words.view(form.value_dtype)
