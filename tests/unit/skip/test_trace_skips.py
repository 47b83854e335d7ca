"""Gated networks on images: their decisions are those of the traces that ship, and become annotations again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from accelsim.cli import run_command
from accelsim.errors import InputError
from accelsim.numerics.skip_trace import load_gated_model, trace_skips
from accelsim.resources import resource_folder
from accelsim.workload.decision_trace import load_trace
from accelsim.workload.loader import load_workload

SHARED = Path(__file__).parents[4] / "shared" / "data"
TRACES = resource_folder("workloads") / "skip"
NAMES = sorted(path.stem for path in TRACES.glob("*.npz") if not path.stem.endswith("_pot"))


@pytest.mark.parametrize("name", NAMES)
def test_blocks_of_a_model_are_those_that_training_knew(name: str) -> None:
    assert load_gated_model(name).blocks() == load_trace(TRACES / f"{name}.npz").blocks


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_decisions_are_those_of_the_traces_that_ship(name: str) -> None:
    if not (SHARED / "cifar10_test.npz").is_file():
        pytest.skip("needs the CIFAR-10 test set in the folder shared/ beside the checkout")
    found, kept = trace_skips(name, SHARED, 500), load_trace(TRACES / f"{name}.npz")
    assert (found.decisions == kept.decisions[:500]).all()
    assert (found.right == kept.right[:500]).all()


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_whole_traces_are_made_again(name: str) -> None:
    if not (SHARED / "cifar10_test.npz").is_file():
        pytest.skip("needs the CIFAR-10 test set in the folder shared/ beside the checkout")
    found, kept = trace_skips(name, SHARED), load_trace(TRACES / f"{name}.npz")
    assert (found.decisions == kept.decisions).all()
    assert (found.right == kept.right).all()
    assert (found.network, found.blocks) == (kept.network, kept.blocks)


def gated_model(path: Path, *, batch: int | str = "batch", decisions: bool = True) -> Path:
    """Image (1, 2, 2); runs a product where its first pixel is above zero, and channels where the others are."""
    weights: dict[str, np.ndarray[Any, Any]] = {
        "first": np.arange(12, dtype=np.float32).reshape(3, 4) - 5, "second": np.ones((3, 2), np.float32),
        "axes": np.array([1], np.int64), "zero": np.zeros(1, np.float32), "head": np.ones((2, 2), np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Slice", ["flat", "s0", "s1", "axes"], ["pixel"]),
        helper.make_node("Slice", ["flat", "s1", "s4", "axes"], ["pixels"]),
        helper.make_node("Greater", ["pixel", "zero"], ["is_on"]),
        helper.make_node("Cast", ["is_on"], ["layer"], to=TensorProto.FLOAT),
        helper.make_node("Greater", ["pixels", "zero"], ["are_on"]),
        helper.make_node("Cast", ["are_on"], ["channels"], to=TensorProto.FLOAT),
        helper.make_node("Gemm", ["flat", "first"], ["block.fc1"], name="block.fc1", transB=1),
        helper.make_node("Mul", ["block.fc1", "channels"], ["kept"]),
        helper.make_node("Gemm", ["kept", "second"], ["block.fc2"], name="block.fc2"),
        helper.make_node("Mul", ["block.fc2", "layer"], ["gated"]),
        helper.make_node("Gemm", ["gated", "head"], ["logits"], name="head"),
    ]
    if decisions:
        nodes.append(helper.make_node("Concat", ["layer", "channels"], ["decisions"], axis=1))
    numbers: dict[str, np.ndarray[Any, Any]] = {f"s{value}": np.array([value], np.int64) for value in (0, 1, 4)}
    graph = helper.make_graph(
        nodes,
        "gated",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, 2, 2])],
        [helper.make_empty_tensor_value_info(name) for name in ("logits", "decisions")[: 1 + decisions]],
        [numpy_helper.from_array(values, name) for name, values in (weights | numbers).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(onnx.shape_inference.infer_shapes(model, strict_mode=True), path)
    return path


def images(path: Path, count: int = 11) -> np.ndarray[Any, Any]:
    drawn = np.random.default_rng(3).standard_normal((count, 1, 2, 2)).astype(np.float32)
    np.savez(path, images=drawn, labels=np.zeros(count, np.int64))
    return drawn.reshape(count, 4)


@pytest.mark.parametrize("batch", ["batch", 4])
def test_channels_and_layers_of_any_model_are_traced(tmp_path: Path, batch: int | str) -> None:
    model = gated_model(tmp_path / "net.onnx", batch=batch)
    pixels = images(tmp_path / "images.npz")
    trace = trace_skips(model, tmp_path / "images.npz")
    assert [(block.name, block.channels) for block in trace.blocks] == [("block", 3)]
    assert trace.blocks[0].share == (12 + 6) / (12 + 6 + 4)
    assert (trace.decisions == (pixels > 0)).all()
    assert len(trace.right) == 11
    whole = np.where(pixels[:, 0] > 0, (pixels[:, 1:] > 0).mean(axis=1), 0)
    assert trace.executed_shares() == pytest.approx(1 + (whole - 1) * trace.blocks[0].share)


def test_the_command_writes_both_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = gated_model(tmp_path / "net.onnx")
    images(tmp_path / "images.npz")
    arguments = ["trace-skips", str(model), "--data", str(tmp_path / "images.npz"), "--images", "9", "--json"]
    for suffix in ("npz", "parquet"):
        assert run_command([*arguments, "-o", str(tmp_path / f"trace.{suffix}")]) == 0
    record = json.loads(capsys.readouterr().out.split("\n}\n")[0] + "\n}")
    assert record["images"] == 9
    assert record["blocks"][0]["channels"] == 3
    kept = load_trace(tmp_path / "trace.npz")
    import pandas as pd

    table = pd.read_parquet(tmp_path / "trace.parquet")
    assert list(table.columns) == ["block", "block.channel0", "block.channel1", "block.channel2", "right"]
    assert (table[kept.columns].to_numpy() == kept.decisions).all()
    assert (table["right"].to_numpy() == kept.right).all()


def test_a_table_with_names_of_its_own_is_laid_over_in_order(tmp_path: Path) -> None:
    import pandas as pd

    kept = load_trace(TRACES / "resnet20_gated_50.npz")
    table = pd.DataFrame(kept.decisions[:40], columns=[block.name for block in kept.blocks])
    table["right"] = kept.right[:40]
    table.to_parquet(tmp_path / "trace.parquet")
    skip = {"trace": "trace.parquet", "gates": "rnn"}
    document = {"accelsim_workload": 1, "network": "resnet20_cifar", "skip": skip}
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(document), "utf-8")
    plan = load_workload(tmp_path / "net.yaml").annotations.skip
    assert plan is not None
    assert (plan.decisions == kept.decisions[:40]).all()
    assert plan.right is not None
    assert (plan.right == kept.right[:40]).all()


@pytest.mark.parametrize("budget", [75, 50, 35])
def test_presets_run_the_traces_that_ship(budget: int) -> None:
    plan = load_workload(f"resnet20_gated_{budget}").annotations.skip
    assert plan is not None
    assert (plan.decisions == load_trace(TRACES / f"resnet20_gated_{budget}.npz").decisions).all()


def test_what_cannot_be_traced_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELSIM_DATA", raising=False)
    with pytest.raises(InputError, match="needs labelled images"):
        trace_skips("resnet20_gated_50")
    with pytest.raises(InputError, match="has shapes only"):
        trace_skips("resnet18", tmp_path)
    with pytest.raises(InputError, match="has no gates: none of its outputs is called 'decisions'"):
        trace_skips(gated_model(tmp_path / "plain.onnx", decisions=False), tmp_path)
    images(tmp_path / "images.npz")
    with pytest.raises(InputError, match="images are of another shape"):
        trace_skips("resnet20_gated_50", tmp_path / "images.npz")
