from __future__ import annotations

import csv
import math
import random
from pathlib import Path

import pytest

from accelsim.workload.operators import Conv
from accelsim.workload.scalesim_import import import_topology

DATA = Path(__file__).parents[2] / "data" / "topologies"
SHARED = Path(__file__).parents[4] / "shared" / "reference" / "scalesim"
HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
GEMM_HEADER = "Layer, M, N, K,\n"

# Column "Total Cycles" of SCALE-Sim 3.0.0, output stationary on 32 x 32, for the topologies in tests/data/topologies.
OS_TOTAL_CYCLES = {
    "alexnet": [121124, 334831, 113567, 168863, 112575],
    "resnet18": [158421, 117391, 117391, 117391, 117391, 63799, 106831, 13607, 106831, 106831, 67983, 94639, 12159,
                 94639, 94639, 75711, 74719, 10175, 74719, 74719, 18367],
}  # fmt: skip


def write(folder: Path, text: str) -> Path:
    path = folder / "net.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["alexnet", "resnet18"])
def test_imported_dimensions_give_the_cycles_that_scalesim_reports(name: str) -> None:
    graph = import_topology(DATA / f"{name}.csv")
    dims = [graph.gemm_dims(layer) for layer in graph.layers]
    cycles = [math.ceil(d.m / 32) * math.ceil(d.n / 32) * (d.k + 32 + 32 - 2) - 1 for d in dims if d]
    assert cycles == OS_TOTAL_CYCLES[name]


@pytest.mark.shared
@pytest.mark.parametrize("name", ["alexnet", "resnet18"])
def test_reference_files_read_the_same_as_the_copies_here(name: str) -> None:
    if not SHARED.is_dir():
        pytest.skip("the reference figures do not lie beside this checkout")
    reference = import_topology(SHARED / f"{name}_topology.csv")
    copy = import_topology(DATA / f"{name}.csv")
    assert (reference.inputs, reference.layers) == (copy.inputs, copy.layers)
    with (SHARED / f"{name}_os_compute.csv").open() as file:
        assert [int(row[2]) for row in list(csv.reader(file))[1:]] == OS_TOTAL_CYCLES[name]


def test_output_size_is_scalesims_for_random_shapes(tmp_path: Path) -> None:
    rng = random.Random(7)  # noqa: S311 - shapes, not secrets
    rows, expected = [], []
    for index in range(300):
        height, width = rng.randint(1, 60), rng.randint(1, 60)
        extent_rows, extent_cols = rng.randint(1, height), rng.randint(1, width)
        stride_rows, stride_cols = rng.randint(1, 9), rng.randint(1, 9)
        rows.append(f"l{index}, {height}, {width}, {extent_rows}, {extent_cols}, 3, 5, {stride_rows}, {stride_cols},")
        expected.append((
            math.ceil((height - extent_rows + stride_rows) / stride_rows),
            math.ceil((width - extent_cols + stride_cols) / stride_cols),
        ))  # fmt: skip
    graph = import_topology(write(tmp_path, HEADER + "\n".join(rows)))
    assert [tensor.shape[2:] for tensor in graph.outputs] == expected
    assert any(padding for layer in graph.layers for padding in layer.operator.window.padding)  # type: ignore[union-attr]


def test_layers_are_independent_and_named_as_scalesim_numbers_them(tmp_path: Path) -> None:
    text = HEADER + "conv,5,5,3,3,1,2,1,\n ,5,5,3,3,1,2,1,\n\n conv ,5,5,3,3,1,2,1,1:2,\n"
    graph = import_topology(write(tmp_path, text))
    assert [layer.name for layer in graph.layers] == ["conv", "layer1", "conv_2"]
    assert [layer.inputs for layer in graph.layers] == [("conv.ifmap",), ("layer1.ifmap",), ("conv_2.ifmap",)]
    assert graph.name == "net"
    assert graph.total_parameters == 3 * 2 * 9  # no bias


