"""Commands that search: for machines, and for the errors that a network bears."""

# no postponed annotations here: typer reads them when the commands are defined

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from accelsim.cli.program import Data, Json, Overrides, app, print_json, print_rich


@app.command()
def explore(
    space: Annotated[
        str, typer.Argument(metavar="SPACE", help="Space file (YAML), or one that ships (see list spaces).")
    ],
    *,
    hardware: Annotated[
        str | None, typer.Option(metavar="HARDWARE", help="Machine to vary instead of the one in the space file.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("-j", "--workers", min=1, help="Processes on this machine (default: one per processor)."),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Use the workers of this Dask scheduler, e.g. tcp://host:8786."),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Points to evaluate (default: that of the file).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study (default: that of the file).")] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Optuna storage: SQLite file or database URL (default: in --out).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the study where it stopped.")] = False,
    fidelity: Annotated[
        Literal["full", "estimate", "multi"],
        typer.Option(help="Simulate all, estimate all, or estimate all and simulate what promises something."),
    ] = "full",
    keep: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share that --fidelity multi simulates at least.")
    ] = 0.25,
    margin: Annotated[
        float, typer.Option(min=0.0, help="Distance from the estimated front within which multi simulates, too.")
    ] = 0.1,
    check: Annotated[
        int, typer.Option(min=0, help="Points that --fidelity estimate simulates to measure its error.")
    ] = 10,
    transfer_from: Annotated[
        str | None,
        typer.Option(metavar="STORAGE[#NAME]", help="Compare with a study of another machine over the same space."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Cache of stages (default: the user's cache).")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no cache on disk.")] = False,
    runs: Annotated[
        str | None, typer.Option(metavar="front|N,N", help="Write run folders of these trials, for accelsim compare.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Folder of the study (default: reports/studies/<name>)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Explore a design space; write a study folder with report.html, print the Pareto front."""
    from accelsim.report.explore_command import ExploreOptions, explore_space

    options = ExploreOptions(
        hardware=hardware, workers=workers, dask=dask, trials=trials, name=name, storage=storage, resume=resume,
        fidelity=fidelity, keep=keep, margin=margin, check=check, transfer_from=transfer_from, cache=cache,
        use_cache=not no_cache, runs=runs, out=out,
    )  # fmt: skip
    done = explore_space(space, options, sys.argv)
    if as_json:
        print_json(done.document)
    else:
        print_rich(lambda _: done.summary)


@app.command()
def tolerate(
    hardware: Annotated[str, typer.Argument(metavar="HARDWARE", help="Preset or YAML file.")],
    workload: Annotated[str, typer.Argument(metavar="WORKLOAD", help="ONNX model, or YAML file that names one.")],
    *,
    overrides: Overrides = None,
    error_model: Annotated[
        list[str] | None,
        typer.Option(help="uniform, bitline, wordline or data_dependent; may be given again (default: uniform)."),
    ] = None,
    drop: Annotated[float, typer.Option(help="Share of right answers that may be lost.")] = 0.01,
    images: Annotated[int, typer.Option(min=1, help="Images that decide, from the first.")] = 1_000,
    fine_images: Annotated[int, typer.Option(min=1, help="Images that decide in the sweep over tensors.")] = 1_000,
    modules: Annotated[int, typer.Option(min=1, help="DRAM modules that accuracy is the mean of.")] = 2,
    fine: Annotated[bool, typer.Option("--fine/--coarse", help="Whether to sweep over tensors.")] = True,
    correction: Annotated[
        Literal["zero", "saturate", "none"], typer.Option(help="What becomes of values that cannot be right.")
    ] = "zero",
    data: Data = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Folder for the files (default: under reports/tolerance)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Search what bit-error rates a network tolerates, coarse and per tensor, and the mapping that they allow.

    The folder keeps every trial: the same command goes on where it was stopped.
    """
    from accelsim.report.run_folder import check_writable
    from accelsim.report.tolerance_folder import default_folder, write_tolerance

    folder = out or default_folder(hardware, workload)
    check_writable(folder)
    from accelsim import tolerate as search
    from accelsim.report.progress import StageProgress

    request = search.ToleranceRequest(
        search.error_kinds(error_model or ("uniform",)), drop, images, fine_images, modules, fine,
        correction=correction, data=data,
    )  # fmt: skip
    with StageProgress() as progress:
        result = search.tolerate(
            hardware, workload, request, overrides=overrides or (), log=folder / "trials.jsonl", progress=progress.note
        )
    write_tolerance(result, folder, hardware)
    if as_json:
        print_json(result.to_dict())
        return
    from accelsim.report.tolerance_folder import tolerance_summary

    print_rich(lambda console: tolerance_summary(result, console.width, folder))
