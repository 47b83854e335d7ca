from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from small_models import MODELS, images, plain

from accelsim.errors import WorkloadError
from accelsim.numerics.classifier import load_classifier
from accelsim.numerics.faults import FAULT_CELL_DTYPE, FaultCells
from accelsim.numerics.inference import Inference
from accelsim.numerics.number_format import FORMATS, FP32, INT8
from accelsim.numerics.rated_faults import RatedFaults
from accelsim.numerics.segments import Read, cut_network
from accelsim.numerics.session import open_session
from accelsim.numerics.stored_network import Formats, StoredNetwork, store_network

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.mapping.stages import Stage


def stored(name: str = "plain", form: str = "int8", **options: Any) -> StoredNetwork:  # noqa: ANN401
    return store_network(load_classifier(MODELS[name]()), Formats.uniform(FORMATS[form]), images(100), **options)


def run_plainly(model: onnx.ModelProto, inputs: np.ndarray) -> np.ndarray:
    scores: np.ndarray = open_session(model).run(None, {"image": inputs})[0]
    return scores


@dataclass
class GivenFaults:
    """Cells that flip on every access, by stage and tensor: (element, bit)."""

    maps: dict[tuple[int, str], list[tuple[int, int]]]
    weights: dict[int, list[tuple[int, int]]]

    def weight_cells(self, stage: Stage) -> FaultCells | None:
        return self._cells(self.weights.get(stage.index))

    def map_cells(self, stage: Stage, root: str) -> FaultCells | None:
        return self._cells(self.maps.get((stage.index, root)))

    def _cells(self, places: list[tuple[int, int]] | None) -> FaultCells | None:
        if places is None:
            return None
        cells = np.zeros(len(places), FAULT_CELL_DTYPE)
        cells["element"], cells["bit"] = np.array(places).reshape(-1, 2).T
        cells["flip_one"] = cells["flip_zero"] = 1.0
        return FaultCells(cells, seed=0, batch=1, accesses=1)


@pytest.mark.parametrize("name", MODELS)
def test_full_precision_without_faults_is_plain_onnxruntime(name: str) -> None:
    classifier = load_classifier(MODELS[name]())
    network = store_network(classifier, Formats.uniform(FP32), images(20))
    inference = Inference(network)
    assert inference.is_clean
    assert np.array_equal(inference.scores(images(40)), run_plainly(MODELS[name](), images(40)))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", MODELS)
def test_cuts_change_nothing_where_nothing_flips(name: str, form: str) -> None:
    network = stored(name, form)
    stages = network.classifier.stages
    nothing: list[tuple[int, int]] = []
    reads = {(stage.index, root): nothing for stage in stages for root in stage.roots if root in network.maps}
    cut = Inference(network, GivenFaults(reads, dict.fromkeys(network.weights, nothing)), correction="none")
    assert len(cut._sessions) > 2
    made, whole = cut.scores(images(30)), Inference(network).scores(images(30))
    step = max(kept.scale for kept in network.maps.values()) if form.startswith("int") else 1e-2
    assert np.isclose(made, whole, rtol=1e-3, atol=1e-4).mean() > 0.9
    assert np.abs(made - whole).max() < step  # sums in another order may round to the next integer


@pytest.mark.parametrize("name", MODELS)
def test_every_stage_with_weights_is_found(name: str) -> None:
    network = stored(name)
    convolutions = [stage for stage in network.classifier.stages if stage.layer.op in {"conv", "gemm"}]
    assert sorted(network.weights) == [stage.index for stage in convolutions]
    assert network.classifier.result not in network.maps
    roots = {root for stage in network.classifier.stages for root in stage.roots}
    assert roots - {"open"} <= set(network.maps)  # which holds no floats


def test_int8_stays_near_full_precision_and_int4_does_not() -> None:
    exact = Inference(stored(form="fp32")).scores(images(100))
    error = {form: np.abs(Inference(stored(form=form)).scores(images(100)) - exact).max() for form in FORMATS}
    assert error["fp32"] == 0
    assert error["fp16"] < 0.01
    assert error["int16"] < 0.001
    assert error["int16"] < error["int8"] < 0.1 < error["int4"]


def test_a_scale_of_each_channel_is_finer_than_one_of_the_tensor() -> None:
    network = load_classifier(plain())
    exact = network.weight_values["w1"].copy()
    exact[0] *= 100
    network.weight_values["w1"] = exact
    errors = {}
    for granularity in ("channel", "tensor"):
        made = store_network(network, Formats.uniform(INT8), images(20), granularity=granularity)
        errors[granularity] = np.abs(made.weights[0].values - exact)[1:].max()
    assert errors["channel"] < errors["tensor"] / 20


