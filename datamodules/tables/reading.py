"""Reading a CSV file's columns: fast where all is numbers, and cell by cell where it is not."""

import csv
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import NoReturn

import numpy as np

from datamodules.tables.layout import Layout, is_number, open_text

_MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-")
_CHUNK = 4096  # rows that are numbers of 64 bits at a time


def read_columns(layout: Layout, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (N, D) and target (N,) of a file; the target is float64, or text where a value of it is no number.

    Args:
        layout: of the file.
        dtype: of the inputs, float64 or uint8.

    Raises:
        ValueError: a value is missing or no number, a row has another number of values, there are no rows. The message
            names line and column.
    """
    everything = len(layout.inputs) == layout.width - 1  # then no text can stand where nobody looks
    try:
        if everything:
            return _read_numbers(layout, dtype)
    except ValueError:  # as NumPy has it, which knows no names of columns
        pass
    return _read_cells(layout, dtype)


def _lines(layout: Layout) -> Iterator[str]:
    with open_text(layout.path) as file:
        lines = (line for line in file if line.strip())
        if layout.header:
            next(lines)
        yield from lines


def _read_numbers(layout: Layout, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """By NumPy's own reader, in parts."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    lines = _lines(layout)
    while chunk := list(islice(lines, _CHUNK)):
        values = _parse(chunk, layout.delimiter)
        if values.shape != (len(chunk), layout.width) or not np.isfinite(values).all():
            raise ValueError
        parts.append((_as_type(layout, values[:, layout.inputs], dtype), values[:, layout.target].astype(np.float64)))
    if not parts:
        _no_rows(layout)
    inputs, targets = zip(*parts, strict=True)
    return np.concatenate(inputs), np.concatenate(targets)


def _parse(lines: list[str], delimiter: str) -> np.ndarray:
    """Numbers of lines, (N, columns): int64, which takes a sixth of the time, or else float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # an older NumPy reads 1.5 as 1, and says so
        for dtype in (np.int64, np.float64):
            with suppress(ValueError, DeprecationWarning):
                return np.loadtxt(lines, dtype, delimiter=delimiter, quotechar='"', comments=None, ndmin=2)
    raise ValueError


def _read_cells(layout: Layout, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Row by row, so that what is wrong can be named."""
    rows: list[list[float]] = []
    targets: list[str] = []
    with open_text(layout.path) as file:
        reader = csv.reader(file, delimiter=layout.delimiter)
        filled = (row for row in reader if any(cell.strip() for cell in row))
        if layout.header:
            next(filled)
        for row in filled:
            if len(row) != layout.width:
                raise ValueError(
                    f"{layout.path}, line {reader.line_num}: {len(row)} values, expected {layout.width} as in the "
                    "first row: repair or delete the line"
                )
            rows.append([_number(layout, row, column, reader.line_num) for column in layout.inputs])
            targets.append(_target(layout, row, reader.line_num))
    if not rows:
        _no_rows(layout)
    numbers = all(map(is_number, targets))
    return _as_type(layout, np.array(rows), dtype), np.array(targets).astype(np.float64 if numbers else np.str_)


def _number(layout: Layout, row: list[str], column: int, line: int) -> float:
    if is_number(row[column]):
        return float(row[column])
    place = f"{layout.path}, line {line}, column {layout.names[column]!r}"
    if row[column].strip().lower() in _MISSING:
        raise ValueError(f"{place}: the value is missing: fill it in, or delete the line or the column")
    raise ValueError(
        f"{place}: {row[column]!r} is no number: write decimals with a point, turn text into numbers, or leave the "
        f"column out with ignore=[{layout.names[column]!r}] (--data.ignore [{layout.names[column]}])"
    )


def _target(layout: Layout, row: list[str], line: int) -> str:
    text = row[layout.target].strip()
    if "\n" in text or "\r" in text:
        raise ValueError(
            f"{layout.path}: the value in column {layout.names[layout.target]!r} that ends in line {line} runs over "
            f"several lines, beginning with {text.splitlines()[0]!r}: close its quotation mark, or delete it"
        )
    if text.lower() in _MISSING:
        raise ValueError(
            f"{layout.path}, line {line}, column {layout.names[layout.target]!r}: the value is missing, and it is the "
            "one to be predicted: delete the line"
        )
    return text


def _as_type(layout: Layout, values: np.ndarray, dtype: type) -> np.ndarray:
    if dtype is np.uint8:
        wrong = (values < 0) | (values > 255) | (values != np.floor(values))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise ValueError(
                f"{layout.path}: pixels must be whole numbers from 0 to 255, got {values[row, column]:g} in column "
                f"{layout.names[layout.inputs[column]]!r}: leave image_shape out for a table of other numbers"
            )
    return values.astype(dtype)


def _no_rows(layout: Layout) -> NoReturn:
    raise ValueError(
        f"{layout.path} has no rows beside its first, which was taken for names: header=False "
        "(--data.header false) reads it"
    )
