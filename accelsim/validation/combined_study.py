"""Skipping, sparse powers of two and approximate DRAM on one machine: each alone, each pair, all three, with accuracy.

No paper has this. The network is the project's own ResNet-20 for CIFAR-10: plain, with the gates and decisions of
`resnet20_gated_50`, decomposed, or both. Time and energy are those of decisions on the test set; decomposed, the gated
network decides otherwise, and its own decisions count (`decomposed_decisions` made them). Gates keep their weights.
Accuracy is measured on the first test images, with the number formats of the machine and the bits that its memory
flips; there the gated network runs whole, a closed gate multiplying what its block gives by zero, which leaves the same
numbers as skipping. Assumption: flipped bits change no decision that is counted in time and energy.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.numpy_helper

from accelsim.numerics.accuracy_request import AccuracyRequest
from accelsim.numerics.skip_trace import trace_skips
from accelsim.pipeline import simulate
from accelsim.resources import resource_folder
from accelsim.validation.figures import decided_figures
from accelsim.workload.annotated import annotate
from accelsim.workload.loader import load_workload
from accelsim.workload.network_file import load_network
from accelsim.workload.onnx_build import build_onnx
from accelsim.workload.pot.decompose import decompose_network
from accelsim.workload.pot.files import load_pot_weights, save_pot_weights
from accelsim.workload.pot.sources import read_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.config.schema import HardwareConfig
    from accelsim.workload.decision_trace import DecisionTrace
    from accelsim.workload.graph import LayerGraph
    from accelsim.workload.pot.weights import PotWeights

GATED = "resnet20_gated_50"
PLAIN = "resnet20_cifar"


@dataclass(frozen=True)
class Techniques:
    """Which of the three are in use."""

    name: str
    skipping: bool = False
    pot: bool = False
    dram: bool = False

    @property
    def words(self) -> str:
        """As a table says it."""
        flags = {"skipping": self.skipping, "PoT weights": self.pot, "approximate DRAM": self.dram}
        used = [words for words, flag in flags.items() if flag]
        return "all three" if len(used) == len(flags) else ", ".join(used) or "none"

    @property
    def workload(self) -> str:
        """Workload that ships with the first two of them, as far as time and energy go."""
        network = GATED if self.skipping else PLAIN
        return f"{network}_pot" if self.pot else network


ALL = tuple(
    Techniques("_".join(word for word, flag in (("skipping", skip), ("pot", pot), ("dram", dram)) if flag) or "none",
               skipping=skip, pot=pot, dram=dram)
    for skip, pot, dram in (
        (False, False, False), (True, False, False), (False, True, False), (False, False, True),
        (True, True, False), (True, False, True), (False, True, True), (True, True, True),
    )
)  # fmt: skip
"""None, each alone, each pair, all three."""


def accuracy_of(
    machine: HardwareConfig, techniques: Techniques, images: int, overrides: Sequence[str] = ()
) -> dict[str, float]:
    """Accuracy on a machine whose overrides lower the memory.

    Returns
    -------
    dict
        ``accuracy``, that of the network ``accuracy_baseline`` as its file has it, and without flips
        ``accuracy_clean``.

    Raises
    ------
    MissingDataError
        When there are no test images.
    """
    request = AccuracyRequest(wanted=True, samples=images)
    with tempfile.TemporaryDirectory() as folder:
        graph = _network_with_weights(techniques, Path(folder))
        return decided_figures(simulate(machine, graph, overrides=overrides, accuracy=request))


def _network_with_weights(techniques: Techniques, folder: Path) -> LayerGraph:
    """The network whose accuracy is measured; the gated one with every layer, with the weights that ship."""
    if not techniques.skipping:
        return load_workload(f"{PLAIN}_pot" if techniques.pot else "resnet20_trained")
    model = folder / f"{GATED}.onnx"
    onnx.save(build_onnx(load_network(resource_folder("workloads") / "weights" / f"{GATED}.npz")), model)
    graph = load_workload(model)
    if not techniques.pot:
        return graph
    shipped = load_pot_weights(resource_folder("workloads") / "weights" / f"{GATED}_pot.npz")
    names = [name for name in read_weights(model).arrays if not _is_gate(name)]
    save_pot_weights(_renamed(shipped, names), folder / "pot.npz")
    document = {"accelsim_workload": 1, "network": str(model), "pot_weights": "pot.npz"}
    return annotate(document, folder / "gated_pot.yaml", graph)


def _decomposed(model: Path) -> PotWeights:
    """Weights of a gated network as sparse powers of two; those of the gates, a few thousand, stay as they are."""
    found = read_weights(model)
    arrays = {name: array for name, array in found.arrays.items() if not _is_gate(name)}
    return decompose_network(arrays, network=found.network, where=model)


def _is_gate(name: str) -> bool:
    return name.startswith("gates.")


def _renamed(weights: PotWeights, names: Sequence[str]) -> PotWeights:
    """The same weights by the names that another form of the network has for its layers, in the same order."""
    layers = (replace(layer, name=name) for layer, name in zip(weights.layers, names, strict=True))
    return replace(weights, layers=tuple(layers))


def decomposed_weights(gated: str, plain: str) -> PotWeights:
    """Weights of a gated network as sparse powers of two, as `workloads/weights` has them.

    Parameters
    ----------
    gated
        Network file that ships, by name.
    plain
        Workload with the same layers in the same order, by whose names its arrays go.
    """
    weights = _decomposed(resource_folder("workloads") / "weights" / f"{gated}.npz")
    graph = load_workload(plain)
    names = [weight.name for layer in graph.layers if (weight := graph.weight_tensor(layer)) is not None]
    return _renamed(weights, names)


def decomposed_decisions(gated: str = GATED, data: Path | None = None) -> DecisionTrace:
    """Decisions of a gated network so decomposed on the test images, as `workloads/skip` has them.

    Parameters
    ----------
    gated
        Network file that ships, by name.
    data
        Folder of datasets; that of the environment where left out.

    Raises
    ------
    InputError
        When the images are not there.
    """
    network = load_network(resource_folder("workloads") / "weights" / f"{gated}.npz")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{gated}_pot.onnx"
        onnx.save(build_onnx(network), path)
        decoded = {layer.name: layer.decode() for layer in _decomposed(path).layers}
        model = onnx.load(path)
        nodes = []
        for node in model.graph.node:  # what decodes stored integers gives way to the decoded values
            if node.op_type == "DequantizeLinear" and node.input[0] in decoded:
                values = decoded[node.input[0]].astype(np.float32)
                model.graph.initializer.append(onnx.numpy_helper.from_array(values, node.output[0]))
            else:
                nodes.append(node)
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        onnx.save(model, path)
        return trace_skips(path, data)
