"""Training steps: shapes, work, lifetimes and state, against closed forms and against finite differences."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.pipeline import simulate
from accelsim.workload.graph import Layer, LayerGraph, Tensor, chain
from accelsim.workload.loader import load_workload
from accelsim.workload.operators import (
    Activation,
    Concat,
    Conv,
    Elementwise,
    Gemm,
    MatMul,
    Normalisation,
    Operator,
    Pool,
    Softmax,
    Upsample,
    Window,
)
from accelsim.workload.pot_annotations import stated_weights
from accelsim.workload.training import TrainingRecord, lifetimes, training_step

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SAME = Window((3, 3), padding=(1, 1, 1, 1))
SGD = TrainingRecord(method="sgd")


def small_network(batch: int = 2, stride: int = 1) -> LayerGraph:
    """Two convolutions, a normalisation, a pool and a classifier."""
    window = Window((3, 3), (stride, stride), (1, 1, 1, 1))
    return chain(
        "small",
        Tensor("image", (batch, 3, 8, 8)),
        [
            ("first", Conv(8, SAME, bias=False)),
            ("norm", Normalisation()),
            ("relu", Activation()),
            ("second", Conv(6, window, bias=False)),
            ("relu2", Activation()),
            ("pool", Pool("max", Window((2, 2), (2, 2)))),
            ("fc", Gemm(10)),
            ("softmax", Softmax()),
        ],
    )


def decomposed(graph: LayerGraph, density: float = 0.5) -> LayerGraph:
    """The network with all but its first weights stated to be decomposed."""
    names = {"second.weight": (6, 8, 3, 3)}
    operands = {name: stated_weights(shape, density, 1.0, "vector") for name, shape in names.items()}
    return replace(graph, annotations=replace(graph.annotations, operands=operands))


@pytest.mark.parametrize("name", ["vgg11", "vgg19_cifar", "resnet164_cifar", "mobilenetv2"])
def test_weight_gradients_take_as_much_work_as_the_forward_pass(name: str) -> None:
    step = training_step(load_workload(name), SGD)
    assert step.macs("weight_gradient") == step.macs("forward")


@pytest.mark.parametrize("name", ["vgg11", "vgg19_cifar"])
def test_both_gradients_are_twice_the_forward_pass_without_the_first_layer(name: str) -> None:
    graph = load_workload(name)
    step = training_step(graph, SGD)
    first = graph.dense_macs(graph.layers[0])
    assert step.macs("data_gradient") + step.macs("weight_gradient") == 2 * graph.total_macs - first


def test_zeros_of_a_stride_multiply_the_work_of_the_data_gradient_and_are_stated() -> None:
    step = training_step(small_network(stride=2), SGD)
    layers = {layer.name: layer for layer in step.graph.layers}
    made = layers["second.data_gradient"]
    graph = small_network(stride=2)
    forward = next(layer for layer in graph.layers if layer.name == "second")
    assert step.graph.dense_macs(made) == 4 * graph.dense_macs(forward)
    spread = layers["second.data_gradient.zeros"].output
    assert step.graph.annotations.of_tensor(spread).density == pytest.approx(16 / 49)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups", "size"),
    [
        ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, (7, 9)),
        ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1, (8, 7)),
        ((3, 3), (2, 2), (0, 0, 0, 0), (1, 1), 1, (8, 8)),
        ((1, 1), (2, 2), (0, 0, 0, 0), (1, 1), 1, (8, 8)),
        ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1, (5, 5)),
        ((3, 2), (1, 2), (1, 0, 2, 1), (2, 1), 2, (9, 8)),
        ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 4, (8, 8)),
    ],
)
def test_convolution_gradients_are_right_in_value(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int], dilation: tuple[int, int],
    groups: int, size: tuple[int, int],
) -> None:  # fmt: skip
    """The convolutions that stand for the gradients, computed by plain loops, agree with the definition."""
    operator = Conv(8, Window(kernel, stride, padding, dilation), groups, bias=False)
    layers = (Layer("stem", Conv(4, Window((1, 1)), bias=False), ("image",)), Layer("conv", operator, ("stem",)))
    graph = LayerGraph("one", (Tensor("image", (2, 4, *size)),), layers)
    step = training_step(graph, SGD)
    made = {layer.name: layer for layer in step.graph.layers}
    rng = np.random.default_rng(1)
    ifmap = rng.integers(-3, 4, (2, 4, *size)).astype(float)
    weights = rng.integers(-3, 4, operator.weight_shape((ifmap.shape,))).astype(float)
    gradient = rng.integers(-3, 4, graph.tensors["conv"].shape).astype(float)
    data_gradient, weight_gradient = _by_definition(ifmap, weights, gradient, operator)

    data_layer = made["conv.data_gradient"]
    spread = _with_zeros(gradient, stride)
    assert spread.shape == step.graph.input_shapes(data_layer)[0]
    per_group = weights.reshape(groups, 8 // groups, 4 // groups, *kernel).swapaxes(1, 2)[..., ::-1, ::-1]
    turned = per_group.reshape(4, 8 // groups, *kernel)
    assert np.array_equal(_convolve(spread, turned, data_layer.operator), data_gradient)

    weight_layer = made["conv.weight_gradient"]
    if isinstance(weight_layer.operator, MatMul):
        left = gradient.transpose(1, 0, 2, 3).reshape(8, -1)
        right = ifmap[:, :, :: stride[0], :: stride[1]].transpose(0, 2, 3, 1).reshape(-1, 4)
        assert step.graph.input_shapes(weight_layer) == (left.shape, right.shape)
        found = (left @ right).reshape(weight_gradient.shape)
    else:
        rows, cols = step.graph.input_shapes(weight_layer)[0][2:]
        seen = ifmap[:, :, :rows, :cols].reshape(2, groups, 4 // groups, rows, cols).transpose(2, 1, 0, 3, 4)
        filters = gradient.transpose(1, 0, 2, 3)
        product = _convolve(seen.reshape(4 // groups, groups * 2, rows, cols), filters, weight_layer.operator)
        found = product.transpose(1, 0, 2, 3)
    assert np.array_equal(found, weight_gradient)


def _with_zeros(gradient: NDArray[Any], stride: tuple[int, int]) -> NDArray[Any]:
    rows, cols = ((size - 1) * step + 1 for size, step in zip(gradient.shape[2:], stride, strict=True))
    spread = np.zeros((*gradient.shape[:2], rows, cols))
    spread[:, :, :: stride[0], :: stride[1]] = gradient
    return spread


def _taps(shape: tuple[int, ...], operator: Conv) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every (output row, column, kernel row, column) with the input row and column it meets, if inside."""
    window = operator.window
    rows, cols = window.output_size(*shape[2:])
    found = []
    for place in np.ndindex(rows, cols, *window.kernel):
        at = tuple(
            place[axis] * window.stride[axis] + place[2 + axis] * window.dilation[axis] - window.padding[axis]
            for axis in (0, 1)
        )
        if 0 <= at[0] < shape[2] and 0 <= at[1] < shape[3]:
            found.append((place, at))
    return found


