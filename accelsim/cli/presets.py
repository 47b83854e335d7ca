"""Commands that show what ships."""

# no postponed annotations here: typer reads them when the commands are defined

from typing import Annotated, Literal

import typer

from accelsim.cli.program import Json, app, emit, print_json, print_rich


@app.command("list")
def list_entries(
    kind: Annotated[
        Literal["hardware", "workloads", "dram", "energy", "spaces", "claims"],
        typer.Argument(metavar="KIND", help="What to list: hardware, workloads, dram, energy, spaces or claims."),
    ],
    *,
    as_json: Json = False,
) -> None:
    """List the presets, networks and claims that ship with accelsim."""
    from accelsim.report.catalogue import entries, entry_table

    if as_json:
        print_json(entries(kind))
        return
    from accelsim.report.tables import listing

    headings, rows = entry_table(kind)
    print_rich(lambda _: listing(headings, rows))


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a preset, network or claim, or path of a workload.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Show a preset with the sources of its numbers, the layers of a network, or the file of a claim."""
    from accelsim.report import catalogue

    found = catalogue.find(name)
    if isinstance(found, tuple):
        kind, path = found
        if as_json:
            print_json(catalogue.preset_record(kind, path))
        else:
            from accelsim.config.loader import preset_text

            emit(preset_text(path))
    elif as_json:
        print_json(catalogue.workload_record(found))
    else:
        from accelsim.report.tables import titled_listing

        title, headings, rows = catalogue.workload_table(found)
        print_rich(lambda _: titled_listing(title, headings, rows))
