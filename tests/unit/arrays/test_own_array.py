"""Arrays of one's own: the README's example as it stands there, names that are taken, kinds that do not exist."""

from __future__ import annotations

import re
import sys
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import accelsim
from accelsim.arrays import PeArrayConfig, array_kinds, register_array
from accelsim.config import pe_array as registry
from accelsim.errors import ConfigError

README = Path(__file__).parents[3] / "README.md"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the README's code leaves behind, run beside the README's machine, and what it printed."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.chdir(tmp_path)
    chapter = README.read_text("utf-8").split("### An array of your own")[1].split("\n## ")[0]
    code = re.findall(r"```python\n(.*?)```", chapter, flags=re.DOTALL)
    machine = re.findall(r"```yaml\n(.*?)```", chapter, flags=re.DOTALL)
    (tmp_path / "my_machine.yaml").write_text(machine[0], "utf-8")
    module = ModuleType("readme_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code[0], "README.md", "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - our own README
    return module.__dict__ | {"printed": capsys.readouterr().out}


def test_the_readme_example_runs_and_computes_what_it_says(example: dict[str, Any]) -> None:
    assert int(example["printed"]) > 0
    run = accelsim.simulate(example["machine"], "lenet5", overrides=["dram.kind=ideal"])
    graph = accelsim.load_workload("lenet5")
    layers = {layer.name: layer for layer in graph.layers}
    for result in run.layer_results:
        dims = graph.gemm_dims(layers[result.name])
        if dims is not None:
            assert result.effective_macs == dims.macs
            least = dims.groups * dims.m * -(-dims.n // 16) * -(-dims.k // 16)
            assert result.compute_cycles >= least
            assert result.mapping_efficiency <= 1


def test_a_layer_that_fits_in_one_block_takes_exactly_the_cycles_of_a_block(example: dict[str, Any]) -> None:
    from accelsim.workload.graph import Tensor, chain
    from accelsim.workload.operators import Gemm

    graph = chain("one", Tensor("x", (3, 40)), [("fc", Gemm(20))])
    run = accelsim.simulate(example["machine"], graph)
    assert prod((3, -(-20 // 16), -(-40 // 16))) == run.totals.compute_cycles == run.layer_results[0].compute_cycles


def test_names_that_are_taken_are_refused(example: dict[str, Any]) -> None:
    assert "dot_product" in array_kinds()
    register_array("dot_product", example["DotProductConfig"])  # the same once more: a notebook's cell run twice
    with pytest.raises(ValueError, match="an array of kind 'dot_product' already"):
        register_array("dot_product", PeArrayConfig)
    with pytest.raises(ValueError, match="an array of kind 'systolic' already"):
        register_array("systolic", example["DotProductConfig"])


def test_keys_of_an_own_array_are_checked_like_any_others(example: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=r"pe_array\.lanes: unknown key; allowed: one of clock_mhz, kind, .*units, width"
    ):
        accelsim.load_hardware(example["machine"], ["pe_array.lanes=4"])
    with pytest.raises(ConfigError, match=r"pe_array\.units = 'many': not accepted; allowed: a whole number"):
        accelsim.load_hardware(example["machine"], ["pe_array.units=many"])


def test_a_kind_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"pe_array\.kind = 'sistolic': not accepted; allowed: .*'systolic'"):
        accelsim.load_hardware("edge_16x16", ["pe_array.kind=sistolic"])
