"""Commands that simulate, and set runs side by side."""

# no postponed annotations here: typer reads them when the commands are defined

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from accelsim.cli.program import Data, Json, Overrides, app, emit, print_json, print_rich
from accelsim.errors import InputError


@app.command()
def run(
    hardware: Annotated[
        str | None, typer.Argument(metavar="HARDWARE", help="Preset or YAML file (default: systolic_32x32).")
    ] = None,
    workload: Annotated[
        str | None,
        typer.Argument(metavar="WORKLOAD", help="Network, or ONNX, topology CSV or YAML file (default: fashion_cnn)."),
    ] = None,
    *,
    overrides: Overrides = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples per run (default: that of the workload).")] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Folder for the files (default: reports/runs/<run_id>)."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    accuracy: Annotated[
        bool | None,
        typer.Option("--accuracy/--no-accuracy", help="Measure accuracy (default: where the workload has images)."),
    ] = None,
    data: Data = None,
    images: Annotated[int, typer.Option(min=1, help="Images to measure accuracy on, from the first.")] = 1_000,
    modules: Annotated[
        int, typer.Option(min=1, help="DRAM modules to measure accuracy with: the seed and those that follow.")
    ] = 1,
    correction: Annotated[
        Literal["zero", "saturate", "none"], typer.Option(help="What becomes of values that cannot be right.")
    ] = "zero",
    arithmetic: Annotated[
        Literal["float", "integer"],
        typer.Option(help="Compute accuracy with the stored values in float32, or in integers alone (to 8 bits)."),
    ] = "float",
    budget_latency_us: Annotated[
        float | None, typer.Option(min=0.0, help="Most time of an inference; it stops at the last exit that fits.")
    ] = None,
    budget_energy_uj: Annotated[
        float | None, typer.Option(min=0.0, help="Most energy of an inference; it stops at the last exit that fits.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("-j", "--workers", min=1, help="Processes for samples that differ (default: one per processor)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate a network on an accelerator; write a run folder with report.html, print a summary."""
    from accelsim.report.run_folder import RUNS_FOLDER, check_writable

    check_writable(out or RUNS_FOLDER)
    from accelsim import pipeline
    from accelsim.numerics.accuracy_request import AccuracyRequest
    from accelsim.report.progress import StageProgress
    from accelsim.report.provenance import manifest
    from accelsim.report.run_folder import default_folder, write_run
    from accelsim.workload.skip import Budget

    budget = Budget(budget_latency_us, budget_energy_uj)
    source = pipeline.DEFAULT_WORKLOAD if workload is None else workload
    begin = time.perf_counter()
    with StageProgress() as progress:
        result = pipeline.simulate(
            pipeline.DEFAULT_HARDWARE if hardware is None else hardware,
            source,
            overrides=overrides or (),
            batch=batch,
            seed=seed,
            accuracy=AccuracyRequest(accuracy, data, images, modules, correction, arithmetic=arithmetic),
            progress=progress.update,
            workers=workers or os.cpu_count() or 1,
            budget=budget if str(budget) else None,
        )
    folder = out or default_folder(result.run.run_id)
    write_run(result, folder, manifest(result, sys.argv, time.perf_counter() - begin, source))
    if as_json:
        emit(result.to_json())
        return
    from accelsim.report.tables import run_summary

    print_rich(lambda console: run_summary(result, console.width, folder))


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN RUN ...", help="Run folders; ratios are to the first.")],
    *,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE.html", help="Write the comparison as a page, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show two or more run folders side by side."""
    from accelsim.report.comparison import compare as compare_runs
    from accelsim.report.run_folder import check_writable, write_text
    from accelsim.report.saved_run import read_run

    if len(folders) < 2:
        raise InputError("needs at least two run folders", where="compare", value=str(folders[0]))
    if out is not None:
        check_writable(out, folder=False)
    comparison = compare_runs([read_run(folder) for folder in folders], [str(folder) for folder in folders])
    from accelsim.report.comparison_view import comparison_summary, render_comparison

    if out is not None:
        write_text(out, render_comparison(comparison))
    if as_json:
        print_json(comparison.to_dict())
    else:
        print_rich(lambda console: comparison_summary(comparison, console.width))
