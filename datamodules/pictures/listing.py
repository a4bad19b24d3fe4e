"""Which files are the pictures of a folder or a zip, and their classes and splits; no picture is opened."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lightning.pytorch.utilities import rank_zero_info

from datamodules.pictures.files import PictureFile, PictureFiles
from datamodules.pictures.layout import (
    beside_splits,
    empty_class_folders,
    folder_classes,
    inner_folder,
    split_folders,
)
from datamodules.pictures.natural_order import natural_order
from datamodules.pictures.scanning import SUFFIXES, TABLES, Found, scan_folder
from datamodules.pictures.tables import quoted, read_tables
from datamodules.pictures.zips import ZipMember, read_member, scan_zip

_LABELS = ("auto", "folders", "none")


@dataclass(frozen=True)
class PictureListing:
    """The pictures of a folder or a zip.

    Attributes:
        source: absolute path of the folder or zip, links resolved.
        prefix: "", or the inner folder that names are relative to, with "/" at its end.
        files: in natural order of their names.
        class_names: in natural order; () without classes.
        members: where the files lie in the zip; empty for a folder.

    Example: see `list_pictures`.
    """

    source: Path
    prefix: str
    files: PictureFiles
    class_names: tuple[str, ...]
    members: Mapping[str, ZipMember] = field(default_factory=dict, repr=False, compare=False)

    def read(self, file: PictureFile) -> bytes:
        """The bytes of one file; threads and other processes may read at once, as nothing is kept open.

        Raises:
            OSError: it is gone, or its bytes in the zip are damaged.
        """
        return _read(self.source, self.prefix + file.name, self.members)


def list_pictures(
    data_dir: str | Path, labels: Literal["auto", "folders", "none"] = "auto", argument: str = "data_dir"
) -> PictureListing:
    """The pictures of a folder or a zip, found by their suffixes: names, sizes, times, classes and splits.

    A folder that lies alone at the top is stepped into, again and again. In what is left there,

    - a `metadata.csv` (columns `file_name` and, for classes, `label`) or StyleGAN's `dataset.json` names the pictures,
      at the top or in each of `train/` and `test/`; pictures that it does not name are left out;
    - `train/` and `test/`, in any case, are splits. Pictures beside them are left out, `val/` too. Where there is one
      of the two alone, nothing but a validation split may lie beside `train/`, and nothing beside `test/`;
    - folders, there or in a split, are classes, at any depth; or all pictures lie flat and have no class.

    Names that begin with "." or "__" are left out, broken links too. Links in folders are followed, but not back into a
    folder that leads to them; links in zips are not. What else is left out is said in a notice.

    Args:
        data_dir: the folder or the zip; "~" stands for the user's home.
        labels: "auto" takes classes where there are any; "folders" needs classes; "none" takes all pictures, tables and
            class folders or not, without classes.
        argument: what `data_dir` is called by who asks, for errors.

    Raises:
        FileNotFoundError: there is no such folder or zip, or no picture in it.
        OSError: a folder or a table may not be read.
        ValueError: `labels` is none of these, or there are no classes with "folders"; pictures lie both inside and
            outside class folders; a class of test/ is not in train/; a table, or the zip, cannot be used.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("cat", "dog"):
        ...         Path(folder, name).mkdir()
        ...         size = Path(folder, name, "1.png").write_bytes(b"123")
        ...     listing = list_pictures(folder)
        ...     listing.read(listing.files[0])
        b'123'
        >>> listing.class_names, [file.name for file in listing.files]
        (('cat', 'dog'), ['cat/1.png', 'dog/1.png'])
    """
    if labels not in _LABELS:
        raise ValueError(f"labels must be one of {', '.join(map(repr, _LABELS))}, got {labels!r}")
    source = _existing(data_dir, argument)
    found, members = (scan_folder(source), {}) if source.is_dir() else scan_zip(source)
    prefix, found = inner_folder(found, labels)
    if not found.pictures:
        raise FileNotFoundError(_no_pictures(source, found, argument))
    try:
        classes, splits = _classes_and_splits(found, labels, lambda name: _read(source, prefix + name, members))
    except ValueError as error:
        raise ValueError(f"{argument}={str(source)!r}: {error}") from error
    _tell_left_out(found)
    files = _files(found, classes, splits)
    class_names = tuple(natural_order({label for label in classes.values() if label is not None}))
    return PictureListing(source, prefix, files, class_names, members)


def chosen_pictures(listing: PictureListing, names: Sequence[str]) -> PictureListing:
    """Some pictures of a listing, without classes.

    Args:
        listing: of all.
        names: of those that are wanted, each once, in their order.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("a.png", "b.png"):
        ...         size = Path(folder, name).write_bytes(b"123")
        ...     listing = list_pictures(folder)
        >>> chosen_pictures(listing, ["b.png"]).files.names
        ['b.png']
    """
    place = {name: position for position, name in enumerate(listing.files.names)}
    chosen = [listing.files[place[name]] for name in names]
    files = PictureFiles(
        names, [(file.size, file.time) for file in chosen], [None] * len(names), [file.split for file in chosen]
    )
    return replace(listing, files=files, class_names=())


def _files(found: Found, classes: Mapping[str, str | None], splits: Mapping[str, str]) -> PictureFiles:
    names = natural_order(classes)
    return PictureFiles(
        names,
        known=[found.pictures[name] for name in names],
        labels=[classes[name] for name in names],
        splits=[splits[_first_folder(name)] for name in names] if splits else [None] * len(names),
    )


def _classes_and_splits(
    found: Found, labels: str, read: Callable[[str], bytes]
) -> tuple[dict[str, str | None], Mapping[str, str]]:
    """The class of each picture that counts, and the folders of splits where there is one for the test split."""
    classes, folders_decide = _named(found, labels, read)
    splits = split_folders(classes)
    if splits:
        classes = _in_splits(classes, splits)
    if folders_decide:
        classes = folder_classes(classes, splits)
    has_classes = None not in classes.values()
    if labels == "folders" and not has_classes:
        raise ValueError(
            "there are no class folders, expected one for each class, with its pictures in it, or a column 'label' in "
            "metadata.csv: make them, or take the pictures without classes with --data.labels none"
        )
    if folders_decide and has_classes and (empty := empty_class_folders(found, classes, splits)):
        rank_zero_info(f"Class folders without pictures are left out: {quoted(empty)}")
    if "test" not in splits.values():
        return classes, {}
    _check_test_classes(classes, splits)
    return classes, splits


def _named(found: Found, labels: str, read: Callable[[str], bytes]) -> tuple[dict[str, str | None], bool]:
    """The pictures that tables name, or all; their classes as far as known; whether class folders decide them."""
    if labels == "none":
        return dict.fromkeys(found.pictures), False
    tables = read_tables(found, split_folders(found.pictures), read)
    if tables is None:
        return dict.fromkeys(found.pictures), True
    if unnamed := len(found.pictures) - len(tables[0]):
        rank_zero_info(f"{unnamed:,} pictures are left out, which {' or '.join(TABLES)} does not name")
    return tables


def _in_splits(classes: dict[str, str | None], splits: Mapping[str, str]) -> dict[str, str | None]:
    if beside := beside_splits(classes, splits):
        rank_zero_info(
            f"What lies beside {'/ and '.join(splits)}/ is left out: {quoted(beside)}. Validation pictures are cut "
            "from train/, as many as --data.val_fraction says"
        )
    return {name: label for name, label in classes.items() if "/" in name and _first_folder(name) in splits}


def _check_test_classes(classes: Mapping[str, str | None], splits: Mapping[str, str]) -> None:
    of_split: dict[str, set[str | None]] = {"train": set(), "test": set()}
    for name, label in classes.items():
        of_split[splits[_first_folder(name)]].add(label)
    unknown = [label for label in of_split["test"] - of_split["train"] if label is not None]
    if of_split["train"] and unknown:
        raise ValueError(
            f"test/ has the classes {quoted(natural_order(unknown))}, which train/ has not: give both the same "
            "classes, or take all pictures without classes with --data.labels none"
        )


def _first_folder(name: str) -> str:
    return name[: name.find("/")]


def _existing(data_dir: str | Path, argument: str) -> Path:
    path = Path(data_dir).expanduser()
    if not path.exists():
        here = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise FileNotFoundError(
            f"{argument}={str(data_dir)!r}: there is no such folder or zip{here}: correct the path, --data.{argument}"
        )
    return path.resolve()


def _read(source: Path, name: str, members: Mapping[str, ZipMember]) -> bytes:
    if members:
        return read_member(source, members[name])
    with open(os.path.join(source, name), "rb") as file:
        return file.read()


def _no_pictures(source: Path, found: Found, argument: str) -> str:
    zips = [name for name in found.others if name.lower().endswith(".zip")]
    remedy = f"pass the zip in it, {zips[0]!r}, itself" if zips else "pass a folder or a zip of pictures"
    return f"{argument}={str(source)!r}: there are no pictures ({' '.join(sorted(SUFFIXES))}): {remedy}"


def _tell_left_out(found: Found) -> None:
    others = [name for name in found.others if name.rpartition("/")[2] not in TABLES]
    if found.broken:
        rank_zero_info(f"Links that cannot be followed are left out: {quoted(found.broken)}")
    if others:
        rank_zero_info(f"{len(others):,} files that are no pictures are left out, such as {others[0]!r}")
