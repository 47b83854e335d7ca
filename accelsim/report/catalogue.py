"""What ships with accelsim, by kind and name: hardware, DRAM and energy presets, workloads, design spaces, claims."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Literal

from accelsim.config.loader import list_presets, load_hardware
from accelsim.errors import ConfigError, InputError, WorkloadError
from accelsim.report import quantities
from accelsim.report.labels import printable
from accelsim.resources import resource_folder
from accelsim.strict_yaml import load_mapping

if TYPE_CHECKING:
    from pathlib import Path

    from accelsim.workload.graph import LayerGraph

Kind = Literal["hardware", "workloads", "dram", "energy", "spaces", "claims"]

_ROLES: dict[str, str] = {"hardware": "accelerators", "dram": "dram", "energy": "energy", "spaces": "spaces"}
Headings = tuple[tuple[str, bool], ...]
"""Headings of a table; True for text, False for numbers."""


def entries(kind: Kind) -> list[dict[str, Any]]:
    """Records of all of a kind, with at least `name` and `description`; claims have `id`, `system`, `source`."""
    if kind == "workloads":
        from accelsim.workload.loader import list_workloads  # presets do without networkx

        return [
            {
                "name": w.name,
                "layers": w.layers,
                "macs": w.macs,
                "parameters": w.parameters,
                "description": w.description,
            }
            for w in list_workloads()
        ]
    if kind == "claims":
        from accelsim.validation.claim_file import load_catalog

        return [
            {
                "id": entry.claim.id,
                "system": entry.claim.system,
                "source": ", ".join(part for part in (entry.claim.source.paper, entry.claim.source.place) if part),
                "says": entry.claim.says,
            }
            for entry in load_catalog()
        ]
    return [{"name": preset.name, "description": preset.description} for preset in list_presets(_ROLES[kind])]


def entry_table(kind: Kind) -> tuple[Headings, list[tuple[str, ...]]]:
    """Return headings and rows of everything of a kind, to be read by a person."""
    rows = entries(kind)
    if kind == "workloads":
        headings = (("name", True), ("layers", False), ("MACs", False), ("parameters", False), ("description", True))
        return headings, [
            (
                printable(row["name"]),
                f"{row['layers']:,}",
                quantities.si(row["macs"], "").rstrip(),
                quantities.si(row["parameters"], "").rstrip(),
                printable(row["description"]),
            )
            for row in rows
        ]
    if kind == "claims":
        return (("id", True), ("source", True), ("says", True)), [
            (row["id"], printable(row["source"]), printable(row["says"])) for row in rows
        ]
    return (("name", True), ("description", True)), [
        (printable(row["name"]), printable(row["description"])) for row in rows
    ]


def find(name: str) -> tuple[str, Path] | LayerGraph:
    """Find a preset or a claim (its kind and file) or load a workload.

    Raises
    ------
    InputError
        When nothing has this name.
    """
    shipped = _shipped()
    if name in shipped:
        return shipped[name]
    from accelsim.workload.loader import list_workloads, load_workload

    try:
        return load_workload(name)
    except WorkloadError as problem:
        if problem.value != name:  # a file that is damaged, not a name that is unknown
            raise
    near = difflib.get_close_matches(name, [*shipped, *(workload.name for workload in list_workloads())], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(
        f"no preset, network or claim has this name{hint}",
        where="show",
        value=name,
        allowed="a name from `accelsim list hardware` (or workloads, dram, energy, spaces, claims), or the path of a"
        " workload",
    )


def _shipped() -> dict[str, tuple[str, Path]]:
    """Kind and file of every preset and claim, by name."""
    from accelsim.validation.claim_file import catalog_paths

    folder = resource_folder("hw_configs")
    files = [(kind, path) for kind, role in _ROLES.items() for path in (folder / role).glob("*.yaml")]
    return {path.stem: (kind, path) for kind, path in (*files, *(("claims", path) for path in catalog_paths()))}


def preset_record(kind: str, path: Path) -> dict[str, Any]:
    """Content of a preset or claim as data; a hardware preset with every default filled in."""
    if kind == "hardware":
        resolved: dict[str, Any] = load_hardware(path).resolved()
        return resolved
    return load_mapping(path, ConfigError)


def workload_record(graph: LayerGraph) -> dict[str, Any]:
    """Layers of a network with shapes, multiply-accumulates and parameters."""
    return {
        "name": graph.name,
        "batch": graph.batch,
        "inputs": [{"name": tensor.name, "shape": list(tensor.shape)} for tensor in graph.inputs],
        "macs": graph.total_macs,
        "parameters": graph.total_parameters,
        "layers": [
            {
                "name": layer.name,
                "op": layer.op,
                "input_shapes": [list(shape) for shape in graph.input_shapes(layer)],
                "output_shape": list(graph.tensors[layer.output].shape),
                "macs": graph.dense_macs(layer),
                "parameters": graph.parameters(layer),
            }
            for layer in graph.layers
        ],
    }


def workload_table(graph: LayerGraph) -> tuple[str, Headings, list[tuple[str, ...]]]:
    """Return title, headings and rows of a network's layers, to be read by a person."""
    title = (
        f"{printable(graph.name)}: {len(graph.layers):,} layers, {quantities.si(graph.total_macs, 'MAC')}, "
        f"{quantities.si(graph.total_parameters, '').rstrip()} parameters, batch {graph.batch:,}"
    )
    headings: Headings = (
        ("layer", True),
        ("op", True),
        ("inputs", True),
        ("output", True),
        ("MACs", False),
        ("parameters", False),
    )
    rows: list[tuple[str, ...]] = [
        (
            printable(layer.name),
            layer.op,
            " + ".join(_shape(shape) for shape in graph.input_shapes(layer)),
            _shape(graph.tensors[layer.output].shape),
            f"{graph.dense_macs(layer):,}",
            f"{graph.parameters(layer):,}",
        )
        for layer in graph.layers
    ]
    return title, headings, rows


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
