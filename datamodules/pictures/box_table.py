"""A CSV file of boxes: which picture each is in, and its corners."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.tables.layout import find_column, first_row, is_number, open_text


class BoxTable(NamedTuple):
    """Rows of a table of boxes.

    Attributes:
        names: of the pictures, as the file has them.
        corners: (x0, y0, x1, y1) in pixels, (N, 4).
        lines: where the rows end in the file.

    Example:
        >>> BoxTable(["a.jpg"], np.array([[0.0, 0, 5, 5]]), [2]).names
        ['a.jpg']
    """

    names: list[str]
    corners: np.ndarray
    lines: list[int]


def read_box_table(path: Path, columns: Sequence[int | str]) -> BoxTable:
    r"""Read a table of boxes; columns that are not named may hold anything.

    The first row holds names if the cells of the corners in it are no numbers.

    Args:
        path: of a CSV file, in UTF-8, with any of the usual delimiters.
        columns: names or positions of five columns: the picture, x0, y0, x1, y1.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, lacks a column, or holds something that is no box; the message names the line.

    Example:
        >>> path = getfixture("tmp_path") / "faces.csv"
        >>> size = path.write_text("image_name,x0,y0,x1,y1\na.jpg,1,2,11,22\n")
        >>> read_box_table(path, ["image_name", "x0", "y0", "x1", "y1"]).corners.tolist()
        [[1.0, 2.0, 11.0, 22.0]]
    """
    if len(columns) != 5:
        raise ValueError(f"columns must be five, the picture's and those of x0, y0, x1, y1, got {list(columns)}")
    first, delimiter = first_row(path)
    positions = all(isinstance(column, int) for column in columns)
    header = not positions or not all(is_number(first[int(column)]) for column in columns[1:] if _has(first, column))
    names = [cell.strip() for cell in first] if header else [f"column {n + 1}" for n in range(len(first))]
    places = [find_column(path, names, column, header, "columns") for column in columns]
    table = BoxTable([], np.zeros((0, 4)), [])
    corners: list[list[float]] = []
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter)
        filled = (row for row in reader if any(cell.strip() for cell in row))
        if header:
            next(filled)
        for row in filled:
            if len(row) <= max(places):
                raise ValueError(
                    f"{path}, line {reader.line_num}: {len(row)} values, expected {len(names)} as in the first row: "
                    "repair or delete the line"
                )
            table.names.append(row[places[0]].strip())
            corners.append(_corners(path, reader.line_num, [row[place] for place in places[1:]]))
            table.lines.append(reader.line_num)
    if not corners:
        raise ValueError(f"{path} has no rows beside its first: write one for each box")
    return table._replace(corners=np.array(corners))


def _has(row: Sequence[str], column: int | str) -> bool:
    return isinstance(column, int) and -len(row) <= column < len(row)


def _corners(path: Path, line: int, cells: list[str]) -> list[float]:
    if not all(map(is_number, cells)):
        raise ValueError(
            f"{path}, line {line}: a box must be four numbers x0, y0, x1, y1, got {', '.join(map(repr, cells))}: "
            "repair or delete the line"
        )
    x0, y0, x1, y1 = map(float, cells)
    if not (x0 < x1 and y0 < y1):
        raise ValueError(
            f"{path}, line {line}: a box must have x0 < x1 and y0 < y1, its upper left corner first, got x0={x0:g}, "
            f"y0={y0:g}, x1={x1:g}, y1={y1:g}: repair the line, or name the columns in that order as columns "
            "(--data.columns)"
        )
    return [x0, y0, x1, y1]


def check_inside(path: Path, table: BoxTable, sizes: np.ndarray) -> None:
    """Raise a ValueError where a box leaves its picture; by less than a pixel is rounding.

    Args:
        path: of the table, for the message.
        table: its rows.
        sizes: (width, height) of each row's picture, (N, 2).

    Example:
        >>> check_inside(Path("a.csv"), BoxTable(["a.jpg"], np.array([[0.0, 0, 5, 5]]), [2]), np.array([[5, 5]]))
    """
    outside = (table.corners < -1).any(1) | (table.corners[:, 2:] > sizes + 1).any(1)
    outside |= (table.corners[:, 2:] <= 0).any(1) | (table.corners[:, :2] >= sizes).any(1)  # nothing of it is inside
    if outside.any():
        row = int(outside.argmax())
        width, height = sizes[row]
        raise ValueError(
            f"{path}, line {table.lines[row]}: the box {table.corners[row].tolist()} leaves its picture "
            f"{table.names[row]!r} of {width} x {height} pixels ({int(outside.sum())} boxes do): coordinates are "
            "pixels of the picture as it is shown, from its upper left corner; repair or delete the lines"
        )
