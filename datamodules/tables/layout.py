"""What a CSV file looks like: its delimiter, its header, which column is what."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

_DELIMITERS = ";\t|,"  # a comma last: where it is as frequent as another, it stands in decimals
_SHOWN = 20


class Layout(NamedTuple):
    """How a file is to be read.

    Attributes:
        path: of the file.
        delimiter: between values.
        header: whether the first row holds names.
        names: of all columns, in the file's order; "column 1" and so on without a header.
        target: position of the column to be predicted.
        inputs: positions of the columns that are read.

    Example:
        >>> Layout(Path("a.csv"), ",", True, ("x", "y"), 1, (0,)).width
        2
    """

    path: Path
    delimiter: str
    header: bool
    names: tuple[str, ...]
    target: int
    inputs: tuple[int, ...]

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.names)


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Context of a file of UTF-8, with or without a byte order mark.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what is read of it is no UTF-8.

    Example:
        >>> with open_text(Path("nowhere.csv")):
        ...     pass
        Traceback (most recent call last):
        FileNotFoundError: there is no file nowhere.csv: pass the path of a CSV file
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: pass the path of a CSV file")
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield file
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no text in UTF-8: save it as CSV in UTF-8") from error


def is_number(text: str) -> bool:
    """Whether a cell is a number, with a point for decimals; nan and inf are none.

    Example:
        >>> is_number(" 1e-3"), is_number("1,5"), is_number("nan")
        (True, False, False)
    """
    try:
        return "_" not in text and abs(float(text)) < float("inf")
    except ValueError:
        return False


def find_layout(path: Path, target: int | str, header: bool | None, ignore: Sequence[int | str]) -> Layout:
    """Look at a file's first row.

    Args:
        path: of the file.
        target: name or position of the column to be predicted.
        header: whether the first row holds names; None where it does if no value of it is a number, or if they count
            the columns, 0, 1, 2.
        ignore: names or positions of columns that are left out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty or no text, or a column is not there.
    """
    first, delimiter = first_row(path)
    if header is None:
        counted = [cell.strip() for cell in first] == [str(n) for n in range(len(first))]  # pandas' names by default
        header = counted or not any(is_number(cell) for cell in first)
    names = tuple(cell.strip() for cell in first) if header else tuple(f"column {n + 1}" for n in range(len(first)))
    if header:
        _check_names(path, names)
    place = find_column(path, names, target, header, "target")
    left_out = {place} | {find_column(path, names, column, header, "ignore") for column in ignore}
    inputs = tuple(column for column in range(len(names)) if column not in left_out)
    if not inputs:
        raise ValueError(
            f"{path} has no column beside the target {names[place]!r}: it was read with the delimiter {delimiter!r}"
        )
    return Layout(path, delimiter, header, names, place, inputs)


def first_row(path: Path) -> tuple[list[str], str]:
    """A file's first row, and the delimiter that it is most likely written with.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, or no text.

    Example:
        >>> path = getfixture("tmp_path") / "a.csv"
        >>> size = path.write_text("x;y")
        >>> first_row(path)
        (['x', 'y'], ';')
    """
    with open_text(path) as file:
        line = next((line for line in file if line.strip()), None)
    if line is None:
        raise ValueError(f"{path} is empty: pass a file with rows")
    bare = "".join(line.split('"')[::2])  # without what stands in quotes
    delimiter = max(_DELIMITERS, key=bare.count) if set(bare) & set(_DELIMITERS) else ","
    return next(csv.reader([line], delimiter=delimiter)), delimiter


def _check_names(path: Path, names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        if not name:
            raise ValueError(
                f"{path}: column {place + 1} has no name, as where row numbers were written: name it, or leave it out "
                f"with ignore=[{place}] (--data.ignore [{place}])"
            )
        if name in names[:place]:
            raise ValueError(f"{path}: two columns are named {name!r}: rename one")


def find_column(path: Path, names: Sequence[str], column: int | str, header: bool, argument: str) -> int:
    """The position of a column, from its name or its position.

    Raises:
        ValueError: there is no such column; the message says which there are, and names `argument`.

    Example:
        >>> find_column(Path("a.csv"), ["x", "y"], -1, True, "target")
        1
    """
    if isinstance(column, str) and column in names:
        return names.index(column)
    if isinstance(column, int) and -len(names) <= column < len(names):
        return column % len(names)
    known = ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
    if header or not isinstance(column, str):
        raise ValueError(
            f"{argument} must name a column of {path}, got {column!r}: there are {len(names)}, {known}; a whole number "
            "is a position, from 0"
        )
    raise ValueError(
        f"{argument} must be the position of a column of {path}, from 0, got {column!r}: the first row holds numbers, "
        "so it was not taken for names (header=True, --data.header true, takes it for them)"
    )
