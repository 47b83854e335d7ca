"""Records the feature maps of an ONNX network on given samples, as the integers that a machine stores.

What is written is what an annotated workload's key `tensors` reads: arrays of integers by the names that the layer
graph has for its feature maps. Arrays that skip zeros or count bits take their cycles from them.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accelsim.atomic_file import written_whole
from accelsim.errors import InputError, WorkloadError
from accelsim.mapping.stages import plan_stages
from accelsim.numerics.session import open_session
from accelsim.workload.onnx_reader import parse_file
from accelsim.workload.operators import Conv, Gemm, MatMul

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from accelsim.workload.graph import LayerGraph

    Array = np.ndarray[Any, np.dtype[Any]]

LARGEST = 127
_BATCH = 25


def record_feature_maps(graph: LayerGraph, images: Path | None, samples: int) -> dict[str, Array]:
    """Run a network on samples and keep what its matrix layers read and make, and all that it keeps between layers.

    A feature map that the network itself quantises is recorded as it quantises it, less the zero point, so that 0
    stands for 0. Every other becomes int8, its greatest magnitude on these samples being 127.

    Parameters
    ----------
    graph
        A network that came from an ONNX file.
    images
        npz file: ``images`` or an array by the name of each input of the network; float32 as the network takes them,
        or bytes (n, height, width, channels) that are divided by 255 and brought to mean and standard deviation as
        the file's metadata say. The images of the workload where None.
    samples
        How many of them, from the first.

    Returns
    -------
    dict of arrays
        ``(samples, ...)`` by the name of the feature map.

    Raises
    ------
    WorkloadError
        When the network has no ONNX file, or computes what is not finite.
    InputError
        When the images cannot be read or are not those of this network.
    """
    path = graph.annotations.model
    if path is None:
        raise WorkloadError("has no values to compute with", where=graph.source or graph.name,
                            allowed="a network from an ONNX file")  # fmt: skip
    source = images or graph.annotations.images
    if source is None:
        raise InputError("is needed: the workload names no images", where="--images", allowed="an npz file")
    model = parse_file(path)
    if model.functions:
        from onnx import inliner  # models with functions are rare

        model = inliner.inline_local_functions(model)
    onnx.load_external_data_for_model(model, str(path.parent))
    recorder = _Recorder(model, path)
    feeds = recorder.read_samples(source, samples)
    return recorder.record([name for name in _wanted(graph) if name in recorder.known], feeds)


def write_tensors(tensors: Mapping[str, Array], path: Path) -> None:
    """Write recorded feature maps as npz.

    Raises
    ------
    InputError, RunError
        When the file cannot be written.
    """
    with written_whole(path, "--out") as part, part.open("wb") as file:
        np.savez_compressed(file, **{name: tensors[name] for name in tensors})  # type: ignore[arg-type]


def _wanted(graph: LayerGraph) -> list[str]:
    """Feature maps that matrix layers read and those that a machine keeps: what leaves its layer through fused ones."""
    stages, _ = plan_stages(graph, dict.fromkeys(graph.tensors, 0))
    kept = {tensor.name for tensor in graph.inputs} | {stage.output for stage in stages}
    kept -= {tensor.name for tensor in graph.outputs}
    read = {name for layer in graph.layers if isinstance(layer.operator, Conv | Gemm | MatMul) for name in layer.inputs}
    return [name for name in graph.tensors if name in read or name in kept]


@dataclass(frozen=True, eq=False)
class _Recorder:
    model: onnx.ModelProto
    path: Path

    @property
    def stored(self) -> dict[str, TensorProto]:
        return {tensor.name: tensor for tensor in self.model.graph.initializer}

    @property
    def inputs(self) -> list[onnx.ValueInfoProto]:
        stored = self.stored
        return [value for value in self.model.graph.input if value.name not in stored]

    @property
    def known(self) -> set[str]:
        """Tensors that can be asked for."""
        made = {name for node in self.model.graph.node for name in node.output}
        return made | {value.name for value in self.inputs}

    def read_samples(self, source: Path, samples: int) -> dict[str, Array]:
        """Arrays for the inputs of the network, `samples` long or as long as there are."""
        try:
            with np.load(source, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except FileNotFoundError:
            raise InputError("no such file", where=source) from None
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, TypeError, AttributeError):
            raise InputError("is no npz file, or is damaged", where=source) from None
        feeds = {}
        for value in self.inputs:
            key = value.name if value.name in arrays else "images"
            if key not in arrays or (key == "images" and len(self.inputs) > 1):
                one = "'images', or an array by the name of the input"
                raise InputError("has no array for this input of the network", where=source, key=value.name,
                                 allowed=one if len(self.inputs) == 1 else "arrays named as the inputs")  # fmt: skip
            feeds[value.name] = self._as_taken(value, arrays[key][:samples], source, key)
        return feeds

    def _as_taken(self, value: onnx.ValueInfoProto, array: Array, source: Path, key: str) -> Array:
        kind = value.type.tensor_type
        wanted = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if array.dtype == np.uint8 and wanted == np.float32 and array.ndim == 4:
            array = np.moveaxis(self._normalised(array, source, key), -1, 1)
        shape = [dim.dim_value or None for dim in kind.shape.dim]
        fits = array.ndim == len(shape) and len(array) and all(
            want in (None, size) for want, size in zip(shape[1:], array.shape[1:], strict=True)
        )  # fmt: skip
        if array.dtype != wanted or not fits:
            allowed = f"{wanted} (n, {', '.join(str(size or '?') for size in shape[1:])})"
            raise InputError("is no input of this network", where=source, key=key,
                             value=f"{array.dtype}{array.shape}", allowed=allowed)  # fmt: skip
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise InputError("holds values that are not finite", where=source, key=key)
        return np.ascontiguousarray(array)

    def _normalised(self, images: Array, source: Path, key: str) -> Array:
        notes = {entry.key: entry.value for entry in self.model.metadata_props}
        scaled: Array = images.astype(np.float32) / np.float32(255)
        try:
            mean, deviation = (
                np.asarray(json.loads(notes.get(name, plain)), np.float32)
                for name, plain in (("mean", "0"), ("std", "1"))
            )
            return (scaled - mean) / deviation
        except (ValueError, TypeError):
            raise InputError("does not fit mean and std of the network's metadata", where=source, key=key,
                             value=images.shape) from None  # fmt: skip

    def record(self, names: list[str], feeds: dict[str, Array]) -> dict[str, Array]:
        quantisers = self._quantisers(set(names))
        asked = {name: quantisers[name][0] if name in quantisers else name for name in names}
        given = {name for name in asked.values() if name in feeds}
        outputs = list(dict.fromkeys(name for name in asked.values() if name not in given))
        found = {name: feeds[name] for name in given} | self._run(outputs, feeds)
        return {
            name: _less(found[asked[name]], quantisers[name][1])
            if name in quantisers
            else self._rounded(found[name], name)
            for name in names
            if found[asked[name]].ndim
        }

    def _quantisers(self, names: set[str]) -> dict[str, tuple[str, int]]:
        """Of the feature maps that the network quantises: the integers it makes of them, and their zero point."""
        stored, found = self.stored, {}
        for node in self.model.graph.node:
            if node.op_type == "QuantizeLinear" and node.input[0] in names:
                zero = node.input[2] if len(node.input) > 2 else ""
                if not zero or (zero in stored and numpy_helper.to_array(stored[zero]).size == 1):
                    point = int(numpy_helper.to_array(stored[zero]).ravel()[0]) if zero else 0
                    found[node.input[0]] = (node.output[0], point)
        return found

    def _run(self, outputs: list[str], feeds: dict[str, Array]) -> dict[str, Array]:
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        del model.graph.output[:]
        model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
        count = min(len(array) for array in feeds.values())
        fixed = max((value.type.tensor_type.shape.dim[0].dim_value for value in self.inputs), default=0)
        step = fixed or _BATCH
        if count < step and fixed:
            raise InputError("gives fewer samples than the network takes at once", where="--samples", value=count,
                             allowed=f"at least {fixed}")  # fmt: skip
        try:
            session = open_session(model)
            parts = [
                session.run(outputs, {name: array[start : start + step] for name, array in feeds.items()})
                for start in range(0, count // step * step if fixed else count, step)
            ]
        except Exception as problem:  # onnxruntime has exceptions of its own for each cause
            reason = str(problem).splitlines()[0]
            raise WorkloadError(f"onnxruntime cannot run it: {reason}", where=self.path) from None
        return {name: np.concatenate([np.atleast_1d(part[i]) for part in parts]) for i, name in enumerate(outputs)}

    def _rounded(self, values: Array, name: str) -> Array:
        if np.issubdtype(values.dtype, np.integer):
            return values
        if not np.isfinite(values).all():
            raise WorkloadError("becomes infinite or no number on these samples", where=self.path, key=name)
        peak = float(np.abs(values).max(initial=0.0))
        steps = values / np.float32(peak / LARGEST) if peak > 0 else values
        return np.clip(np.rint(steps), -LARGEST, LARGEST).astype(np.int8)


def _less(values: Array, zero: int) -> Array:
    if zero == 0:
        return values
    moved = values.astype(np.int32) - zero
    return moved.astype(np.int8 if moved.min() >= -128 and moved.max() <= 127 else np.int16)
