"""Commands on networks: import, decompose, and what is measured on images."""

# no postponed annotations here: typer reads them when the commands are defined

from pathlib import Path
from typing import Annotated, Literal

import typer

from accelsim.cli.program import Data, Json, app, emit, print_json, print_rich
from accelsim.errors import InputError


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
    emit(f"{workload_table(graph)[0]}\nwritten to {out}\n")


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
        print_json(data_record(folder))
        return
    from accelsim.report.tables import titled_listing

    title, headings, rows = data_rows(folder)
    print_rich(lambda _: titled_listing(title, headings, rows))


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
    channels: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=C,C,...", help="Zero these input channels of an array beforehand, from 0 on."),
    ] = None,
    index: Annotated[
        Literal["element", "vector", "group"], typer.Option(help="What a bit of the index stands for.")
    ] = "element",
    scale_columns: Annotated[bool, typer.Option("--scale-columns", help="Scale columns before rounding.")] = False,
    as_json: Json = False,
) -> None:
    """Decompose weights into sparse powers of two and small bases; show error, sparsity and storage."""
    from accelsim.report.decomposition import (
        decomposition_record,
        decomposition_summary,
        parse_channels,
        parse_sparsity,
    )
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
    pruned = parse_channels(channels or ())
    found = read_weights(source)
    with StageProgress() as progress:
        weights = decompose_network(
            found.arrays,
            parameters,
            network=found.network,
            where=source,
            vector_sparsity=overall,
            layer_sparsity=by_name,
            pruned_channels=pruned,
            progress=progress.update,
        )
    if out is not None:
        save_pot_weights(weights, out)
    if as_json:
        print_json(decomposition_record(weights, found.left_out))
    else:
        print_rich(lambda console: decomposition_summary(weights, found.left_out, console.width, out))


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
    emit(f"{len(tensors)} feature maps of {count} samples, {zeros / max(elements, 1):.1%} zeros, written to {out}\n")


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
        print_json(trace_record(trace))
        return
    from accelsim.report.tables import titled_listing

    title, headings, rows = trace_rows(trace)
    print_rich(lambda _: titled_listing(title, headings, rows))
