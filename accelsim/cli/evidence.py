"""Commands that try what papers say."""

# no postponed annotations here: typer reads them when the commands are defined

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from accelsim.cli.program import Json, Overrides, app, print_json, print_rich
from accelsim.errors import RunError


@app.command()
def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID ...]",
            help="Claims by id or its first words, or paths of claim files (default: all; see list claims).",
        ),
    ] = None,
    *,
    catalog: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of claim files (default: those that ship).")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("-j", "--workers", min=1, help="Processes on this machine (default: one per processor)."),
    ] = None,
    reduced: Annotated[
        bool, typer.Option("--reduced", help="Run each claim's reduced experiment: quick, and less telling.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Take over results that are not out of date, or run all again.")
    ] = True,
    publish: Annotated[
        bool, typer.Option("--publish", help="Also write the tables, the page and the figure under reports/.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Cache of simulations (default: the user's cache).")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no cache on disk.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Folder for results and page (default: reports/claims)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Try published claims: claimed, simulated, verdict, and why.

    Results are kept as they come: the same command goes on where it was stopped.
    """
    from accelsim.report.claims_command import ClaimsOptions, run_claims_command

    options = ClaimsOptions(
        tuple(names or ()), catalog, workers or os.cpu_count() or 1, out, reduced=reduced, fresh=not resume,
        publish=publish, cache=cache, use_cache=not no_cache,
    )  # fmt: skip
    done = run_claims_command(options, ["accelsim", *sys.argv[1:]])
    if as_json:
        print_json(done.document)
    else:
        from accelsim.report.claims_summary import claims_summary

        print_rich(lambda console: claims_summary(done, console.width))
    if done.failed:
        why = "; ".join(f"{name}: {error}" for name, error in done.failed.items())
        raise RunError(f"{len(done.failed)} of {len(done.judged)} experiments failed: {why}")


@app.command()
def study(
    name: Annotated[
        Literal["eden", "smartdeal", "ddi"],
        typer.Argument(
            help="eden: DRAM energy and speedup, by platform. smartdeal: energy and speedup, by network. "
            "ddi: what skipping saves, by machine and network."
        ),
    ],
    *,
    platform: Annotated[
        list[str] | None,
        typer.Option(help="eden, ddi: platform whose name begins so; may be given again (default: all)."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="smartdeal, ddi: network whose name begins so; may be given again (default: all)."),
    ] = None,
    training: Annotated[bool, typer.Option(help="smartdeal: also simulate steps of training.")] = True,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder (default: reports/studies/<name>).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Repeat the evaluation of a paper: published figures beside simulated ones."""
    from accelsim.report.study_runs import check_overrides, run_ddi, run_eden, run_smartdeal

    folder = out or Path("reports") / "studies" / name
    check_overrides(name, overrides or ())
    if name == "eden":
        document, summary = run_eden(folder, platform or (), network or ())
    elif name == "ddi":
        document, summary = run_ddi(folder, platform or (), network or ())
    else:
        document, summary = run_smartdeal(folder, network or (), platform or (), overrides or (), training=training)
    if as_json:
        print_json(document)
        return
    print_rich(lambda console: summary(console.width))
