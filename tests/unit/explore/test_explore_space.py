from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from spaces import small_space, write_space

from accelsim.config.loader import list_presets
from accelsim.errors import InputError
from accelsim.explore.evaluation import evaluate
from accelsim.explore.fidelity import FidelityPlan
from accelsim.explore.metrics import METRICS, area_table
from accelsim.explore.preparation import check_space, task_of
from accelsim.explore.space_file import load_space
from accelsim.resources import resource_folder

if TYPE_CHECKING:
    from pathlib import Path

SPACES = [preset.name for preset in list_presets("spaces")]


def refusal(folder: Path, **changes: Any) -> str:  # noqa: ANN401 - what YAML holds
    with pytest.raises(InputError) as caught:
        check_space(small_space(folder, **changes), FidelityPlan())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", SPACES)
def test_spaces_that_ship_are_sound(name: str) -> None:
    space = load_space(name)
    assert space.description
    check_space(space, FidelityPlan())


def test_a_point_becomes_a_machine(tmp_path: Path) -> None:
    space = small_space(
        tmp_path,
        changes={"dram": {"partitions": [{"name": "all"}]}},
        parameters={"pe_array.rows": [8], "dram.partitions.0.operating_point.vdd_v": [1.1]},
        derived={"pe_array.cols": "pe_array.rows * 2", "vector_unit.lanes": "pe_array.cols"},
        constraints=["pe_array.cols >= 16", "sram_kib <= 1000", "latency_ns <= 5e6"],
    )
    point: dict[str, Any] = {"pe_array.rows": 8, "dram.partitions.0.operating_point.vdd_v": 1.1}
    machine = space.machine(point)
    assert machine["pe_array"]["cols"] == machine["vector_unit"]["lanes"] == 16
    assert machine["dram"]["partitions"][0]["operating_point"]["vdd_v"] == 1.1
    assert space.base["pe_array"]["rows"] == 16, "the base is not changed"
    assert space.violations(point) == {"pe_array.cols >= 16": 0.0, "sram_kib <= 1000": 0.0}
    assert space.result_violations(point, {"latency_ns": 7e6, "sram_kib": 320.0})["latency_ns <= 5e6"] == 2e6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameters": {"pe_array.row": [1, 2]}}, ["parameters.pe_array.row", "did you mean pe_array.rows?"]),
        ({"parameters": {"sram.scratchpd.capacity_kib": [1]}}, ["did you mean sram.scratchpad.capacity_kib?"]),
        ({"parameters": {"pe_array": [1]}}, ["is a group of keys"]),
        ({"parameters": {"pe_array.rows.x": [1]}}, ["leads to no key"]),
        ({"parameters": {"dram.partitions.0.name": ["a"]}}, ["leads to no key"]),
        ({"parameters": {"pe_array.rows": []}}, ["parameters.pe_array.rows", "no value to choose"]),
        ({"parameters": {"pe_array.rows": [8, 8.0]}}, ["holds a value twice"]),
        ({"parameters": {"pe_array.rows": [[1]]}}, ["is no number, text"]),
        ({"parameters": {"pe_array.rows": 8}}, ["is neither values nor a range"]),
        ({"parameters": {"pe_array.rows": {"low": 9, "high": 8}}}, ["empty range", "{'low': 9, 'high': 8}"]),
        ({"parameters": {"pe_array.rows": {"low": 0, "high": 8, "log": True}}}, ["cannot be spaced by ratios"]),
        ({"parameters": {"pe_array.rows": {"low": 1, "high": 8, "stp": 2}}}, ["pe_array.rows.stp: unknown key"]),
        ({"parameters": {"pe_array.rows": {"low": 1, "high": 8, "step": 0}}}, ["parameters.pe_array.rows.step"]),
        ({"parameters": {"pe_array.dataflow": ["WS", "XX"]}}, ["parameters.pe_array.dataflow = 'XX'", "'WS'"]),
        ({"parameters": {"dram.device": ["DDR9"]}}, ["dram.device = 'DDR9'"]),
        ({"parameters": {"workload": ["lenet6"]}}, ["lenet6"]),
        ({"parameters": {"batch": [0]}}, ["parameters.batch = 0"]),
        ({"parameters": {}}, ["parameters"]),
        ({"workload": "lenet6"}, ["lenet6", "lenet5"]),
        ({"hardware": "edge_17x17"}, ["edge_17x17", "edge_16x16"]),
        ({"changes": {"pe_array": {"rowz": 3}}}, ["changes", "pe_array.rowz"]),
        ({"derived": {"pe_array.col": "1"}}, ["derived.pe_array.col", "pe_array.cols"]),
        ({"derived": {"sram.scratchpad.capacity_kib": "1"}}, ["cannot be derived"]),
        ({"derived": {"vector_unit.lanes": "pe_array.colz"}}, ["derived.vector_unit.lanes", "pe_array.cols"]),
        ({"constraints": ["sram_kb <= 3"]}, ["sram_kb", "did you mean sram_kib?"]),
        ({"constraints": ["1 < 2"]}, ["names no key and no metric"]),
        ({"constraints": ["pe_array.rows > 99"]}, ["constraints = 'pe_array.rows > 99'", "is met by none of the"]),
        ({"constraints": ["pe_array.rows > 8", "pe_array.rows < 8"]}, ["are met together by none"]),
        ({"constraints": ["pe_array.rows > 'a'"]}, ["cannot be computed"]),
        ({"constraints": ["accuracy_loss <= 0.01"]}, ["accuracy cannot be measured"]),
        ({"objectives": ["latency"]}, ["objectives = 'latency'", "latency_ns"]),
        ({"objectives": ["energy_pj", "energy_pj"]}, ["twice"]),
        ({"objectives": []}, ["objectives"]),
        ({"sampler": "grid"}, ["no values to enumerate"] ),
        ({"sampler": "anneal"}, ["sampler = 'anneal'", "tpe"]),
        ({"trials": 0}, ["trials = 0"]),
        ({"sead": 0}, ["sead: unknown key"]),
    ],
)  # fmt: skip
def test_mistakes_are_named_in_one_line(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    if changes.get("sampler") == "grid":
        changes = changes | {"parameters": {"dram.write_drain_low": {"low": 0.1, "high": 0.2}}}
    message = refusal(tmp_path, **changes)
    assert message.startswith(str(tmp_path))
    for word in words:
        assert word in message


def test_a_space_is_found_by_name_or_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'lenet5_buffers'"):
        load_space("lenet5_bufers")
    with pytest.raises(InputError, match="no such file"):
        load_space(tmp_path / "none.yaml")


def test_files_count_from_the_space_file(tmp_path: Path) -> None:
    (tmp_path / "machine.yaml").write_text("extends: edge_16x16\npe_array: {rows: 4}\n", "utf-8")
    space = small_space(tmp_path, hardware="machine.yaml")
    assert space.base["pe_array"]["rows"] == 4
    assert load_space(write_space(tmp_path), hardware="edge_16x16").base["pe_array"]["rows"] == 16


def test_the_hash_of_a_space_changes_with_its_meaning_only(tmp_path: Path) -> None:
    first = small_space(tmp_path)
    assert small_space(tmp_path, trials=9, description="other words").content_hash == first.content_hash
    changes: dict[str, Any]
    for changes in ({"seed": 1}, {"objectives": ["energy_pj"]}, {"batch": 2}, {"constraints": []}, {"generation": 9}):
        assert small_space(tmp_path, **changes).content_hash != first.content_hash


def test_every_area_has_a_source_and_every_metric_a_unit_that_its_name_ends_with() -> None:
    table = area_table()
    assert set(table.sources) >= {"mac_um2", "sram_um2_per_kib", "vector_lane_um2", "operand_bits"}
    for metric in METRICS.values():
        if metric.unit in ("ns", "pJ", "mW", "mm2", "KiB", "cycles"):
            assert metric.name.endswith("_" + metric.unit.lower()), metric.name


def test_a_workload_file_counts_by_its_content(tmp_path: Path) -> None:
    text = (resource_folder("workloads") / "models" / "tiny_cnn.yaml").read_text("utf-8")
    hashes = []
    for name, content in (("one", text), ("two", text), ("three", text.replace("tiny", "other"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.yaml").write_text(content, "utf-8")
        space = small_space(tmp_path / name, workload="net.yaml")
        assert space.workloads == (str(tmp_path / name / "net.yaml"),)
        hashes.append(space.content_hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_worker_of_another_version_says_so(tmp_path: Path) -> None:
    task = task_of(small_space(tmp_path, parameters={"batch": [1]}), {"batch": 1}, "full")
    outcome = evaluate(task | {"version": "0.0.9"})
    assert outcome["error"].startswith("the worker has accelsim ")
