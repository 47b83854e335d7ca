"""Networks cut in two: a client that adds noise to what it sends, and a server behind a slow link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from accelsim import simulate
from accelsim.errors import WorkloadError
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.workload.graph import LayerGraph


def part_of(folder: Path, network: str, part: str) -> LayerGraph:
    path = folder / "part.yaml"
    path.write_text(f"accelsim_workload: 1\nnetwork: {network}\npart: {part}\n")
    return load_workload(path)


@pytest.mark.parametrize(("name", "sent"), [("lenet5", 400), ("alexnet", 9216), ("vgg16", 25088)])
def test_client_and_server_make_up_the_network(name: str, sent: int) -> None:
    whole, client, server = (load_workload(f"{name}{part}") for part in ("", "_client", "_server"))
    assert client.total_macs + server.total_macs == whole.total_macs
    assert client.inputs == whole.inputs
    assert [tensor.elements for tensor in client.outputs] == [sent] == [tensor.elements for tensor in server.inputs]
    assert [tensor.name for tensor in server.outputs] == ["softmax"]
    noise = client.layers[-1]
    assert (noise.name, client.vector_operations(noise)) == ("noise", sent)


def test_a_cut_through_a_residual_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"is no place to cut at: the layers behind it read conv1\.relu, layer1"):
        part_of(tmp_path, "resnet20_cifar", "{until: layer1.0.conv1.relu}")
    assert part_of(tmp_path, "resnet20_cifar", "{after: layer1.0.relu}").inputs[0].name == "layer1.0.relu"


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ("{until: pool9}", "is no layer of the network"),
        ("{until: softmax}", "is no place to cut at: the layers behind it read nothing"),
        ("{after: pool5, noise: true}", "noise goes with until"),
        ("{}", "needs until or after"),
    ],
)
def test_other_parts_are_refused(part: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=problem):
        part_of(tmp_path, "alexnet", part)


def test_what_is_sent_decides_how_long_the_server_takes() -> None:
    """2.36 MB/s: the image of 154587 bytes against 9216 bytes of the feature map."""
    server, cloud = (simulate("tpu_v1_over_wifi", name).totals for name in ("alexnet_server", "alexnet"))
    assert cloud.latency_ns > 154_587 / 2.36e6 * 1e9
    assert server.latency_ns == pytest.approx(10_216 / 2.36e6 * 1e9, rel=0.6)
    assert server.latency_ns > 10_216 / 2.36e6 * 1e9  # with the 1000 results on the way back


def test_a_client_saves_what_the_server_does() -> None:
    client, alone = (simulate("edge_16x16", name).totals for name in ("alexnet_client", "alexnet"))
    assert client.latency_ns < alone.latency_ns
    assert client.energy_pj < 0.5 * alone.energy_pj
    assert client.dram_write_bytes >= 9216
