"""The program around the commands: its options, its exit codes, and how it prints."""

# no postponed annotations here: typer reads them when the commands are defined

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import accelsim
from accelsim.errors import AccelsimError, InputError

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
_OBJECTS_BETWEEN_COLLECTIONS = 500_000
"""Python looks for cycles of garbage after every 700 new objects, which takes a fifth of a short run for nothing; the
imports alone make 200,000 objects, all of which stay."""

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
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
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


def emit(text: str) -> None:
    """Write to standard output, whose reader may be gone."""
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
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    message = message.replace("Value error, ", "").replace("Input should", "it should")
    context = getattr(error, "ctx", None)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def print_rich(render: Callable[["Console"], Any]) -> None:
    """Print something rich, as wide as the terminal."""
    from accelsim.report.tables import make_console

    console = make_console()
    with console.capture() as captured:
        console.print(render(console))
    emit(captured.get())


def print_json(document: object) -> None:
    """Print one JSON document."""
    emit(json.dumps(document, indent=2, allow_nan=False) + "\n")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        emit(f"accelsim {accelsim.__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        emit(context.get_help() + "\n")
