"""A classifier with its tensors as a machine stores them: number formats, scales, and ranges seen on clean images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx
from onnx import helper

from accelsim.mapping.element_order import WeightOrder
from accelsim.numerics.number_format import NumberFormat, format_of_bits
from accelsim.numerics.session import open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from accelsim.mapping.element_order import ElementOrder
    from accelsim.mapping.stages import Stage
    from accelsim.numerics.classifier import Classifier, WeightInput
    from accelsim.numerics.encoded_weights import EncodedWeights
    from accelsim.numerics.number_format import Correction, Words

    Floats = NDArray[np.float32]

Granularity = Literal["channel", "tensor"]
"""Whether each output channel of weights has a scale of its own, or the whole tensor has one."""

Arithmetic = Literal["float", "integer"]
"""What a network computes with."""

_CALIBRATION_BATCH = 100


@dataclass(frozen=True)
class StoredMap:
    """A feature map as it is stored.

    Parameters
    ----------
    root
        Its name in the layer graph and in the placement.
    tensor
        Its name in the ONNX model.
    form
        Number format.
    scale
        Value of one integer step; 1 for floats.
    low, high
        Least and greatest value seen on clean images.
    elements
        Elements of one image.
    """

    root: str
    tensor: str
    form: NumberFormat
    scale: float
    low: float
    high: float
    elements: int

    @property
    def plausible(self) -> tuple[int, int]:
        """Range of words as `NumberFormat.range_of` gives it."""
        return self.form.range_of(self.low, self.high)


@dataclass(frozen=True, eq=False)
class StoredWeights:
    """The weights of a stage as they are stored.

    Parameters
    ----------
    name
        Their name in the layer graph and in the placement.
    place
        Where the ONNX model takes them.
    form
        Number format.
    scale
        Value of one integer step, shaped to broadcast over `words`.
    words
        Shaped as the ONNX tensor.
    encoded
        Decomposed weights as they lie in memory; the words are then what an array makes of them.
    """

    name: str
    place: WeightInput
    form: NumberFormat
    scale: Floats
    words: Words
    encoded: EncodedWeights | None = None

    @cached_property
    def values(self) -> Floats:
        """Values that the words stand for."""
        return self.form.decode(self.words, self.scale)

    @cached_property
    def plausible(self) -> tuple[int, int]:
        """Range of words as `NumberFormat.range_of` gives it."""
        if self.form.kind == "int":
            numbers = self.words.view(self.form.value_dtype)
            return int(numbers.min()), int(numbers.max())
        return self.form.range_of(float(self.values.min()), float(self.values.max()))

    @property
    def order(self) -> ElementOrder:
        """How they lie in a memory of their own, as one tile where they are not encoded."""
        size = self.words.size
        return self.encoded.order if self.encoded else WeightOrder(1, 1, size, 1, 1, size, self.form.bits)

    def rebuilt(self, elements: NDArray[np.int64], values: Floats, correction: Correction) -> tuple[Words, int]:
        """Words that an array makes of decoded weights, and how many of them were corrected.

        Parameters
        ----------
        elements
            Which weights, counted as (outputs, inputs).
        values
            What was decoded.
        correction
            What becomes of those that cannot be right; left as they are, integers saturate.
        """
        scale = np.broadcast_to(self.scale, self.words.shape).reshape(-1)[self.positions(elements)]
        if self.form.kind == "int":
            steps = np.rint(values / scale)
            low, high = (np.float32(limit) for limit in self.plausible)
        else:
            steps, low, high = values, self.values.min(), self.values.max()
        wrong = (steps < low) | (steps > high)
        if correction == "none":
            wrong[:] = False
        mended = np.where(wrong, np.clip(steps, low, high) if correction == "saturate" else 0.0, steps)
        return self.form.encode(mended.astype(np.float32)), int(wrong.sum())

    def positions(self, elements: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where elements counted as (outputs, inputs) stand in the ONNX tensor, counted row by row."""
        if not self.place.inputs_first:
            return elements
        inputs, outputs = self.words.shape[-2:]
        row, column = np.divmod(elements, inputs)
        positions: NDArray[np.int64] = column * outputs + row
        return positions


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """A classifier with the storage of its tensors.

    Parameters
    ----------
    classifier
        What is computed.
    maps
        Feature maps that own memory, by name in the layer graph; the network's answer is not among them, it leaves as
        it is computed.
    weights
        By the index of the stage.
    arithmetic
        ``float``: stored values are computed with in float32; ``integer``: products of maps and weights of up to 8 bits
        in integers alone (`accelsim.numerics.integer_product`), everything else in float32.
    """

    classifier: Classifier
    maps: Mapping[str, StoredMap]
    weights: Mapping[int, StoredWeights]
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Formats:
    """Number formats of the tensors of a network.

    Parameters
    ----------
    of_map
        Format of a feature map, by its name in the layer graph.
    of_weights
        Format of the weights of a stage.
    """

    of_map: Callable[[str], NumberFormat]
    of_weights: Callable[[Stage], NumberFormat]

    @classmethod
    def uniform(cls, form: NumberFormat) -> Formats:
        """The same format everywhere."""
        return cls(lambda _: form, lambda _: form)

    @classmethod
    def of_bits(
        cls, map_bits: Callable[[str], int], weight_bits: Callable[[Stage], int], *, half_floats: bool = False
    ) -> Formats:
        """Formats of a machine, by the bits that its tensors have."""
        return cls(
            lambda name: format_of_bits(map_bits(name), half_floats=half_floats),
            lambda stage: format_of_bits(weight_bits(stage), half_floats=half_floats),
        )


