"""Any layer graph survives being written as YAML and read again."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import WorkloadError
from accelsim.strict_yaml import parse_yaml
from accelsim.workload.graph import Layer, LayerGraph, Tensor
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
    Shape,
    Softmax,
    Upsample,
    View,
    Window,
)
from accelsim.workload.yaml_io import dump_yaml, parse_workload

bits = st.none() | st.integers(1, 64)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
sizes = st.integers(1, 4)


@st.composite
def windows(draw: st.DrawFn, height: int, width: int) -> Window:
    kernel = draw(st.integers(1, height)), draw(st.integers(1, width))
    dilation = (1, 1) if max(kernel) > 1 else draw(st.tuples(sizes, sizes))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    return Window(kernel, draw(st.tuples(sizes, sizes)), padding, dilation)


@st.composite
def operators(draw: st.DrawFn, shape: Shape) -> Operator:
    """An operator that takes one feature map of this shape."""
    kinds: list[Operator] = [
        Activation(draw(names)),
        Normalisation(draw(st.sampled_from(sorted(Normalisation.operations_per_element)))),
        Softmax(),
        Elementwise(draw(st.sampled_from(Elementwise.functions))),
        Gemm(draw(sizes), draw(st.booleans()), draw(st.booleans())),
        View((shape[0], *draw(st.permutations(shape[1:])))),
    ]
    if len(shape) == 4:
        groups = draw(st.sampled_from([1, shape[1]]))
        window = draw(windows(*shape[2:]))
        kinds.append(Conv(groups * draw(sizes), window, groups, draw(st.booleans())))
        kinds.append(Upsample(draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))))
        kinds.append(Pool(draw(st.sampled_from(Pool.functions)), draw(st.none() | st.just(window))))
    return draw(st.sampled_from(kinds))


@st.composite
def graphs(draw: st.DrawFn) -> LayerGraph:
    shapes: dict[str, Shape] = {}
    unused = iter(draw(st.lists(names, min_size=24, max_size=24, unique=True)))
    inputs = []
    for _ in range(draw(st.integers(1, 2))):
        shape = draw(st.tuples(sizes, sizes, st.integers(1, 9), st.integers(1, 9)))
        inputs.append(Tensor(next(unused), shape, draw(bits)))
        shapes[inputs[-1].name] = shape
    layers = []
    for _ in range(draw(st.integers(1, 8))):
        name = next(unused)
        source = draw(st.sampled_from(list(shapes)))
        operator, sources = _joining(draw, shapes, source)
        if operator is None:
            operator, sources = draw(operators(shapes[source])), (source,)
        output = draw(st.sampled_from([name, next(unused)]))
        weighted = isinstance(operator, Conv | Gemm)
        weight = draw(st.just("") | names) if weighted else ""
        layers.append(Layer(name, operator, sources, output, weight, draw(bits) if weighted else None, draw(bits)))
        shapes[output] = operator.output_shape(tuple(shapes[key] for key in sources))
    return LayerGraph(draw(names), tuple(inputs), tuple(layers), None, draw(st.none() | names))


def _joining(draw: st.DrawFn, shapes: dict[str, Shape], source: str) -> tuple[Operator | None, tuple[str, ...]]:
    """Sometimes an operator of two inputs."""
    kind = draw(st.sampled_from(["none", "concat", "sum", "matmul"]))
    shape = shapes[source]
    if kind == "concat":
        return Concat(draw(st.integers(-len(shape), len(shape) - 1))), (source, source)
    if kind == "sum":
        return Elementwise("add"), (source, source)
    if kind == "matmul" and len(shape) > 2 and shape[-1] == shape[-2]:
        return MatMul(), (source, source)
    return None, ()


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_yaml_holds_a_graph_exactly(graph: LayerGraph) -> None:
    document = parse_yaml(dump_yaml(graph), "net.yaml", WorkloadError)
    assert replace(parse_workload(document, "net.yaml"), source=None) == graph
