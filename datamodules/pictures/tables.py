"""Tables of pictures and their classes: metadata.csv and StyleGAN's dataset.json."""

import csv
import io
import json
import posixpath
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from datamodules.pictures.scanning import TABLES, Found


class PictureTable(NamedTuple):
    """Which files a table names, and their classes.

    Attributes:
        names: the files, in the table's order, below its folder; None where it means all that are there.
        labels: the class of each; None where the table gives none.
        folders_decide: whether class folders give the classes then.
    """

    names: list[str] | None
    labels: list[str] | None
    folders_decide: bool


def read_tables(
    found: Found, splits: Iterable[str], read: Callable[[str], bytes]
) -> tuple[dict[str, str | None], bool] | None:
    r"""The pictures that tables name, with their classes, and whether class folders decide those.

    A table lies at the top, or else in each of the folders `splits`. None where there is none.

    Args:
        found: what lies there.
        splits: the names of the folders of splits.
        read: gives the bytes of a file.

    Raises:
        ValueError: a table is no such table, names nothing, contradicts another one, names a file twice or one that
            is not there.

    Example:
        >>> found = Found({"a.png": (1, 1), "b.png": (1, 1)}, others=["metadata.csv"])
        >>> read_tables(found, [], lambda name: b"file_name,label\nb.png,cat")
        ({'b.png': 'cat'}, False)
    """
    paths = _table_paths(found, splits)
    rows: dict[str, str | None] = {}
    tables = [_read_table(read(path), path) for path in paths]
    if len({(table.labels is None, table.folders_decide) for table in tables}) > 1:
        raise ValueError(f"{quoted(paths)} must either all give classes or none: write them in all of these files")
    for path, table in zip(paths, tables, strict=True):
        folder = path[: path.rfind("/") + 1]
        names = _all_or_named(found, folder, table, path)
        rows.update(dict.fromkeys(names) if table.labels is None else zip(names, table.labels, strict=True))
    return (rows, tables[0].folders_decide) if tables else None


def read_metadata(content: bytes, where: str) -> PictureTable:
    r"""Hugging Face's metadata.csv: a column `file_name` and, if classes are given, a column `label`.

    UTF-8, with or without a byte order mark; columns are separated by commas; other columns are not read. Spaces round
    a label and before a value do not count. Without the column `label`, class folders decide.

    Args:
        content: the file's bytes.
        where: its name, for messages.

    Raises:
        ValueError: it is no such table, or a row lacks a name or a label.

    Example:
        >>> read_metadata(b"file_name,label\n1.jpg,cat\n", "metadata.csv")
        PictureTable(names=['1.jpg'], labels=['cat'], folders_decide=False)
    """
    lines, rows = _csv_rows(content, where)
    columns = [column.strip() for column in rows[0]] if rows else []
    if "file_name" not in columns:
        raise ValueError(
            f"{where} has the columns {columns}, expected 'file_name' among them and, for classes, 'label': write them "
            "in its first line, separated by commas"
        )
    names = _column(rows, lines, columns.index("file_name"), "file_name", where)
    if "label" not in columns:
        return PictureTable(names, None, folders_decide=True)
    labels = _column(rows, lines, columns.index("label"), "label", where)
    return PictureTable(names, [label.strip() for label in labels], folders_decide=False)


def read_dataset_json(content: bytes, where: str) -> PictureTable:
    """StyleGAN's dataset.json: {"labels": [["00000/img.png", 6], ...]}, or null for pictures without classes.

    The class name is the number's text. The folders are numbered parts of the set, never classes.

    Args:
        content: the file's bytes.
        where: its name, for messages.

    Raises:
        ValueError: it is something else.

    Example:
        >>> read_dataset_json(b'{"labels": [["00000/a.png", 6]]}', "dataset.json").labels
        ['6']
    """
    try:
        labels = json.loads(content)["labels"]
        if labels is None:
            return PictureTable(None, None, folders_decide=False)
        rows = [(name, label) for name, label in labels]
        wrong = next((row for row in rows if not isinstance(row[0], str) or type(row[1]) is not int), None)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(_no_dataset_json(where, f"{type(error).__name__}: {error}")) from error
    if wrong is not None:
        raise ValueError(_no_dataset_json(where, f"it holds {json.dumps(wrong)}"))
    return PictureTable([name for name, _ in rows], [str(label) for _, label in rows], folders_decide=False)


