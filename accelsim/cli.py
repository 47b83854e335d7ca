"""The command line: parses, calls, prints. What a command needs is imported when it runs, so that help is instant."""

# no postponed annotations here: typer reads them when the commands are defined

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import accelsim
from accelsim.errors import AccelsimError, InputError, RunError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="accelsim",
    help="Cycle-level, event-driven simulator of deep-learning accelerators.",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]  # every error of the parser; typer hides its name
_INTERRUPTED, _READER_GONE, _FAILED = 130, 141, 1

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config."),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Folder of datasets, or labelled images: npz, or a folder with one folder for each class "
        "(default: what the workload names, then $ACCELSIM_DATA).",
    ),
]


def main() -> None:
    """Run the command line and exit: 0 done, 1 the run failed, 2 the user's input is wrong."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command line.

    Parameters
    ----------
    arguments
        What follows the program's name.

    Returns
    -------
    int
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="accelsim", standalone_mode=False)
    except AccelsimError as error:
        return _fail(str(error), error.exit_code)
    except _USAGE_ERROR as error:
        return _fail(_usage_message(error), InputError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", _INTERRUPTED)
    except _ReaderGoneError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit has to find something
        return _READER_GONE
    except SystemError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        return _fail("interrupted", _INTERRUPTED)  # a key was pressed while a compiled kernel ran
    except MemoryError:
        return _fail("out of memory", _FAILED)
    if code == _INTERRUPTED:
        _fail("interrupted", _INTERRUPTED)
    return code if isinstance(code, int) else 0


class _ReaderGoneError(Exception):
    """Whoever read standard output has closed it. No OSError, because typer would make an exit code 1 of that."""


def _emit(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise _ReaderGoneError from None


def _fail(message: str, code: int) -> int:
    line = "".join(letter if letter.isprintable() else " " for letter in message)
    sys.stderr.write(f"accelsim: error: {line}\n")
    return code


def _usage_message(error: Any) -> str:  # noqa: ANN401 - the class is private to typer
    message = str(error.format_message()).rstrip(".").replace("Value error, ", "").replace("Input should", "it should")
    context = getattr(error, "ctx", None)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _print(render: Callable[["Console"], Any]) -> None:
    """Print something rich, as wide as the terminal."""
    from accelsim.report.tables import make_console

    console = make_console()
    with console.capture() as captured:
        console.print(render(console))
    _emit(captured.get())


def _print_json(document: object) -> None:
    _emit(json.dumps(document, indent=2, allow_nan=False) + "\n")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        _emit(f"accelsim {accelsim.__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        _emit(context.get_help() + "\n")


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
        Path | None, typer.Option(metavar="DIR", help="Folder for the files (default: reports/runs/<run_id>).")
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
        _emit(result.to_json())
        return
    from accelsim.report.tables import run_summary

    _print(lambda console: run_summary(result, console.width, folder))


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN RUN ...", help="Run folders; ratios are to the first.")],
    *,
    out: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write the comparison as a page, too.")] = None,
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
        _print_json(comparison.to_dict())
    else:
        _print(lambda console: comparison_summary(comparison, console.width))


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
        Path | None, typer.Option(metavar="DIR", help="Folder of the study (default: reports/studies/<name>).")
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
        _print_json(done.document)
    else:
        _print(lambda _: done.summary)


@app.command("import")
def import_workload(
    source: Annotated[Path, typer.Argument(metavar="MODEL.onnx|TOPOLOGY.csv", help="What to read.")],
    *,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="WORKLOAD.yaml", help="What to write.")],
) -> None:
    """Turn an ONNX model or a SCALE-Sim topology into a workload in accelsim's own YAML."""
    from accelsim.report.catalogue import workload_table
    from accelsim.report.run_folder import check_writable, write_text
    from accelsim.workload.loader import load_workload
    from accelsim.workload.yaml_io import dump_yaml

    check_writable(out, folder=False)
    graph = load_workload(source)
    write_text(out, dump_yaml(graph))
    _emit(f"{workload_table(graph)[0]}\nwritten to {out}\n")


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
        _print_json(entries(kind))
        return
    from accelsim.report.tables import listing

    headings, rows = entry_table(kind)
    _print(lambda _: listing(headings, rows))


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a preset or network, or path of a workload.")],
    *,
    as_json: Json = False,
) -> None:
    """Show a preset with the sources of its numbers, or the layers of a network."""
    from accelsim.report import catalogue

    found = catalogue.find(name)
    if isinstance(found, tuple):
        kind, path = found
        if as_json:
            _print_json(catalogue.preset_record(kind, path))
        else:
            _emit(catalogue.preset_source(path))
    elif as_json:
        _print_json(catalogue.workload_record(found))
    else:
        from accelsim.report.tables import titled_listing

        title, headings, rows = catalogue.workload_table(found)
        _print(lambda _: titled_listing(title, headings, rows))