def test_depthwise_layers_have_a_filter_set_for_every_channel(tmp_path: Path) -> None:
    graph = import_topology(write(tmp_path, HEADER + "Conv2DP, 114, 114, 3, 3, 32, 1, 1,\n"))
    (layer,) = graph.layers
    assert isinstance(layer.operator, Conv)
    assert (layer.operator.groups, layer.operator.out_channels) == (32, 32)
    assert graph.total_macs == 112 * 112 * 9 * 32


def test_gemm_rows_are_output_pixels_filters_and_inner_size() -> None:
    graph = import_topology(DATA / "gemm.csv")
    dims = {layer.name: graph.gemm_dims(layer) for layer in graph.layers}
    assert {name: (d.groups, d.m, d.n, d.k) for name, d in dims.items() if d} == {
        "qkv": (1, 128, 1536, 512),
        "scores": (8, 128, 128, 64),
        "sparse": (1, 128, 512, 512),
    }
    assert graph.with_batch(4).total_macs == 4 * graph.total_macs


def test_windows_line_ends_byte_order_mark_and_other_header_words_are_read(tmp_path: Path) -> None:
    header = "\ufeffname,H,W,R,S,C,K,stride,stride w,sparsity,\r\n"
    graph = import_topology(write(tmp_path, header + "a,9,8,3,2,4,6,2,3,1:4\r\n"))
    assert graph.outputs[0].shape == (1, 6, 4, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "net.csv: is empty; allowed: a SCALE-Sim topology: a header line, then a layer a line"),
        (HEADER, "net.csv: has a header but no layers"),
        ("conv1,5,5,3,3,1,2,1,\n", "net.csv: line 1 = 'conv1, 5, 5, 3, 3, 1, 2, 1': is no header of a SCALE-Sim"),
        (HEADER + "a,5,x,3,3,1,2,1,\n", "net.csv: line 2, column 'IFMAP Width' = 'x': not accepted; allowed: a whole"),
        (HEADER + "a,5,5,3,3,0,2,1,\n", "net.csv: line 2, column 'Channels' = '0': not accepted; allowed: a whole"),
        (HEADER + "a,5,5,3,3,1,-2,1,\n", "net.csv: line 2, column 'Num Filter' = '-2': not accepted; allowed: a whole"),
        (HEADER + "a,5,5,3,3,1,2,nan,\n", "net.csv: line 2, column 'Strides' = 'nan': not accepted; allowed: a whole"),
        (HEADER + "a,5,5,3,3,1,2\n", "net.csv: line 2, column 'Strides': is missing"),
        (HEADER + "a,5,5,3,,1,2,1,\n", "net.csv: line 2, column 'Filter Width': is missing"),
        (HEADER + "a,5,5,6,3,1,2,1,\n", "column 'Filter Height' = 6: is larger than the input, which has 5"),
        (HEADER + "a,5,5,3,3,1,2,1,1,1:2,9,\n", "net.csv: line 2, column '11' = '9': is one cell too many"),
        (HEADER + "a,5,5,3,3,1,2,1,4:2,\n", "column 'Sparsity' = '4:2': not accepted; allowed: a ratio N:M of whole"),
        (HEADER + "a,99999999999,5,3,3,1,2,1,\n", "column 'IFMAP Height' = '99999999999': not accepted"),
        (
            HEADER + "a,2000000,2000000,1,1,8,8,1,\n",
            "a.ifmap: shape (1, 8, 2000000, 2000000) has more than 2^40 elements",
        ),
        (GEMM_HEADER + "a,1,2,3.5,\n", "net.csv: line 2, column 'K' = '3.5': not accepted; allowed: a whole number"),
        (GEMM_HEADER + "a,1,\n", "net.csv: line 2, column 'N': is missing"),
        (GEMM_HEADER + "a,1,2,3,0,\n", "net.csv: line 2, column 'Batch' = '0': not accepted; allowed: a whole number"),
    ],
)
def test_broken_topologies_say_which_cell(tmp_path: Path, text: str, message: str) -> None:
    from accelsim.errors import WorkloadError

    with pytest.raises(WorkloadError) as caught:
        import_topology(write(tmp_path, text))
    assert message in str(caught.value)