def quoted(names: Sequence[str], limit: int = 3) -> str:
    r"""Names for a message: the first few in quotes, and how many more there are.

    Example:
        >>> quoted(["a", "b\n", "c", "d", "e"])
        "'a', 'b\\n', 'c' and 2 more"
    """
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more


def _table_paths(found: Found, splits: Iterable[str]) -> list[str]:
    """The tables that count: the one at the top, or else one in each split."""
    others = set(found.others)
    folders = [""] if any(table in others for table in TABLES) else [f"{split}/" for split in splits]
    there = [[folder + table for table in TABLES if folder + table in others] for folder in folders]
    for folder, paths in zip(folders, there, strict=True):
        if len(paths) > 1:
            raise ValueError(f"there are both {paths[0]} and {paths[1]}: remove one of them")
        if not paths and any(there):
            raise ValueError(
                f"{quoted(list(chain(*there)))} is there, but nothing like it in {folder}: write one there too, or "
                "one for all splits at the top"
            )
    return list(chain(*there))


def _read_table(content: bytes, path: str) -> PictureTable:
    return (read_metadata if path.endswith(".csv") else read_dataset_json)(content, path)


def _all_or_named(found: Found, folder: str, table: PictureTable, path: str) -> list[str]:
    if table.names is None:
        return [name for name in found.pictures if name.startswith(folder)]
    if not table.names:
        raise ValueError(f"{path} names no pictures: write a row for each, or remove it to take all that are there")
    return _found_names([folder + name for name in table.names], found.pictures, path)


def _found_names(names: Sequence[str], there: Container[str], where: str) -> list[str]:
    r"""The table's names as the files are listed: without "./", and with "/" for "\\" where no file has the "\\"."""
    found = [name if name in there else posixpath.normpath(name.replace("\\", "/")) for name in names]
    missing = [name for name, plain in zip(names, found, strict=True) if plain not in there]
    if missing:
        raise ValueError(
            f"{where} names {quoted(missing)}: there is no such picture. Correct the names, which are relative to the "
            "folder of that file, or remove the rows; hidden files and files without a picture's suffix do not count"
        )
    if twice := [name for name, times in Counter(found).items() if times > 1]:
        raise ValueError(f"{where} names {quoted(twice)} more than once: leave one row for each file")
    return found


def _csv_rows(content: bytes, where: str) -> tuple[list[int], list[list[str]]]:
    """The rows that are not empty, and the lines where they end."""
    if b"\0" in content:
        raise ValueError(f"{where} is not in UTF-8 (it holds zero bytes): save it in that encoding")
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), skipinitialspace=True, strict=True)
        numbered = [(reader.line_num, row) for row in reader if row]
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is not in UTF-8 ({error}): save it in that encoding") from error
    except csv.Error as error:
        raise ValueError(f"{where}, line {reader.line_num}, is no line of a CSV file ({error}): correct it") from error
    return [line for line, _ in numbered], [row for _, row in numbered]


def _column(rows: list[list[str]], lines: list[int], index: int, name: str, where: str) -> list[str]:
    values = [row[index] if index < len(row) else "" for row in rows[1:]]
    for line, value in zip(lines[1:], values, strict=True):
        if not value.strip():
            raise ValueError(f"{where}, line {line}, has no {name}: write one, or remove the line")
    return values


def _no_dataset_json(where: str, problem: str) -> str:
    return (
        f'{where} is not StyleGAN\'s, {{"labels": [["00000/img.png", 6], ...]}} with whole numbers, or null for no '
        f'classes ({problem}): correct it, remove it, or use labels="none" to take all pictures without classes'
    )
