"""Reads topology files of SCALE-Sim: one layer a line, as a convolution or as a matrix product.

The two forms are told apart by their header line:

- convolution: ``Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,``
  with an optional second stride (columns) and an optional sparsity ratio ``N:M``;
- matrix product: ``Layer, M, N, K,`` with M rows of the input (output pixels), N filters and K the inner dimension,
  and optionally a sparsity ratio and a number of independent products.

Layers are independent of each other there, so every imported layer reads an input of the graph of its own. A ratio
``N:M`` is checked, and the layer imported dense: SCALE-Sim too ignores it unless its sparsity support is switched on.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from accelsim.errors import WorkloadError
from accelsim.strict_yaml import read_text
from accelsim.units import ceil_div
from accelsim.workload.graph import Layer, LayerGraph, Tensor
from accelsim.workload.operators import Conv, Gemm, Operator, Window

_CONV_COLUMNS = (
    "IFMAP Height",
    "IFMAP Width",
    "Filter Height",
    "Filter Width",
    "Channels",
    "Num Filter",
    "Strides",
)
_GEMM_COLUMNS = ("M", "N", "K")
_LARGEST_CELL = 2**31 - 1


@dataclass(frozen=True)
class _Row:
    """One layer line: its cells without the name, and where it stands."""

    path: Path
    line: int
    name: str
    cells: tuple[str, ...]

    def error(self, problem: str, column: str, value: object = ..., allowed: str | None = None) -> WorkloadError:
        key = f"line {self.line}, column {column!r}"
        return WorkloadError(problem, where=self.path, key=key, value=value, allowed=allowed)

    def integer(self, index: int, column: str) -> int:
        if index >= len(self.cells) or not self.cells[index]:
            raise self.error("is missing", column)
        cell = self.cells[index]
        if not re.fullmatch(r"\+?[0-9]{1,10}", cell, re.ASCII) or not 1 <= int(cell) <= _LARGEST_CELL:
            raise self.error("not accepted", column, cell, f"a whole number from 1 to {_LARGEST_CELL}")
        return int(cell)

    def sparsity(self, cell: str) -> None:
        match = re.fullmatch(r"([0-9]{1,9})\s*:\s*([0-9]{1,9})", cell, re.ASCII)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise self.error("not accepted", "Sparsity", cell, "a ratio N:M of whole numbers, 1 <= N <= M")


def import_topology(path: str | Path) -> LayerGraph:
    """Read a SCALE-Sim topology file.

    A convolution without padding has ``ceil((H - R + stride) / stride)`` output rows in SCALE-Sim, one more than usual
    where the stride does not divide ``H - R``; the imported layer has the zero rows (and columns) after the input that
    give exactly this size. A layer with ``DP`` in its name is depthwise, as it is there: `Num Filter` filters for each
    channel. Layers without a name are called ``layer<index>`` with SCALE-Sim's index from 0, and a name that has been
    used before gets its count appended (``conv``, ``conv_2``).

    Parameters
    ----------
    path
        The CSV file.

    Raises
    ------
    WorkloadError
        Naming file, line, column and value of the first cell that makes no layer.
    """
    path = Path(path)
    rows = _read_rows(path)
    if not rows:
        raise WorkloadError("is empty", where=path, allowed="a SCALE-Sim topology: a header line, then a layer a line")
    header, *rows = rows
    read = _gemm if _is_gemm_header(header) else _conv
    if not rows:
        raise WorkloadError("has a header but no layers", where=path)
    inputs, layers = [], []
    taken: set[str] = set()
    for index, row in enumerate(rows):
        name = _unique_name(row.name or f"layer{index}", taken)
        shape, operator = read(row)
        inputs.append(Tensor(f"{name}.ifmap", shape))
        layers.append(Layer(name, operator, (f"{name}.ifmap",), f"{name}.ofmap", f"{name}.filter"))
    return LayerGraph(path.stem, tuple(inputs), tuple(layers), str(path))


def _read_rows(path: Path) -> list[_Row]:
    text = read_text(path, WorkloadError).removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    rows = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            while stripped and not stripped[-1]:
                stripped.pop()
            if stripped:
                rows.append(_Row(path, reader.line_num, stripped[0], tuple(stripped[1:])))
    except csv.Error as problem:
        raise WorkloadError(f"not valid CSV: {problem}", where=path, key=f"line {reader.line_num}") from None
    return rows


def _is_gemm_header(header: _Row) -> bool:
    names = [cell.upper() for cell in header.cells]
    if names[:3] == ["M", "N", "K"]:
        return True
    if len(names) >= len(_CONV_COLUMNS) and not any(re.fullmatch(r"[-+0-9.]+", name) for name in names):
        return False
    raise WorkloadError(
        "is no header of a SCALE-Sim topology",
        where=header.path,
        key=f"line {header.line}",
        value=", ".join((header.name, *header.cells)),
        allowed=f"Layer name, {', '.join(_CONV_COLUMNS)} or Layer, {', '.join(_GEMM_COLUMNS)}",
    )


def _conv(row: _Row) -> tuple[tuple[int, ...], Operator]:
    numbers = [row.integer(index, column) for index, column in enumerate(_CONV_COLUMNS)]
    height, width, rows, cols, channels, filters, stride_rows = numbers
    stride_cols = stride_rows
    further = row.cells[len(_CONV_COLUMNS) :]
    if further and ":" not in further[0]:
        stride_cols = row.integer(len(_CONV_COLUMNS), "Stride Width")
        further = further[1:]
    _check_rest(row, further)
    for size, extent, column in ((height, rows, "Filter Height"), (width, cols, "Filter Width")):
        if extent > size:
            raise row.error(f"is larger than the input, which has {size}", column, extent)
    padding = (0, 0, _extra(height, rows, stride_rows), _extra(width, cols, stride_cols))
    groups = channels if "DP" in row.name else 1
    window = Window((rows, cols), (stride_rows, stride_cols), padding)
    return (1, channels, height, width), Conv(groups * filters, window, groups, bias=False)


def _extra(size: int, extent: int, stride: int) -> int:
    """Zero rows after the input with which the last, incomplete step of the window becomes a whole one."""
    return ceil_div(size - extent, stride) * stride + extent - size


def _gemm(row: _Row) -> tuple[tuple[int, ...], Operator]:
    gemm_m, gemm_n, gemm_k = (row.integer(index, column) for index, column in enumerate(_GEMM_COLUMNS))
    further = row.cells[len(_GEMM_COLUMNS) :]
    products = 1
    if further and ":" not in further[-1]:
        products = row.integer(len(row.cells) - 1, "Batch")
        further = further[:-1]
    _check_rest(row, further)
    if products > 1:  # each product has filters of its own: a grouped convolution of single pixels
        return (1, products * gemm_k, gemm_m, 1), Conv(products * gemm_n, Window((1, 1)), products, bias=False)
    return (1, gemm_m, gemm_k), Gemm(gemm_n, bias=False, per_position=True)


def _check_rest(row: _Row, cells: tuple[str, ...]) -> None:
    if len(cells) > 1:
        raise row.error("is one cell too many", str(len(row.cells) - len(cells) + 3), cells[1])
    for cell in filter(None, cells):
        row.sparsity(cell)


def _unique_name(wanted: str, taken: set[str]) -> str:
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    taken.add(name)
    return name
