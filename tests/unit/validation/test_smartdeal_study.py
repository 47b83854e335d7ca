"""The study of SmartExchange and SmartDeal: workloads, factors and claims, its page and its command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from accelsim.cli import app
from accelsim.errors import InputError
from accelsim.report.smartdeal_page import render_smartdeal
from accelsim.validation.smartdeal_study import (
    ABLATIONS,
    MACHINES,
    NETWORKS,
    MachineResult,
    NetworkResult,
    StudyNetwork,
    TrainingResult,
    chosen_networks,
    compare_network,
    study_workload,
    summarise,
    train_network,
)

if TYPE_CHECKING:
    from pathlib import Path

TINY = StudyNetwork("lenet5", 0.5)


def _network(energies: dict[str, float]) -> NetworkResult:
    def entry(name: str) -> MachineResult:
        energy = energies[name]
        return MachineResult(name, energy, 2 * energy, round(3 * energy), {"dram": energy}, 0.5, 0.25)

    return NetworkResult(
        "made", 0.5, {machine.name: entry(machine.name) for machine in MACHINES},
        {machine.name: entry(machine.name) for machine in ABLATIONS},
    )  # fmt: skip


ENERGIES = {
    "DianNao": 12.0, "SCNN": 20.0, "Cambricon-X": 8.0, "Bit-pragmatic": 6.0, "SmartExchange": 2.0,
    "PoT only": 10.0, "bit-serial only": 5.0,
}  # fmt: skip


def _step(method: str, energy: float, bits: int) -> TrainingResult:
    return TrainingResult("made", method, "smartexchange", 16, energy, 1.0, 1.0, bits, 8)


def test_factors_and_claims_are_those_of_the_results() -> None:
    result = _network(ENERGIES)
    assert result.efficiency("SmartExchange") == 6.0
    assert result.dram_accesses("Cambricon-X") == 4.0
    claims = summarise([result], [_step("sgd", 90.0, 640), _step("smartdeal", 30.0, 64)])
    simulated = {name: entry["simulated"] for name, entry in claims.items()}
    assert simulated == {
        "energy_efficiency_max": 10.0, "speedup_max": 10.0, "inference_energy_efficiency_max": 2.5,
        "training_storage": 10.0, "training_energy": 3.0,
    }  # fmt: skip
    assert claims["speedup_max"]["where"] == "made over SCNN"
    assert claims["training_energy"]["where"] == _step("sgd", 90.0, 640).network
    assert summarise([], [])["speedup_max"] == {"published": 19.2, "simulated": None, "where": None}


def test_networks_are_those_of_the_paper_and_chosen_by_their_beginning() -> None:
    assert len(chosen_networks(())) == 7
    assert [network.name for network in chosen_networks(["VGG"])] == ["vgg11", "vgg19_cifar"]
    with pytest.raises(InputError, match="--network"):
        chosen_networks(["lenet"])


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_presets_state_what_the_study_states(network: StudyNetwork) -> None:
    from accelsim.workload.loader import load_workload

    preset = load_workload(f"{network.name}_smartexchange").annotations.operands
    stated = study_workload(network, "pot").annotations.operands
    for name, data in preset.items():
        assert stated[name].statistics == data.statistics
        assert (stated[name].pot is None) == (data.pot is None)
        if data.pot is not None:
            assert stated[name].pot == data.pot


def test_a_small_network_runs_on_all_machines_and_in_training() -> None:
    result = compare_network(TINY)
    assert set(result.machines) == {machine.name for machine in MACHINES}
    assert result.dram_accesses("DianNao") > 1  # PoT weights are smaller
    for entry in (result.machines | result.ablations).values():
        assert sum(entry.energy_by_component_pj.values()) == pytest.approx(entry.energy_pj)
    steps = train_network(TINY)
    assert [step.method for step in steps] == ["sgd", "sgd", "e2train", "smartdeal"]
    assert steps[-1].state_bits < steps[0].state_bits
    page = render_smartdeal([result], steps)
    assert "SmartDeal" in page
    assert "lenet5" in page


def test_the_command_refuses_what_belongs_to_the_other_study(tmp_path: Path) -> None:
    for arguments, option in (
        (["smartdeal", "--platform", "CPU"], "--platform"),
        (["eden", "--network", "vgg"], "--network"),
        (["smartdeal", "--network", "lenet"], "--network"),
        (["eden", "--set", "dram.channels=2"], "--set"),
    ):
        result = CliRunner().invoke(app, ["study", *arguments, "--out", str(tmp_path / "study")])
        assert isinstance(result.exception, InputError)
        assert str(result.exception).startswith(option)


def test_the_command_writes_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.validation.smartdeal_study.NETWORKS", (TINY,))
    result = CliRunner().invoke(
        app,
        ["study", "smartdeal", "--no-training", "--json", "--set", "dram.channels=2", "--out", str(tmp_path / "study")],
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [entry["network"] for entry in document["networks"]] == ["lenet5"]
    assert "dram.channels=2" in (tmp_path / "study" / "report.html").read_text()
    assert json.loads((tmp_path / "study" / "smartdeal.json").read_text()) == document
