"""The column to be predicted: classes or numbers."""

from collections.abc import Sequence

import numpy as np

MAX_CLASSES = 100  # distinct whole numbers that are still taken for classes


def class_names(column: np.ndarray, targets: str, name: str) -> tuple[str, ...]:
    """Names of a column's classes in their order, by number or by alphabet; () where it holds numbers to be predicted.

    Args:
        column: (N,) float64 or text.
        targets: "classes", "numbers", or "auto": text is classes, and so are up to 100 distinct whole numbers.
        name: of the column, for messages.

    Raises:
        ValueError: text is to be predicted as numbers; there is one class only.

    Example:
        >>> class_names(np.array([3.0, 1.0, 1.0]), "auto", "y"), class_names(np.array([0.5, 1.0]), "auto", "y")
        (('1', '3'), ())
    """
    is_text = column.dtype.kind == "U"
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
    """A class's name: its text, or its number without needless zeros.

    Example:
        >>> as_name(np.float64(2.0)), as_name(np.str_("cat"))
        ('2', 'cat')
    """
    return str(value) if isinstance(value, str) else f"{value:.15g}"