def _convolve(ifmap: NDArray[Any], weights: NDArray[Any], operator: Any) -> NDArray[Any]:  # noqa: ANN401 - Conv
    assert isinstance(operator, Conv)
    made = np.zeros(operator.output_shape((ifmap.shape,)))
    inside, outside = ifmap.shape[1] // operator.groups, len(weights) // operator.groups
    for (p, q, r, s), (y, x) in _taps(ifmap.shape, operator):
        for group in range(operator.groups):
            chosen = slice(group * outside, (group + 1) * outside)
            read = ifmap[:, group * inside : (group + 1) * inside, y, x]
            made[:, chosen, p, q] += read @ weights[chosen, :, r, s].T
    return made


def _by_definition(
    ifmap: NDArray[Any], weights: NDArray[Any], gradient: NDArray[Any], operator: Conv
) -> tuple[NDArray[Any], NDArray[Any]]:
    data, filters = np.zeros(ifmap.shape), np.zeros(weights.shape)
    inside, outside = ifmap.shape[1] // operator.groups, len(weights) // operator.groups
    for (p, q, r, s), (y, x) in _taps(ifmap.shape, operator):
        for group in range(operator.groups):
            into, chosen = slice(group * inside, (group + 1) * inside), slice(group * outside, (group + 1) * outside)
            data[:, into, y, x] += gradient[:, chosen, p, q] @ weights[chosen, :, r, s]
            filters[chosen, :, r, s] += gradient[:, chosen, p, q].T @ ifmap[:, into, y, x]
    return data, filters