# -- one flip at a time, beside what it has to give --------------------------------------------------------------------


@pytest.mark.parametrize("correction", ["none", "zero", "saturate"])
@pytest.mark.parametrize("bit", [0, 3, 6, 7])
@pytest.mark.parametrize("element", [0, 17, 107])
def test_a_flip_in_the_image_is_a_changed_image(element: int, bit: int, correction: Any) -> None:  # noqa: ANN401
    network = stored()
    inference = Inference(network, GivenFaults({(0, "image"): [(element, bit)]}, {}), correction)
    kept = network.maps["image"]
    words = INT8.encode(images(5), kept.scale)
    changed = words.reshape(5, -1)
    changed[:, element] ^= np.uint8(1 << bit)
    number = changed.view(np.int8)
    low, high = kept.plausible
    wrong = (number < low) | (number > high)
    if correction == "zero":
        number[wrong] = 0
    if correction == "saturate":
        np.clip(number, low, high, out=number)
    made = inference.scores(images(5))
    clean = Inference(network).scores(INT8.decode(words, kept.scale))
    used = number[:, element] != -128  # which no value is rounded to
    assert np.allclose(made[used], clean[used], rtol=1e-5, atol=1e-6)
    assert inference.flips["c1", "image"].flipped == 5


@pytest.mark.parametrize("name", ["plain", "matmul", "flattened"])
@pytest.mark.parametrize("form", ["int8", "fp32"])
def test_a_flip_in_weights_is_a_changed_weight(name: str, form: str) -> None:
    network = stored(name, form)
    index = max(network.weights)
    entry = network.weights[index]
    outputs = entry.words.shape[-1] if entry.place.inputs_first else entry.words.shape[0]
    inputs = entry.words.size // outputs
    row, column, bit = outputs - 1, inputs - 2, 4 if form == "int8" else 22
    inference = Inference(network, GivenFaults({}, {index: [(row * inputs + column, bit)]}), "none")
    words = entry.words.copy()
    place = (column, row) if entry.place.inputs_first else (row, column)
    words.reshape((inputs, outputs) if entry.place.inputs_first else (outputs, inputs))[place] ^= words.dtype.type(
        1 << bit
    )
    changed = replace(entry, words=words)
    expected = Inference(replace(network, weights={**network.weights, index: changed})).scores(images(8))
    assert np.allclose(inference.scores(images(8)), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(Inference(network).scores(images(8)), expected, rtol=1e-6, atol=1e-7)
    assert np.array_equal(inference.scores(images(8)), inference.scores(images(8)))  # what was changed is put back


def test_each_reader_has_flips_of_its_own() -> None:
    network = stored(form="fp32")
    reader = {stage.layer.name: stage.index for stage in network.classifier.stages}
    shortcut = GivenFaults({(reader["sum"], "r1"): [(element, 31) for element in range(8 * 36)]}, {})
    inputs, made = images(4), Inference(network, shortcut, "none").scores(images(4))
    values = open_session(_with_outputs(plain(), ["r1", "c2"])).run(["r1", "c2"], {"image": inputs})
    flat = np.maximum(values[1] - values[0], 0).reshape(4, -1)
    weights = network.classifier.weight_values["w3"]
    bias = onnx.numpy_helper.to_array(network.classifier.initializers["b3"])
    assert np.allclose(made, flat @ weights.T + bias, rtol=1e-4, atol=1e-5)


def _with_outputs(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    return model


def test_only_flipped_reads_cut_the_network() -> None:
    network = stored()
    assert len(cut_network(network)) == 1
    assert len(cut_network(network, {Read(0, "image")}, {0, 1})) == 1
    reader = {stage.layer.name: stage.index for stage in network.classifier.stages}
    assert len(cut_network(network, {Read(reader["c2"], "r1")})) == 2
    assert len(cut_network(network, {Read(reader["c2"], "r1"), Read(reader["sum"], "r1")})) == 2
    assert len(cut_network(network, {Read(reader["c2"], "r1"), Read(reader["sum"], "c2")})) == 3


# -- rates -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uniform", "bitline", "wordline"])
@pytest.mark.parametrize("form", ["fp32", "int8", "int4"])
def test_flips_follow_the_rate_of_each_tensor(form: str, kind: str) -> None:
    network = stored(form=form)
    rates = {"w2": 0.05, "r1": 0.02}
    total: dict[str, float] = {}
    expected: dict[str, float] = {}
    modules, count = 20, 10
    for seed in range(modules):
        faults = RatedFaults(network, rates, kind, seed=seed)
        inference = Inference(network, faults, images_per_load=1)
        inference.scores(images(count))
        for (_, tensor), flips in inference.flips.items():
            total[tensor] = total.get(tensor, 0) + flips.flipped
    assert set(total) == set(rates)
    reads = {"w2": 1, "r1": 2}  # the shortcut reads the map again
    for tensor, rate in rates.items():
        bits = network.weights[1].words.size if tensor == "w2" else 8 * 36
        expected[tensor] = bits * network.maps["r1"].form.bits * rate * count * modules * reads[tensor]
        weak = expected[tensor] / count / reads[tensor] / 0.5  # each weak cell flips in half of the reads
        spread = 1.0 if kind == "uniform" else 12.0  # lines differ, and few are touched here
        assert abs(total[tensor] - expected[tensor]) < 4 * spread * count * reads[tensor] * np.sqrt(weak)


def test_what_is_stored_decides_how_often_it_flips() -> None:
    network = stored(form="fp32")
    words = network.weights[1].words.reshape(-1)
    cells = RatedFaults(network, 0.05, "data_dependent").weight_cells(network.classifier.stages[1])
    assert cells is not None
    ones = (words[cells.cells["element"]] >> cells.cells["bit"].astype(np.uint32)) & 1
    chance = np.where(ones, cells.cells["flip_one"], cells.cells["flip_zero"])
    inference = Inference(network, RatedFaults(network, {"w2": 0.05}, "data_dependent"), images_per_load=1)
    inference.scores(images(100))
    flipped = inference.flips["c2", "w2"].flipped
    assert abs(flipped - 100 * chance.sum()) < 4 * np.sqrt(100 * (chance * (1 - chance)).sum())
    assert cells.cells["flip_zero"][0] > 2 * cells.cells["flip_one"][0] > 0


def test_a_lower_rate_is_never_worse_for_the_weak_cells() -> None:
    network = stored()
    stage = network.classifier.stages[1]
    few = RatedFaults(network, 0.01).weight_cells(stage)
    many = RatedFaults(network, 0.1).weight_cells(stage)
    assert few is not None
    assert many is not None
    places = [{(cell["element"], cell["bit"]) for cell in entry.cells} for entry in (few, many)]
    assert places[0] < places[1]


def test_the_same_seed_flips_the_same_bits_however_images_are_cut() -> None:
    network = stored()
    whole = Inference(network, RatedFaults(network, 0.01, seed=3), images_per_load=1).scores(images(12))
    inference = Inference(network, RatedFaults(network, 0.01, seed=3), images_per_load=1)
    parts = [inference.scores(images(12)[start : start + 4], start) for start in (0, 4, 8)]
    assert np.array_equal(whole, np.concatenate(parts))
    other = Inference(network, RatedFaults(network, 0.01, seed=4), images_per_load=1).scores(images(12))
    assert not np.array_equal(whole, other)


def test_images_that_share_a_read_of_the_weights_share_its_flips() -> None:
    network = stored()
    rates = {"w2": 0.05}
    same = np.repeat(images(1), 6, axis=0)
    shared = Inference(network, RatedFaults(network, rates), images_per_load=3).scores(same)
    assert np.array_equal(shared[0], shared[2])
    assert not np.array_equal(shared[2], shared[3])
    own = Inference(network, RatedFaults(network, rates), images_per_load=1).scores(same)
    assert len(np.unique(own, axis=0)) == 6


def test_zero_rates_are_clean() -> None:
    network = stored()
    assert Inference(network, RatedFaults(network, 0.0)).is_clean
    assert "w1" in RatedFaults(network, 0.0).tensors


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_model_of_a_fixed_batch_takes_as_many_images_at_a_time() -> None:
    network = store_network(load_classifier(plain(batch=1)), Formats.uniform(FP32), images(5))
    free = store_network(load_classifier(plain()), Formats.uniform(FP32), images(5))
    faults = GivenFaults({(1, "r1"): [(3, 20)]}, {1: [(5, 22)]})
    assert np.allclose(
        Inference(network, faults).scores(images(6)), Inference(free, faults).scores(images(6)), rtol=1e-5, atol=1e-6
    )


def test_a_file_of_old_operators_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.onnx"
    path.write_bytes(plain(opset=11).SerializeToString())
    network = store_network(load_classifier(path), Formats.uniform(INT8), images(5))
    assert Inference(network).scores(images(3)).shape == (3, 4)


def test_two_inputs_are_refused() -> None:
    model = plain()
    model.graph.input.append(onnx.helper.make_tensor_value_info("other", 1, ["n", 8, 6, 6]))
    model.graph.node[3].input[1] = "other"
    with pytest.raises(WorkloadError, match="accuracy needs a network of one input"):
        load_classifier(model)
