"""The command for memory traces."""

# no postponed annotations here: typer reads them when the commands are defined

from pathlib import Path
from typing import Annotated

import typer

from accelsim.cli.program import Json, Overrides, app, print_json, print_rich


@app.command()
def dram(
    trace: Annotated[
        Path,
        typer.Argument(metavar="TRACE", help="Memory trace: LD|ST ADDR, R|W ADDR or ADDR READ|WRITE CYCLE per line."),
    ],
    *,
    device: Annotated[str | None, typer.Option(help="Preset (see `accelsim list dram`) or device file.")] = None,
    address_map: Annotated[str | None, typer.Option("--map", help="Address map, e.g. RoBaRaCoCh.")] = None,
    ranks: Annotated[int | None, typer.Option(min=1, help="Ranks per channel.")] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="Channels.")] = None,
    overrides: Overrides = None,
    commands: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the commands issued, as CSV.")] = None,
    as_json: Json = False,
) -> None:
    """Replay a memory trace straight through the DRAM controller."""
    from accelsim.report.memory_trace import memory_config, replay_summary
    from accelsim.report.run_folder import check_writable

    if commands is not None:
        check_writable(commands, "--commands", folder=False)
    options = {"device": device, "address_map": address_map, "ranks": ranks, "channels": channels}
    config = memory_config({key: value for key, value in options.items() if value is not None}, overrides or ())
    from accelsim.hardware.dram.replay import replay_trace

    result = replay_trace(trace, config, commands_path=commands)
    if as_json:
        print_json(result.to_dict())
        return
    print_rich(lambda console: replay_summary(result, config, console.width))
