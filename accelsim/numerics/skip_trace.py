"""Runs a gated network on labelled images, and notes what it decided for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from accelsim.errors import InputError, MissingDataError, WorkloadError
from accelsim.numerics.session import open_session
from accelsim.resources import resource_folder
from accelsim.workload.data_folder import VARIABLE, data_folder
from accelsim.workload.datasets import NORMALISATIONS, load_dataset
from accelsim.workload.decision_trace import DecisionTrace
from accelsim.workload.gated_model import DECISIONS, GatedModel
from accelsim.workload.image_files import LabelledImages, read_labelled_images
from accelsim.workload.loader import load_workload
from accelsim.workload.network_file import load_network
from accelsim.workload.onnx_build import build_onnx
from accelsim.workload.onnx_reader import parse_file

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

_BATCH = 250
"""Images at a time, as in `accelsim.numerics.evaluate`: onnxruntime may round differently with other batches."""


def load_gated_model(source: str | Path) -> GatedModel:
    """Load a gated network.

    Parameters
    ----------
    source
        ONNX file, network file (npz), name of a network that ships as such, or a workload that names an ONNX model.

    Raises
    ------
    InputError
        When there is no such network, or it has no gates.
    """
    path = Path(source)
    shipped = resource_folder("workloads") / "weights" / f"{source}.npz"
    if path.suffix.lower() != ".npz" and shipped.is_file():
        path = shipped
    if path.suffix.lower() == ".npz":
        return GatedModel(build_onnx(load_network(path)), path)
    if path.suffix.lower() != ".onnx":
        graph = load_workload(source)
        if graph.annotations.model is None:
            raise WorkloadError(
                "has shapes only, and no ONNX model with weights that could decide", where=graph.source or graph.name,
                allowed="an ONNX or network file, or a workload that names an ONNX model",
            )  # fmt: skip
        path = graph.annotations.model
    return GatedModel(parse_file(path), path)


def trace_skips(
    source: str | Path,
    data: str | Path | None = None,
    images: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> DecisionTrace:
    """Let a gated network decide on images.

    Parameters
    ----------
    source
        As `load_gated_model` takes it.
    data
        Folder of datasets, npz file or folder of labelled images; the folder of the environment where omitted.
    images
        How many, from the first; all where omitted.
    progress
        Called with the share of the images that are done.

    Raises
    ------
    InputError
        When the network has no gates, or the images do not fit it or are missing.
    """
    gated = load_gated_model(source)
    samples = _samples(gated, data)
    if images is not None:
        samples = samples.head(images)
    network = gated.where.stem
    decisions, right = _decisions(gated.model, samples, progress)
    blocks = gated.blocks()
    columns = sum(1 + block.channels for block in blocks)
    if decisions.shape[1] != columns:
        raise WorkloadError(
            f"gives out {decisions.shape[1]} decisions, but {columns} are made of its gates", where=gated.where
        )
    return DecisionTrace(network, blocks, decisions, right)


def _samples(gated: GatedModel, data: str | Path | None) -> LabelledImages:
    metadata = {entry.key: entry.value for entry in gated.model.metadata_props}
    folder, name = data_folder(data), metadata.get("dataset", "")
    if folder is None:
        raise InputError(
            "needs labelled images to decide on", where="--data", allowed=f"a folder or file, or {VARIABLE}"
        )
    if name in NORMALISATIONS and folder.is_dir():
        try:
            return LabelledImages.of_dataset(load_dataset(name, folder, "test"), metadata)
        except MissingDataError:
            if not any(entry.is_dir() for entry in folder.iterdir()):
                raise
    return read_labelled_images(folder, metadata)


def _decisions(
    model: onnx.ModelProto, samples: LabelledImages, progress: Callable[[float], None] | None
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.bool_]], np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    session = open_session(model)
    entrance = session.get_inputs()[0]
    if list(samples.shape) != list(entrance.shape[1:]):
        raise InputError(
            "images are of another shape than the network takes", where=samples.where, value=samples.shape,
            allowed=str(tuple(entrance.shape[1:])),
        )  # fmt: skip
    fixed = entrance.shape[0] if isinstance(entrance.shape[0], int) else None
    answers = next(value.name for value in session.get_outputs() if value.name != DECISIONS)
    rows, right = [], []
    for start in range(0, len(samples), fixed or _BATCH):
        values = samples.values(start, start + (fixed or _BATCH))
        count = len(values)
        if fixed and count < fixed:
            values = np.resize(values, (fixed, *values.shape[1:]))
        scores, gates = session.run([answers, DECISIONS], {entrance.name: values})
        rows.append(np.asarray(gates)[:count] > 0.5)
        right.append(np.asarray(scores)[:count].argmax(axis=1) == samples.labels[start : start + count])
        if progress:
            progress((start + count) / len(samples))
    return np.concatenate(rows), np.concatenate(right)