@app.command("data")
def show_data(
    *,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of datasets (default: $ACCELSIM_DATA).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which published image sets are in the data folder, whether they are complete, and where to get the rest."""
    from accelsim.report.data_table import data_record, data_rows
    from accelsim.workload.data_folder import data_folder

    folder = data_folder(data)
    if as_json:
        _print_json(data_record(folder))
        return
    from accelsim.report.tables import titled_listing

    title, headings, rows = data_rows(folder)
    _print(lambda _: titled_listing(title, headings, rows))


@app.command()
def decompose(
    source: Annotated[
        Path,
        typer.Argument(metavar="MODEL.onnx|WEIGHTS.npz", help="Weights of Conv, Gemm and MatMul, or arrays OIHW, OI."),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="OUT.npz", help="Write the weights that were found.")
    ] = None,
    theta: Annotated[float, typer.Option(help="Coefficients below it become zero.")] = 4e-3,
    sparsity: Annotated[
        list[str] | None,
        typer.Option(
            metavar="P|NAME=P", help="Zero this fraction of the weakest vectors of each group of 32 filters beforehand."
        ),
    ] = None,
    index: Annotated[
        Literal["element", "vector", "group"], typer.Option(help="What a bit of the index stands for.")
    ] = "element",
    scale_columns: Annotated[bool, typer.Option("--scale-columns", help="Scale columns before rounding.")] = False,
    as_json: Json = False,
) -> None:
    """Decompose weights into sparse powers of two and small bases; show error, sparsity and storage."""
    from accelsim.report.decomposition import decomposition_record, decomposition_summary, parse_sparsity
    from accelsim.report.progress import StageProgress
    from accelsim.report.run_folder import check_writable
    from accelsim.workload.pot.decompose import decompose_network
    from accelsim.workload.pot.files import save_pot_weights
    from accelsim.workload.pot.parameters import PotParameters
    from accelsim.workload.pot.sources import read_weights

    if out is not None:
        check_writable(out, folder=False)
    parameters = PotParameters(theta=theta, index=index, scale_columns=scale_columns)
    overall, by_name = parse_sparsity(sparsity or ())
    found = read_weights(source)
    with StageProgress() as progress:
        weights = decompose_network(
            found.arrays,
            parameters,
            network=found.network,
            where=source,
            vector_sparsity=overall,
            layer_sparsity=by_name,
            progress=progress.update,
        )
    if out is not None:
        save_pot_weights(weights, out)
    if as_json:
        _print_json(decomposition_record(weights, found.left_out))
    else:
        _print(lambda console: decomposition_summary(weights, found.left_out, console.width, out))


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
    fine_images: Annotated[int, typer.Option(min=1, help="Images that decide in the sweep over tensors.")] = 200,
    modules: Annotated[int, typer.Option(min=1, help="DRAM modules that accuracy is the mean of.")] = 2,
    fine: Annotated[bool, typer.Option("--fine/--coarse", help="Whether to sweep over tensors.")] = True,
    correction: Annotated[
        Literal["zero", "saturate", "none"], typer.Option(help="What becomes of values that cannot be right.")
    ] = "zero",
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the files (default: under reports/tolerance).")
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
        _print_json(result.to_dict())
        return
    from accelsim.report.tolerance_folder import tolerance_summary

    _print(lambda console: tolerance_summary(result, console.width, folder))


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
        Path | None, typer.Option(metavar="DIR", help="Folder for results and page (default: reports/claims).")
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
        _print_json(done.document)
    else:
        _print(lambda console: done.summary(console.width))
    if done.failed:
        raise RunError(f"{len(done.failed)} experiments failed: {', '.join(done.failed)}")


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
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder (default: reports/studies/<name>).")] = None,
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
        _print_json(document)
        return
    _print(lambda console: summary(console.width))


@app.command("record-activations")
def record_activations(
    workload: Annotated[str, typer.Argument(metavar="WORKLOAD", help="ONNX file, or YAML file that names one.")],
    *,
    images: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="`images`, or an array per input (default: the workload's own)."),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many samples, from the first.")] = 1,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="TENSORS.npz", help="What to write.")],
) -> None:
    """Write the feature maps of a network on real samples, as integers, for `tensors:` of an annotated workload."""
    from accelsim.numerics.record import record_feature_maps, write_tensors
    from accelsim.report.run_folder import check_writable
    from accelsim.workload.loader import load_workload

    check_writable(out, folder=False)
    tensors = record_feature_maps(load_workload(workload), images, samples)
    write_tensors(tensors, out)
    elements = sum(array.size for array in tensors.values())
    zeros = elements - sum(int((array != 0).sum()) for array in tensors.values())
    count = max((len(array) for array in tensors.values()), default=0)
    _emit(f"{len(tensors)} feature maps of {count} samples, {zeros / max(elements, 1):.1%} zeros, written to {out}\n")


@app.command("trace-skips")
def trace_skips(
    workload: Annotated[
        str, typer.Argument(metavar="WORKLOAD", help="Gated network: ONNX or npz file, or one that ships, by name.")
    ],
    *,
    data: Data = None,
    images: Annotated[int | None, typer.Option(min=1, help="Images, from the first (default: all).")] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="TRACE.npz|.parquet", help="What to write; the suffix says how.")
    ],
    as_json: Json = False,
) -> None:
    """Run a gated network on labelled images; write what it skipped for each, for `skip:` of an annotated workload."""
    from accelsim.numerics import skip_trace
    from accelsim.report.progress import StageProgress
    from accelsim.report.run_folder import check_writable
    from accelsim.report.trace_table import trace_record, trace_rows
    from accelsim.workload.decision_trace import save_table, save_trace

    if out.suffix not in (".npz", ".parquet"):
        raise InputError("is no format of traces", where="--out", value=str(out), allowed=".npz or .parquet")
    check_writable(out, folder=False)
    with StageProgress() as progress:
        trace = skip_trace.trace_skips(workload, data, images, lambda share: progress.update("images", share))
    (save_table if out.suffix == ".parquet" else save_trace)(out, trace)
    if as_json:
        _print_json(trace_record(trace))
        return
    from accelsim.report.tables import titled_listing

    title, headings, rows = trace_rows(trace)
    _print(lambda _: titled_listing(title, headings, rows))


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
        _print_json(result.to_dict())
        return
    _print(lambda console: replay_summary(result, config, console.width))


if __name__ == "__main__":
    main()
