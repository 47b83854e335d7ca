"""Inference flips the bits of the addresses that the mapping fetches, and the run counts the same flips."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small_models import SIDE, flattened, images, plain, wide

from accelsim.config.loader import load_hardware
from accelsim.hardware.dram.bit_error_rate import rate_at_reduction
from accelsim.hardware.dram.bit_flips import draw_flips
from accelsim.hardware.dram.controller import Dram
from accelsim.hardware.dram.error_model import expected_bit_error_rate
from accelsim.hardware.dram.read_errors import ReadErrors
from accelsim.hardware.pe_array import build_array
from accelsim.mapping.network import map_network
from accelsim.numerics.classifier import load_classifier
from accelsim.numerics.inference import Inference
from accelsim.numerics.placed_faults import PlacedFaults
from accelsim.numerics.stored_network import Formats, StoredNetwork, store_network
from accelsim.pipeline import memory_interface
from accelsim.simulation.flip_count import count_flips
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.mapping.network import NetworkMapping
    from accelsim.workload.graph import LayerGraph

EVERYWHERE = "dram.partitions=[{name: all, operating_point: {vdd_v: 0.9}}]"
CHIP_IS_SMALL = ["mapping.keep_on_chip=false"]
WHOLE_IMAGE = "mapping.layers={c1: {m: 108, n: 8, k: 27, order: mnk}}"  # in one piece, or rows would be fetched twice


def errors_of(model: str = "uniform") -> str:
    return f"dram.bit_errors={{table: eden_table3, model: {model}}}"


def mapped(
    graph: LayerGraph, *overrides: str, batch: int = 1, seed: int = 0, hardware: str = "systolic_32x32"
) -> tuple[NetworkMapping, ReadErrors]:
    config = load_hardware(hardware, [*CHIP_IS_SMALL, *overrides])
    memory = Dram(config.dram)
    mapping = map_network(graph.with_batch(batch), config, memory_interface(config, memory), build_array(config))
    assert config.dram.bit_errors is not None
    return mapping, ReadErrors(memory.spec, config.dram.bit_errors, seed)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> LayerGraph:
    path = tmp_path_factory.mktemp("model") / "plain.onnx"
    path.write_bytes(plain().SerializeToString())
    return load_workload(path)


def stored(mapping: NetworkMapping) -> StoredNetwork:
    model = mapping.graph.annotations.model
    assert model is not None
    classifier = load_classifier(model, mapping.graph, (mapping.stages, mapping.parts_of))
    formats = Formats.of_bits(mapping.bits_of.__getitem__, lambda stage: mapping.weights[stage.index].order.bits)
    return store_network(classifier, formats, images(20))


def flipped(mapping: NetworkMapping, errors: ReadErrors, count: int = 1, first: int = 0, **options: Any) -> Inference:  # noqa: ANN401
    inference = Inference(stored(mapping), PlacedFaults(mapping, errors), images_per_load=1, **options)
    inference.scores(images(count), first)
    return inference


@pytest.mark.parametrize("model", ["uniform", "bitline", "wordline"])
def test_the_run_counts_what_inference_flips(graph: LayerGraph, model: str) -> None:
    mapping, errors = mapped(graph, EVERYWHERE, errors_of(model), WHOLE_IMAGE)
    inference = flipped(mapping, errors)
    counted = count_flips(mapping.tiles, errors).sum(axis=1)
    by_stage = {stage.layer.name: 0 for stage in mapping.stages}
    for (layer, _), flips in inference.flips.items():
        by_stage[layer] += flips.flipped
    assert sum(by_stage.values()) > 50
    assert [by_stage[stage.layer.name] for stage in mapping.stages] == counted.tolist()


def test_a_tile_that_is_fetched_again_keeps_its_first_bits(graph: LayerGraph) -> None:
    """What an odd tiling fetches twice is counted twice and used once."""
    small = ["sram.global_buffer.capacity_kib=0.5", "sram.weight_buffer.capacity_kib=0.25"]
    small.append("sram.accumulator.capacity_kib=1")
    mapping, errors = mapped(graph, EVERYWHERE, errors_of(), *small)
    faults = PlacedFaults(mapping, errors)
    fetched = sum(int(tiles.fetch.tile_bytes.sum()) for stage in mapping.tiles for tiles in stage.inputs)
    once = sum(int((first >= 0).sum()) for first in faults.first_accesses.values())
    assert fetched > once
    inference = flipped(mapping, errors)
    used = sum(flips.flipped for flips in inference.flips.values())
    assert 0 < used < count_flips(mapping.tiles, errors).sum()


def test_weights_flip_where_their_tiles_lie(graph: LayerGraph) -> None:
    """Bytes that are built tile by tile, drawn by the plain kernel, beside what inference flips."""
    tiles = {"c2": {"m": 36, "n": 3, "k": 20, "order": "mnk"}}
    mapping, errors = mapped(graph, EVERYWHERE, errors_of(), f"mapping.layers={tiles}".replace("'", ""))
    network, faults = stored(mapping), PlacedFaults(mapping, errors)
    stage = next(stage for stage in mapping.stages if stage.layer.name == "c2")
    entry, region = network.weights[stage.index], mapping.placement.regions["w2"]
    matrix = entry.words.reshape(8, -1)
    cuts = [(n, k) for n in (0, 3, 6) for k in (0, 20, 40, 60)]
    in_memory = np.concatenate([matrix[n : n + 3, k : k + 20].ravel() for n, k in cuts])
    assert len(in_memory) == region.size_bytes
    access = faults.first_accesses[stage.index, "w2"]
    model = errors.models[-1]
    assert model is not None
    cells = errors.region(region.address, region.size_bytes)
    masks = {
        number: draw_flips(model, cells, in_memory, seed=errors.seed, access=number) for number in set(access.tolist())
    }
    read = in_memory ^ np.array([masks[number][byte] for byte, number in enumerate(access.tolist())])
    expected = matrix.copy()
    place = 0
    for n, k in cuts:
        part = expected[n : n + 3, k : k + 20]
        part[...] = read[place : place + part.size].reshape(part.shape)
        place += part.size
    assert (expected != matrix).any()
    inference = Inference(network, faults, "none", images_per_load=1)
    values = {stage.index: entry.values.copy()}
    inference._load_weights(stage.index, values[stage.index], 0)
    wanted = entry.form.decode(expected.reshape(entry.words.shape), entry.scale)
    assert np.array_equal(values[stage.index], wanted)


def test_maps_flip_pixel_by_pixel(graph: LayerGraph) -> None:
    mapping, errors = mapped(graph, EVERYWHERE, errors_of(), batch=2)
    network, faults = stored(mapping), PlacedFaults(mapping, errors)
    region = mapping.placement.regions["r1"]
    stage = next(stage for stage in mapping.stages if stage.layer.name == "c2")
    words = np.random.default_rng(0).integers(0, 100, (2, 8, SIDE, SIDE)).astype(np.uint8)
    in_memory = words.transpose(0, 2, 3, 1).ravel()
    cells = errors.region(region.address, region.size_bytes)
    access = faults.first_accesses[stage.index, "r1"]
    model = errors.models[-1]
    assert model is not None
    read = in_memory.copy()
    for number in set(access.tolist()):
        mask = draw_flips(model, cells, in_memory, seed=errors.seed, access=faults.accesses * 3 + number)
        read[access == number] ^= mask[access == number]
    inference = Inference(network, faults, "none")
    made = inference._flipped(next(read for read in inference._read_cells if read.stage == stage.index), words, 3)
    assert np.array_equal(made, read.reshape(2, SIDE, SIDE, 8).transpose(0, 3, 1, 2))
    assert not np.array_equal(made, words)


def test_flips_agree_with_the_rate_of_the_partition_of_each_tensor(graph: LayerGraph) -> None:
    """By tensor and by partition, within four standard deviations, over modules."""
    partitions = (
        "dram.partitions=[{name: low, operating_point: {vdd_v: 0.9}}, "
        "{name: lower, scope: {bank: 4}, operating_point: {vdd_v: 0.85}}]"
    )
    mapping, errors = mapped(graph, partitions, errors_of())
    modules, passes = 20, 5
    total: dict[str, int] = {}
    for seed in range(modules):
        here = replace(errors, seed=seed)
        for (_, tensor), flips in flipped(mapping, here, passes).flips.items():
            total[tensor] = total.get(tensor, 0) + flips.flipped
    reads: dict[str, list[int]] = {}
    for (_, name), first in PlacedFaults(mapping, errors).first_accesses.items():
        reads.setdefault(name, []).append(int((first >= 0).sum()))
    by_point: dict[int, list[float]] = {}
    for name, number in total.items():
        region = mapping.placement.regions[name]
        (point,) = set(errors.points_of(errors.region(region.address, region.size_bytes)).tolist())
        model = errors.models[point]
        assert model is not None
        rate, size = expected_bit_error_rate(model), 8 * max(reads[name])
        times = passes * len(reads[name])
        expected = size * rate * times * modules
        # weak cells (twice the rate) are drawn once a module, each then flips in half of the reads
        variance = 2 * rate * size * modules * (times**2 / 4 + times / 4)
        assert abs(number - expected) < 4 * math.sqrt(variance)
        sums = by_point.setdefault(point, [0.0, 0.0, 0.0])
        for index, term in enumerate((number, expected, variance)):
            sums[index] += term
    assert len(by_point) == 2
    for observed, wanted, spread in by_point.values():
        assert abs(observed - wanted) < 4 * math.sqrt(spread)


def test_a_tensor_in_another_partition_has_its_errors(graph: LayerGraph) -> None:
    """The voltage of a bank that holds a tensor is its rate; of a bank that does not, nothing."""
    mapping, errors = mapped(graph, EVERYWHERE, errors_of())
    region = mapping.placement.regions["w2"]
    banks = set(errors.region(region.address, region.size_bytes).bank.tolist())
    other = min(
        set(range(16))
        - {
            int(bank)
            for name in mapping.placement.regions
            for bank in errors.region(
                mapping.placement.regions[name].address, mapping.placement.regions[name].size_bytes
            ).bank
        }
    )
    counts = {}
    for bank in (min(banks), other):
        partition = f"dram.partitions=[{{name: one, scope: {{bank: {bank}}}, operating_point: {{vdd_v: 0.85}}}}]"
        moved, here = mapped(graph, partition, errors_of())
        assert moved.placement == mapping.placement
        counts[bank] = sum(flips.flipped for flips in flipped(moved, here, 20).flips.values())
    assert counts[min(banks)] > 100
    assert counts[other] == 0
    assert rate_at_reduction("eden_table3", vdd_reduction_v=0.35) > 0


@pytest.mark.parametrize(
    ("model", "lines"), [("bitline", "bit"), ("wordline", "row"), ("uniform", "bit"), ("uniform", "row")]
)
def test_flips_concentrate_on_the_lines_of_the_error_model(tmp_path: Path, model: str, lines: str) -> None:
    """Chi-square of the flips per line against one rate for all: chance for model 0, far beyond it for 1 and 2."""
    path = tmp_path / "wide.onnx"
    path.write_bytes(wide().SerializeToString())
    rows_in_one_bank = "dram.address_map=ChRaBaRoCo"
    mapping, errors = mapped(load_workload(path), EVERYWHERE, errors_of(model), rows_in_one_bank)
    inference = flipped(mapping, errors)
    read: dict[int, int] = {}
    seen: dict[int, int] = {}
    drawn = 0
    for (stage, name), first in PlacedFaults(mapping, errors).first_accesses.items():
        region = mapping.placement.regions[name]
        cells = errors.region(region.address, region.size_bytes)
        assert set(cells.bank.tolist()) == {0}
        bit = np.concatenate([np.arange(c, c + s) for c, s in zip(cells.byte_column, cells.size_bytes, strict=True)])
        row = np.repeat(cells.row, cells.size_bytes)
        for access in np.unique(first[first >= 0]).tolist():
            place = np.flatnonzero(first == access)
            mask = errors.flips(cells, None, access)[place]
            drawn += int(np.bitwise_count(mask).sum())
            for number in range(8):
                line = bit[place] * 8 + number if lines == "bit" else row[place]
                for key, amount in zip(*np.unique(line, return_counts=True), strict=True):
                    read[int(key)] = read.get(int(key), 0) + int(amount)
                hit = (mask >> number) & 1 == 1
                for key, amount in zip(*np.unique(line[hit], return_counts=True), strict=True):
                    seen[int(key)] = seen.get(int(key), 0) + int(amount)
        assert stage in range(len(mapping.stages))
    assert drawn == sum(flips.flipped for flips in inference.flips.values())  # these are the flips that inference used
    share = drawn / sum(read.values())
    expected = np.array([read[key] * share for key in read])
    observed = np.array([seen.get(key, 0) for key in read])
    chi_square = float(((observed - expected) ** 2 / (expected * (1 - share))).sum())  # of bits
    spread = math.sqrt(2 * (len(read) - 1) + float((1 / expected).sum()))  # few flips in each line
    excess = (chi_square - (len(read) - 1)) / spread
    assert abs(excess) < 4 if model == "uniform" else excess > 20


def test_nothing_flips_above_specification(graph: LayerGraph) -> None:
    mapping, errors = mapped(graph, errors_of())
    assert flipped(mapping, errors).is_clean


def test_maps_that_stay_on_chip_do_not_flip(graph: LayerGraph) -> None:
    mapping, errors = mapped(graph, EVERYWHERE, errors_of(), "mapping.keep_on_chip=true")
    inference = flipped(mapping, errors)
    assert {tensor for _, tensor in inference.flips} <= {"image", "w1", "w2", "w3"}
    assert len(inference._sessions) == 1


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_is_one_pass(graph: LayerGraph, batch: int) -> None:
    mapping, errors = mapped(graph, EVERYWHERE, errors_of(), WHOLE_IMAGE, batch=batch)
    inference = flipped(mapping, errors, 6)
    assert inference.flips["c1", "w1"].passes == inference.flips["c1", "image"].passes == 6 // batch
    counted = count_flips(mapping.tiles, errors).sum()
    first = flipped(mapping, errors, batch)
    assert sum(flips.flipped for flips in first.flips.values()) == counted


def test_shared_weights_of_two_layers_flip_apart(tmp_path: Path) -> None:
    path = tmp_path / "shared.onnx"
    path.write_bytes(flattened().SerializeToString())
    mapping, errors = mapped(load_workload(path), EVERYWHERE, errors_of())
    faults = PlacedFaults(mapping, errors)
    first, second = (faults.weight_cells(stage) for stage in mapping.stages[:2])
    assert first is not None
    assert second is not None
    assert np.array_equal(first.cells["element"], second.cells["element"])  # one place, the same weak cells
    assert not np.array_equal(first.cells["access"], second.cells["access"])  # read at two times
