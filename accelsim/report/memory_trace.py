"""What the terminal shows of a memory trace that was replayed through the DRAM controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from accelsim.config.dram import DramConfig
from accelsim.config.loader import apply_overrides
from accelsim.config.model import validate
from accelsim.errors import ConfigError
from accelsim.report import quantities
from accelsim.report.labels import printable, title_of
from accelsim.report.tables import fitted_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from accelsim.hardware.dram.replay import ReplayResult


def memory_config(options: Mapping[str, object], overrides: Sequence[str]) -> DramConfig:
    """Build the memory that the command line describes.

    Parameters
    ----------
    options
        Keys of the config given by options of their own.
    overrides
        Texts ``key=value``, applied after them; keys as under ``dram`` in a hardware config.

    Raises
    ------
    ConfigError
        When a key or a value is not accepted.
    """
    config = validate(DramConfig, apply_overrides(dict(options), overrides), "options of `accelsim dram`", ConfigError)
    if config.kind != "command":
        raise ConfigError(
            "replays nothing", where="options of `accelsim dram`", key="kind", value=config.kind, allowed="command"
        )
    return config


def replay_summary(result: ReplayResult, config: DramConfig, width: int) -> RenderableType:
    """Cycles, bandwidth, row-buffer states, latencies, commands and energy of a replayed trace.

    Parameters
    ----------
    result
        What the replay found out.
    config
        The memory.
    width
        Columns of the terminal.
    """
    title = Text.assemble(
        (printable(config.device), "bold"),
        f", {config.channels} channel(s) x {config.ranks} rank(s), address map {printable(config.address_map)}",
    )
    energies = {part: value for part, value in result.energy_pj.items() if part != "total" and value}
    total = result.energy_pj["total"]
    energy_rows = [
        (title_of(part), quantities.energy(value), quantities.share(quantities.ratio(value, total)))
        for part, value in energies.items()
    ]
    energy_rows.append(("total", quantities.energy(total), quantities.share(1.0 if total else 0.0)))
    return Group(
        title,
        Text(),
        fitted_table([("figure", True), ("value", False)], _figures(result), width),
        Text(),
        fitted_table([("energy", True), ("", False), ("share", False)], energy_rows, width),
    )


def _figures(result: ReplayResult) -> list[tuple[str, str]]:
    first_served = result.row_hits + result.row_misses + result.row_conflicts
    states = [
        (name, f"{count:,} ({quantities.share(quantities.ratio(count, first_served))})")
        for name, count in (
            ("row hits", result.row_hits),
            ("row misses", result.row_misses),
            ("row conflicts", result.row_conflicts),
        )
    ]
    latency = result.read_latency_cycles
    return [
        ("requests", f"{result.requests:,}"),
        ("cycles to the last accepted", f"{result.cycles_accepted:,}"),
        ("cycles to the last completed", f"{result.cycles:,}"),
        ("time", quantities.duration(result.cycles * result.clock_ps / 1_000)),
        ("bandwidth", f"{quantities.significant(result.bandwidth_gb_per_s)} GB/s"),
        *states,
        ("reads answered by queued writes", f"{result.forwarded:,}"),
        ("writes merged", f"{result.merged:,}"),
        ("read latency, mean", f"{latency.mean:,.1f} cycles"),
        ("read latency, p50 / p99 / max", f"{latency.p50:,} / {latency.p99:,} / {latency.max:,} cycles"),
        *((f"{command} commands", f"{count:,}") for command, count in result.commands.items()),
        ("simulated in", f"{result.kernel_s:.2f} s"),
    ]
