"""The column to be predicted: classes or numbers."""

from collections.abc import Sequence

import numpy as np

from datamodules.tables.layout import is_number

MAX_CLASSES = 100  # distinct whole numbers that are still taken for classes
_EXACT = 2.0**53  # from here on float64 leaves out whole numbers


def class_names(column: np.ndarray, targets: str, name: str) -> tuple[str, ...]:
    """Names of a column's classes in their order, by number or by alphabet; () where it holds numbers to be predicted.

    Args:
        column: (N,) float64 or text.
        targets: "classes", "numbers", or "auto": text is classes, and so are up to 100 distinct whole numbers.
        name: of the column, for messages.

    Raises:
        ValueError: text is to be predicted as numbers; it is numbers with a comma, unless they are to be classes;
            classes are whole numbers too large to be told apart; there is one class only.

    Example:
        >>> class_names(np.array([3.0, 1.0, 1.0]), "auto", "y"), class_names(np.array([0.5, 1.0]), "auto", "y")
        (('1', '3'), ())
    """
    is_text = column.dtype.kind == "U"
    if is_text and targets != "classes" and all(is_number(value.replace(",", ".", 1)) for value in column):
        shown = next(str(value) for value in column if "," in value)
        raise ValueError(
            f"column {name!r} holds numbers with a comma such as {shown!r}: write decimals with a point, or use "
            "targets='classes' where they are names"
        )
    if targets == "numbers":
        if is_text:
            raise ValueError(
                f"targets='numbers', but column {name!r} holds text such as {str(column[0])!r}: use 'classes'"
            )
        return ()
    values = np.unique(column)
    whole = is_text or bool((values == np.floor(values)).all())
    if targets == "auto" and not (is_text or (whole and len(values) <= MAX_CLASSES)):
        return ()
    if not is_text and np.abs(values).max() >= _EXACT:
        raise ValueError(
            f"the column {name!r} holds whole numbers up to {np.abs(values).max():g}, too large to be told apart as "
            "classes: write a letter before each, or use targets='numbers'"
        )
    if len(values) < 2:
        raise ValueError(
            f"the column {name!r} holds {as_name(values[0])!r} alone: to tell classes apart needs at least two, and "
            "targets='numbers' takes it for numbers"
        )
    return tuple(map(as_name, values))


def class_indices(column: np.ndarray, names: Sequence[str], source: str) -> np.ndarray:
    """Position in `names` of each value, (N,) int64.

    Raises:
        ValueError: a value is no class of these.

    Example:
        >>> class_indices(np.array([3.0, 1.0]), ("1", "3"), "test.csv")
        array([1, 0])
    """
    values, inverse = np.unique(column, return_inverse=True)
    place = {name: number for number, name in enumerate(names)}
    unknown = [as_name(value) for value in values if as_name(value) not in place]
    if unknown:
        raise ValueError(f"{source} holds the class {unknown[0]!r}, which the training table does not have")
    return np.array([place[as_name(value)] for value in values], dtype=np.int64)[inverse]


def as_name(value: object) -> str:
    """A class's name: its text, or its number with as few digits as tell it from all others.

    Example:
        >>> as_name(np.float64(2.0)), as_name(np.str_("cat"))
        ('2', 'cat')
    """
    return str(value) if isinstance(value, str) else repr(float(value + 0.0)).removesuffix(".0")  # type: ignore[operator]
