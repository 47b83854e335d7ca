"""Accuracy of a simulated run: labelled images through the network, with the errors of the memory it lies in."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import InputError, MissingDataError
from accelsim.numerics.accuracy import check_images, count_plain, measure_accuracy
from accelsim.numerics.classifier import load_classifier
from accelsim.numerics.decoded_weights import decoded_arrays
from accelsim.numerics.placed_faults import PlacedFaults, encoded_weights
from accelsim.numerics.stored_network import Formats, store_network
from accelsim.result import AccuracyResult
from accelsim.workload.data_folder import VARIABLE, data_folder
from accelsim.workload.datasets import NORMALISATIONS, load_dataset
from accelsim.workload.image_files import LabelledImages, read_labelled_images
from accelsim.workload.onnx_reader import parse_file

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from pathlib import Path

    from accelsim.hardware.dram.read_errors import ReadErrors
    from accelsim.mapping.network import NetworkMapping
    from accelsim.numerics.accuracy import Accuracy
    from accelsim.numerics.accuracy_request import AccuracyRequest
    from accelsim.numerics.classifier import Classifier
    from accelsim.numerics.stored_network import Arithmetic, StoredNetwork
    from accelsim.workload.graph import LayerGraph

    CleanAccuracies = MutableMapping[str, AccuracyResult]
    """Accuracies of networks on memories without errors, by what they follow from."""

_CALIBRATION = 500  # images that scales and plausible ranges are learnt on


def find_images(graph: LayerGraph, request: AccuracyRequest) -> LabelledImages | None:
    """Find the images that accuracy is measured on; None where there are none and nobody asked for any.

    They are those of the request; else those that the workload names; else the test set of the dataset that the ONNX
    model names in its metadata, in the folder of datasets.

    Raises
    ------
    MissingDataError
        When accuracy was asked for, by itself or by naming data, and the test set is in no folder.
    InputError
        When it was asked for and something else is missing, or a file is damaged.
    """
    model, stated = graph.annotations.model, graph.annotations.images
    asked = bool(request.wanted) or request.data is not None
    if model is None:
        if asked:
            raise _refusal(graph, "it has shapes only, and no ONNX model with weights", "an ONNX workload")
        return None
    if request.data is None and stated is None and not asked and data_folder() is None:
        return None
    metadata = {entry.key: entry.value for entry in parse_file(model).metadata_props}
    name = metadata.get("dataset", "")
    if request.data is not None:
        found = _test_set(name, request.data, metadata)
        return read_labelled_images(request.data, metadata) if found is None else found
    if stated is not None:
        return read_labelled_images(stated, metadata)
    folder = data_folder()
    if not asked:
        return None if folder is None else _test_set(name, folder, metadata)
    allowed = f"--data, {VARIABLE}, or a workload file with the key images"
    if not name:
        raise _refusal(graph, "nothing names its images", allowed)
    if folder is None:
        missing = f"its test images of {name} are in no folder that was named"
        raise _refusal(graph, missing, allowed, MissingDataError)
    return LabelledImages.of_dataset(load_dataset(name, folder, "test"), metadata)


def _refusal(graph: LayerGraph, missing: str, allowed: str, kind: type[InputError] = InputError) -> InputError:
    return kind(f"accuracy cannot be measured: {missing}", where=graph.source or graph.name, allowed=allowed)


def _test_set(name: str, folder: Path, metadata: dict[str, str]) -> LabelledImages | None:
    """Test images of a dataset that has a name; None where a folder does not have them."""
    if name not in NORMALISATIONS or not folder.is_dir():
        return None
    try:
        return LabelledImages.of_dataset(load_dataset(name, folder, "test"), metadata)
    except MissingDataError:
        return None


def measure_run(
    mapping: NetworkMapping,
    errors: ReadErrors | None,
    images: LabelledImages,
    request: AccuracyRequest,
    progress: Callable[[float], None] | None = None,
    known: CleanAccuracies | None = None,
) -> AccuracyResult:
    """Measure the accuracy of a mapped network on a memory.

    Parameters
    ----------
    mapping
        The network on the machine; its tensors are stored with the bits, and at the addresses, that it says.
    errors
        The memory's errors; None where no bit flips.
    images
        Labelled images; scales are learnt on those behind the samples, or on samples where there are none behind.
    request
        How to measure.
    progress
        Called with the share of the work that is done.
    known
        Accuracies without errors that are known from before, by what they follow from; those measured are added.
    """
    faulty = errors is not None and any(part is not None for part in errors.models)
    key = _clean_key(mapping, images, request) if known is not None else ""
    clean = known.get(key) if known is not None else None
    if clean is not None and not faulty:
        return clean
    network = store_mapped(
        mapping, images, request.samples, half_floats=request.half_floats, arithmetic=request.arithmetic
    )
    classifier, samples = network.classifier, images.head(request.samples)
    check_images(classifier, samples)
    if clean is None:
        baseline = count_plain(_as_it_came(mapping, classifier), samples, request.threads).top1
        found = measure_accuracy(
            network, samples, lambda _: None, threads=request.threads, progress=None if faulty else progress
        )
        clean = _result(baseline, found.top1, found)
        if known is not None:
            known[key] = clean
    if errors is None or not faulty:
        return clean
    seeds = range(errors.seed, errors.seed + request.seeds)
    found = measure_accuracy(
        network, samples, lambda seed: PlacedFaults(mapping, replace(errors, seed=seed)), seeds,
        correction=request.correction, progress=progress, images_per_load=request.images_per_load,
        threads=request.threads,
    )  # fmt: skip
    return _result(clean.baseline, clean.value, found)


def _as_it_came(mapping: NetworkMapping, classifier: Classifier) -> Classifier:
    """The network before its weights were decomposed."""
    model = mapping.graph.annotations.model
    if model is None or not decoded_arrays(mapping.graph):
        return classifier
    return load_classifier(model, mapping.graph, (mapping.stages, mapping.parts_of), decoded=False)


def _clean_key(mapping: NetworkMapping, images: LabelledImages, request: AccuracyRequest) -> str:
    """Name what the accuracy of a network without errors follows from: its file, its number formats and the images."""
    digest = hashlib.sha256()
    model = mapping.graph.annotations.model
    if model is not None:
        digest.update(model.read_bytes())
    for array in (*decoded_arrays(mapping.graph).values(), images.images, images.labels):
        digest.update(f"{array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    weight_bits = [(stage, mapping.weights[stage].order.bits) for stage in sorted(mapping.weights)]
    bits = sorted(mapping.bits_of.items()), weight_bits
    how = (request.samples, request.half_floats, request.arithmetic, images.normalisation, mapping.graph.batch)
    digest.update(repr((bits, how)).encode())
    return digest.hexdigest()


def _result(baseline: float, clean: float, found: Accuracy) -> AccuracyResult:
    low, high = found.interval()
    flips: dict[str, dict[str, float]] = {}
    for (layer, tensor), count in found.flips_per_pass().items():
        flips.setdefault(layer, {})[tensor] = count
    return AccuracyResult(
        metric="top1",
        baseline=baseline,
        value=found.top1,
        samples=found.images,
        ci95_low=low,
        ci95_high=high,
        clean=clean,
        top5=found.top5,
        seeds=len(found.counts),
        flips_per_pass=flips,
    )


def store_mapped(
    mapping: NetworkMapping,
    images: LabelledImages,
    samples: int,
    *,
    half_floats: bool = False,
    arithmetic: Arithmetic = "float",
) -> StoredNetwork:
    """Store a network as the machine that it is mapped on stores it.

    Parameters
    ----------
    mapping
        The network on the machine.
    images
        Labelled images; scales are learnt on those behind the first `samples`, or on these where few are behind.
    samples
        Images that accuracy will be measured on.
    half_floats
        Whether tensors of 16 bits hold floats rather than integers.
    arithmetic
        What the network computes with.

    Raises
    ------
    InputError
        When the network is one of shapes alone.
    """
    model = mapping.graph.annotations.model
    if model is None:
        raise InputError("accuracy cannot be measured without an ONNX model", where=mapping.graph.name)
    classifier = load_classifier(model, mapping.graph, (mapping.stages, mapping.parts_of))
    behind = max(len(images) - _CALIBRATION, min(samples, len(images)))
    calibration = images.values(behind) if len(images) - behind >= _CALIBRATION // 2 else images.values(0, _CALIBRATION)
    formats = Formats.of_bits(
        mapping.bits_of.__getitem__, lambda stage: mapping.weights[stage.index].order.bits, half_floats=half_floats
    )
    network = store_network(classifier, formats, calibration, arithmetic=arithmetic)
    weights = {
        index: replace(stored, encoded=encoded_weights(mapping, classifier.stages[index]))
        for index, stored in network.weights.items()
    }
    return replace(network, weights=weights)