def test_gradients_have_the_elements_of_what_they_are_gradients_of() -> None:
    graph = small_network()
    step = training_step(graph, SGD)
    tensors = step.graph.tensors
    assert tensors["second.data_gradient"].shape == graph.tensors["relu"].shape
    assert tensors["fc.weight_gradient"].shape == (10, 6 * 16)
    assert tensors["second.weight_gradient"].elements == 6 * 8 * 9
    assert "first.data_gradient" not in tensors  # nothing before the first layer learns


def test_kept_maps_live_from_the_forward_pass_to_their_last_gradient() -> None:
    step = training_step(small_network(), SGD)
    lives, order = lifetimes(step.graph), [layer.name for layer in step.graph.layers]
    assert lives["relu"][0] == order.index("relu")
    assert order[lives["relu"][1]] == "norm.data_gradient" or order.index("second.weight_gradient") <= lives["relu"][1]
    first_backward = min(order.index(name) for name, phase in step.phase_of.items() if phase == "data_gradient")
    assert all(lives[name][1] >= first_backward for name in step.kept)
    assert {"first", "relu", "relu2", "image"} <= set(step.kept)


def test_a_narrow_copy_lives_on_in_place_of_the_map() -> None:
    step = training_step(small_network(), TrainingRecord(method="sgd", activation_bits=4))
    lives, order = lifetimes(step.graph), [layer.name for layer in step.graph.layers]
    assert step.graph.tensors["relu.kept"].bits == 4
    first_backward = min(order.index(name) for name, phase in step.phase_of.items() if phase == "data_gradient")
    assert lives["relu"][1] < first_backward <= lives["relu.kept"][1]


@pytest.mark.parametrize(("optimizer", "numbers"), [("momentum", 2), ("sign", 1), ("sgd", 1)])
def test_state_of_the_optimiser_is_counted(optimizer: Any, numbers: int) -> None:  # noqa: ANN401 - a literal
    graph = small_network()
    step = training_step(graph, TrainingRecord(method="sgd", optimizer=optimizer, state_bits=16))
    assert step.state_bits == numbers * 16 * graph.total_parameters
    states = [tensor for tensor in step.graph.inputs if tensor.name.endswith(".state")]
    assert sum(tensor.elements for tensor in states) == numbers * graph.total_parameters