def store_network(
    classifier: Classifier,
    formats: Formats,
    calibration: Floats,
    *,
    granularity: Granularity = "channel",
    scales: Mapping[str, float] | None = None,
    arithmetic: Arithmetic = "float",
) -> StoredNetwork:
    """Quantise a network as a machine stores it.

    Parameters
    ----------
    classifier
        The network.
    formats
        Number formats of its tensors.
    calibration
        Images as the network takes them, (n, c, h, w): the greatest magnitude that a feature map takes on them becomes
        its largest integer, and the range of its values what a controller takes for plausible.
    granularity
        Whether each output channel of weights has a scale of its own.
    scales
        Values of one integer step where they are known already, by ONNX tensor.
    arithmetic
        What the network computes with (`StoredNetwork`).
    """
    ranges = value_ranges(classifier, calibration)
    maps = {}
    for root, tensor in classifier.tensor_of.items():
        if root == classifier.result or tensor not in ranges:
            continue
        form, (low, high) = formats.of_map(root), ranges[tensor]
        given = (scales or {}).get(tensor)
        scale = float(form.scale_of(max(-low, high))) if given is None or form.kind == "float" else given
        elements = classifier.graph.tensors[root].elements
        maps[root] = StoredMap(root, tensor, form, scale, low, high, elements)
    weights = {
        index: _stored_weights(classifier, classifier.stages[index], formats.of_weights, granularity)
        for index in classifier.weights
    }
    return StoredNetwork(classifier, maps, weights, arithmetic)


def _stored_weights(
    classifier: Classifier, stage: Stage, format_of: Callable[[Stage], NumberFormat], granularity: Granularity
) -> StoredWeights:
    place, form = classifier.weights[stage.index], format_of(stage)
    values = classifier.weight_values[place.tensor]
    outputs = values.ndim - 1 if place.inputs_first else 0
    others = tuple(axis for axis in range(values.ndim) if axis != outputs or granularity == "tensor")
    scale = form.scale_of(np.abs(values).max(axis=others, keepdims=True))
    return StoredWeights(stage.layer.weight, place, form, scale, form.encode(values, scale))


def value_ranges(classifier: Classifier, images: Floats) -> dict[str, tuple[float, float]]:
    """Least and greatest value of every feature map of floats that owns memory, by ONNX tensor, on clean images.

    Others, such as what a comparison makes, are not among them: they are computed by whoever reads them.
    """
    tensors = [name for name in classifier.tensor_of.values() if name != classifier.input.name]
    model = onnx.ModelProto()
    model.CopyFrom(classifier.model)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in tensors)
    session = open_session(model)
    ranges = {classifier.input.name: (float(images.min()), float(images.max()))}
    for batch in batches(images, fixed_batch(classifier), _CALIBRATION_BATCH):
        for name, value in zip(tensors, session.run(tensors, {classifier.input.name: batch}), strict=True):
            if value.dtype != np.float32:
                continue
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, float(value.min())), max(high, float(value.max()))
    return ranges


def fixed_batch(classifier: Classifier) -> int | None:
    """Images that the model takes at a time; None for any number."""
    size = classifier.input.type.tensor_type.shape.dim[0].dim_value
    return int(size) or None


def batches(images: Floats, fixed: int | None, wanted: int) -> Iterator[Floats]:
    """Cut images into batches, of the `wanted` size where the model takes any; what does not fill one is left out."""
    size = fixed or wanted
    for start in range(0, len(images) if fixed is None else len(images) // size * size, size):
        yield images[start : start + size]
