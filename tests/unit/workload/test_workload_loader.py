from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import WorkloadError
from accelsim.resources import resource_folder
from accelsim.workload.graph import Layer, LayerGraph, Tensor
from accelsim.workload.loader import list_workloads, load_workload
from accelsim.workload.operators import Elementwise, Gemm, Normalisation, View
from accelsim.workload.zoo import NETWORKS

PRESETS = sorted(path.stem for path in (resource_folder("workloads") / "models").glob("*.yaml"))


def test_a_graph_is_passed_through() -> None:
    graph = load_workload("lenet5")
    assert load_workload(graph) is graph


@pytest.mark.parametrize("name", PRESETS)
def test_presets_load_by_name_and_scale(name: str) -> None:
    graph = load_workload(name)
    assert graph.name == name
    assert graph.with_batch(4 * graph.batch).total_macs == 4 * graph.total_macs
    again = load_workload(resource_folder("workloads") / "models" / f"{name}.yaml")
    assert (again.name, again.inputs, again.layers) == (graph.name, graph.inputs, graph.layers)


def test_transformer_block_has_the_counts_of_its_formula() -> None:
    graph = load_workload("transformer_block")
    width, inner, length = 512, 2048, 128
    products = length * (4 * width * width + 2 * width * inner) + 2 * length * length * width
    biases, norms = 4 * width + inner + width, 4 * width
    assert graph.total_macs == products
    assert graph.total_parameters == 4 * width * width + 2 * width * inner + biases + norms


def test_everything_that_is_listed_loads_and_has_the_counts_listed() -> None:
    listed = list_workloads()
    assert [summary.name for summary in listed] == [*NETWORKS, *PRESETS]
    for summary in listed:
        graph = load_workload(summary.name)
        assert summary.description
        assert (summary.layers, summary.macs) == (len(graph.layers), graph.total_macs)
        assert summary.parameters == graph.total_parameters


def test_a_name_wins_over_a_file_and_a_path_object_never_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vgg16").write_text("x")
    assert load_workload("vgg16").name == "vgg16"
    with pytest.raises(WorkloadError, match=r"^vgg16: '': is no workload format by its suffix"):
        load_workload(Path("vgg16"))


def test_suffixes_are_read_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "NET.CSV"
    path.write_text("Layer, M, N, K,\na, 2, 3, 4,\n")
    assert load_workload(str(path)).total_macs == 24


def test_parameters_of_shared_weights_count_once_and_those_of_norms_each() -> None:
    layers = (
        Layer("a", Gemm(8, bias=False), ("x",), weight="w"),
        Layer("norm", Normalisation("layer"), ("a",), weight="w"),  # the name of no weight of its own
        Layer("b", Gemm(8, bias=False), ("norm",), weight="w"),
    )
    assert LayerGraph("net", (Tensor("x", (1, 8)),), layers).total_parameters == 64 + 16


def test_batch_that_some_feature_map_does_not_have_is_refused() -> None:
    layers = (Layer("a", View((1, 24)), ("x",)), Layer("b", Gemm(2), ("a",)))
    graph = LayerGraph("net", (Tensor("x", (2, 12)),), layers)
    with pytest.raises(WorkloadError, match=r"net: --batch: shape \(1, 24\) has no batch in its first dimension"):
        graph.with_batch(3)


def test_batch_that_no_layer_can_take_says_why() -> None:
    layers = (Layer("sum", Elementwise("add"), ("x", "row")),)
    graph = LayerGraph("net", (Tensor("x", (1, 3, 8)), Tensor("row", (1, 8))), layers)
    with pytest.raises(
        WorkloadError, match=r"^net: sum: cannot run with --batch 4: shapes \(4, 3, 8\) and \(4, 8\) do not"
    ):
        graph.with_batch(4)
