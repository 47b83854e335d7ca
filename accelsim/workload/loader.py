"""Finds a workload by name or path and loads it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.errors import WorkloadError
from accelsim.resources import resource_folder
from accelsim.workload.graph import LayerGraph

if TYPE_CHECKING:
    from collections.abc import Callable

_SUFFIXES = (".onnx", ".csv", ".yaml", ".yml")


@dataclass(frozen=True)
class WorkloadSummary:
    """One line of the list of workloads: what it is, how many layers, multiply-accumulates and parameters it has."""

    name: str
    description: str
    layers: int
    macs: int
    parameters: int


def load_workload(source: str | Path | LayerGraph) -> LayerGraph:
    """Load a workload.

    Parameters
    ----------
    source
        A graph (returned as it is), the name of a network of the zoo or of a preset (upper case, ``-``, ``_`` and
        ``.`` do not matter), or the path of an ONNX model, a SCALE-Sim topology or a native YAML file, told apart by
        its suffix.

    Raises
    ------
    WorkloadError
        When nothing has this name, or the file is no workload.
    """
    if isinstance(source, LayerGraph):
        return source
    if isinstance(source, str):
        build = _named().get(_folded(source))
        if build is not None:
            return build()
        if not _looks_like_path(source):
            raise _unknown_name(source)
    return _load_file(Path(source))


def list_workloads() -> list[WorkloadSummary]:
    """Summaries of all networks and presets that `load_workload` knows by name."""
    return [_summary(name, build()) for name, build in _networks_and_presets().items()]


def _summary(name: str, graph: LayerGraph) -> WorkloadSummary:
    return WorkloadSummary(name, graph.description or "", len(graph.layers), graph.total_macs, graph.total_parameters)


def _networks_and_presets() -> dict[str, Callable[[], LayerGraph]]:
    from accelsim.workload.zoo import NETWORKS

    files = sorted((resource_folder("workloads") / "models").glob("*.yaml"))
    return {**NETWORKS, **{path.stem: partial(_load_file, path) for path in files}}


def _named() -> dict[str, Callable[[], LayerGraph]]:
    """Builders by folded name, other names included."""
    from accelsim.workload.zoo import ALIASES

    builders = _networks_and_presets()
    named = {_folded(alias): builders[name] for alias, name in ALIASES.items()}
    named.update((_folded(name), build) for name, build in builders.items())
    return named


def _folded(name: str) -> str:
    return "".join(character for character in name.lower() if character not in "-_. ")


def _looks_like_path(source: str) -> bool:
    return "/" in source or "\\" in source or Path(source).suffix.lower() in _SUFFIXES or _exists(Path(source))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a file name, or a null character in it
        return False


def _unknown_name(name: str, where: object = "workload", key: str | None = None) -> WorkloadError:
    known = list(_networks_and_presets())
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return WorkloadError(
        f"no workload has this name; {hint}`accelsim list workloads` shows them all",
        where=where,
        key=key,
        value=name,
        allowed=f"a name from that list, or the path of a file that ends in {', '.join(_SUFFIXES)}",
    )


def _load_file(path: Path, below: tuple[Path, ...] = ()) -> LayerGraph:
    suffix = path.suffix.lower()
    if not _exists(path):
        raise WorkloadError("no such file", where=path)
    if path.is_dir():
        raise WorkloadError("is a directory, not a file", where=path)
    # each importer is loaded when its format is met: onnx and pydantic take their time
    if suffix == ".onnx":
        from accelsim.workload.onnx_import import import_onnx

        return import_onnx(path)
    if suffix == ".csv":
        from accelsim.workload.scalesim_import import import_topology

        return import_topology(path)
    if suffix in {".yaml", ".yml"}:
        return _load_yaml(path, below)
    raise WorkloadError(
        "is no workload format by its suffix", where=path, value=path.suffix, allowed=", ".join(_SUFFIXES)
    )


def _load_yaml(path: Path, below: tuple[Path, ...]) -> LayerGraph:
    """A native workload file, or one that annotates another network."""
    from accelsim.strict_yaml import load_mapping
    from accelsim.workload.yaml_io import parse_workload

    document = load_mapping(path, WorkloadError)
    if "network" not in document:
        return parse_workload(document, path)
    from accelsim.workload.annotated import annotate

    if path.resolve() in below:
        chain = " -> ".join(file.name for file in (*below, path))
        raise WorkloadError("names itself", where=path, key="network", value=chain)
    return annotate(document, path, _network_of(document["network"], path, (*below, path.resolve())))


def _network_of(name: object, path: Path, below: tuple[Path, ...]) -> LayerGraph:
    """The network that an annotated workload names."""
    if not isinstance(name, str):
        raise WorkloadError("not accepted", where=path, key="network", value=name, allowed="a name or a path")
    build = _named().get(_folded(name))
    if build is not None:
        return build()
    if not _looks_like_path(name):
        raise _unknown_name(name, path, "network")
    return _load_file(path.parent / name, below)
