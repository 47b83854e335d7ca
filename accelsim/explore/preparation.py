"""What has to be known before a study begins: whether its space is sound, what it is a study of, a point's task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelsim import __version__
from accelsim.config.loader import seen_from
from accelsim.config.model import validate
from accelsim.config.schema import HardwareConfig
from accelsim.energy.table import load_energy_table
from accelsim.errors import ConfigError, InputError
from accelsim.explore.learning import LearningSampler
from accelsim.explore.paths import with_value
from accelsim.explore.sampling import LEARNING, fixed_points
from accelsim.hardware.dram.tables import resolve
from accelsim.numerics.accuracy_request import AccuracyRequest
from accelsim.workload.loader import load_workload

if TYPE_CHECKING:
    from accelsim.explore.evaluation import Task
    from accelsim.explore.fidelity import FidelityPlan
    from accelsim.explore.space import Space


def study_record(name: str, space: Space, plan: FidelityPlan) -> dict[str, Any]:
    """What a study is a study of: stored with it, and compared when it is continued."""
    return {
        "name": name,
        "version": __version__,
        "space": space.content_hash,
        "fidelity": plan.to_dict(),
        "hardware": space.base["name"],
        "workloads": list(space.workloads),
        "objectives": list(space.objectives),
        "sampler": space.sampler,
        "parameters": [entry.path for entry in space.parameters],
    }


def check_space(space: Space, plan: FidelityPlan) -> None:
    """Find mistakes before anything is stored: a DRAM device, energy table or workload that does not exist, no points.

    Raises
    ------
    InputError
        Naming the file and the key.
    """
    machines = [space.base] + [
        with_value(space.base, entry.path, value)
        for entry in space.parameters
        if entry.path in ("dram.device", "dram.speed_bin", "energy.table")
        for value in entry.examples
    ]
    for machine in machines:
        config = validate(HardwareConfig, machine, space.where, ConfigError)
        with seen_from(space.where, "dram"):
            resolve(config.dram)
        with seen_from(space.where):
            load_energy_table(config.energy.table)
    named = [entry.examples for entry in space.parameters if entry.path == "workload"]
    for workload in named[0] if named else space.workloads:
        try:
            graph = load_workload(str(workload))
            if space.uses_accuracy:
                from accelsim.numerics.run_accuracy import find_images  # takes its time to import

                find_images(graph, AccuracyRequest(wanted=True))
        except InputError as error:
            raise error.within(space.where) from None
    if space.uses_accuracy and plan.mode == "estimate":
        raise InputError("has no accuracy, which the space asks for", where="--fidelity", value=plan.mode,
                         allowed="full, multi")  # fmt: skip
    if space.sampler in LEARNING:
        LearningSampler(space).propose()
    else:
        fixed_points(space, 1)


def task_of(
    space: Space, point: dict[str, Any], fidelity: str, *, seed: int = 0, cache: dict[str, Any] | None = None
) -> Task:
    """Make the task that evaluates a point; a key that cannot be derived makes it fail where it runs."""
    try:
        machine = space.machine(point)
    except ConfigError as error:
        return {"failed": str(error)}
    return {
        "version": __version__,
        "machine": {key: value for key, value in machine.items() if key not in ("description", "sources")},
        "workloads": list(space.point_workloads(point)),
        "batch": space.point_batch(point),
        "seed": seed,
        "fidelity": fidelity,
        "accuracy": space.uses_accuracy and fidelity == "full",
        "cache": cache,
    }