def test_smartdeal_holds_codes_counters_index_and_bases() -> None:
    graph = decomposed(small_network())
    step = training_step(graph, TrainingRecord(method="smartdeal"))
    weights, rows = 6 * 8 * 9, 8 * 3
    plain = 2 * 32 * (graph.total_parameters - weights)
    assert step.state_bits == plain + 6 * (rows // 2) * 3 * (4 + 2) + 6 * rows + 2 * 32 * 6 * 9
    layers = {layer.name: layer for layer in step.graph.layers}
    dims = step.graph.gemm_dims(layers["second.weight.coefficient_gradient"])
    assert dims is not None
    assert (dims.groups, dims.m, dims.n, dims.k) == (6, 12, 3, 3)
    dims = step.graph.gemm_dims(layers["second.weight.basis_gradient"])
    assert dims is not None
    assert (dims.groups, dims.m, dims.n, dims.k) == (6, 3, 3, 12)
    pot = step.graph.annotations.of_tensor("second.weight.transposed").pot
    assert pot is not None
    assert pot.layout.weight_shape == (8, 6, 3, 3)
    assert pot.row_density == 0.5


def test_e2train_drops_blocks_and_batches() -> None:
    graph = load_workload("resnet20_cifar")
    whole, dropped = training_step(graph, SGD), training_step(graph, TrainingRecord(method="e2train"))
    assert dropped.executed_batches == 0.5
    assert dropped.macs("forward") < whole.macs("forward")
    wider = training_step(graph, TrainingRecord(method="e2train", dropped_blocks=0.6))
    assert wider.macs("forward") < dropped.macs("forward")
    assert {layer.output_bits for layer in dropped.graph.layers if layer.name.endswith("data_gradient")} <= {16, None}


def test_branches_and_joins_have_gradients() -> None:
    conv = Conv(4, SAME, bias=False)
    layers = (
        Layer("a", conv, ("image",)),
        Layer("b", conv, ("a",)),
        Layer("c", conv, ("a",)),
        Layer("sum", Elementwise("add"), ("b", "a")),
        Layer("joined", Concat(1), ("sum", "c")),
        Layer("out", Conv(2, SAME), ("joined",)),
    )
    step = training_step(LayerGraph("branches", (Tensor("image", (1, 4, 6, 6)),), layers), SGD)
    made = {layer.name: layer for layer in step.graph.layers}
    assert set(made["a.gradient"].inputs) >= {"b.data_gradient", "c.data_gradient"}
    assert len(made["a.gradient"].inputs) == 3


def test_gradients_of_repeated_pixels_are_summed_over_the_copies() -> None:
    steps: list[tuple[str, Operator]] = [
        ("first", Conv(4, SAME)),
        ("large", Upsample((2, 3))),
        ("second", Conv(2, SAME)),
    ]
    step = training_step(chain("up", Tensor("image", (2, 3, 6, 5)), steps), SGD)
    made = next(layer for layer in step.graph.layers if layer.name == "large.data_gradient")
    assert step.graph.tensors["large.data_gradient"].shape == (2, 4, 6, 5)
    assert step.graph.vector_operations(made) == 2 * 4 * 12 * 15
    assert made.inputs == ("second.data_gradient",)


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ("{method: adam}", "method"),
        ("{method: sgd, dropped_batches: 0.5}", "training"),
        ("{method: sgd, activation_bits: 0}", "activation_bits"),
        ("{method: smartdeal, optimizer: sign}", "training"),
        ("{method: sgd, momentum: 0.9}", "momentum"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, document: str, key: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(f"accelsim_workload: 1\nnetwork: lenet5\ntraining: {document}\n")
    with pytest.raises(WorkloadError, match=key):
        load_workload(path)


def test_smartdeal_without_decomposed_weights_is_refused() -> None:
    with pytest.raises(WorkloadError, match="needs decomposed weights"):
        training_step(small_network(), TrainingRecord(method="smartdeal"))


@pytest.mark.parametrize("hardware", ["systolic_32x32", "smartexchange", "diannao_1k", "scnn_1k"])
def test_machines_run_a_step_from_a_file(tmp_path: Path, hardware: str) -> None:
    path = tmp_path / "step.yaml"
    path.write_text(
        "accelsim_workload: 1\nnetwork: lenet5\ntraining: {method: smartdeal, activation_bits: 4}\n"
        "statistics: {default: {weight: {pot: {vector_density: 0.5}}}}\n"
    )
    result = simulate(hardware, path, batch=2)
    graph = load_workload(path).with_batch(2)
    step = training_step(graph)
    assert result.totals.dense_macs == sum(step.graph.dense_macs(layer) for layer in step.graph.layers)
    kept = sum(math.ceil(step.graph.tensors[name].elements / 2) for name in step.kept if name.endswith(".kept"))
    assert kept
    assert result.totals.dram_write_bytes >= kept
