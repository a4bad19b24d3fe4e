"""What folders say about pictures: the folder that holds them all, their splits and their classes."""

from collections.abc import Collection, Iterable, Mapping

from datamodules.pictures.natural_order import natural_order
from datamodules.pictures.scanning import TABLES, Found
from datamodules.pictures.tables import quoted

SPLITS = ("train", "test")
_VALIDATION = ("val", "valid", "validation", "dev", "eval")


def inner_folder(found: Found, labels: str) -> tuple[str, Found]:
    """Step into a folder that lies alone at the top, again and again: its prefix, and what lies in it.

    Folders of splits are not stepped into; with `labels="folders"` neither is one that holds pictures itself, since it
    is a class.

    Example:
        >>> prefix, inner = inner_folder(Found({"set/a.png": (1, 1)}, folders=["set"]), "auto")
        >>> prefix, list(inner.pictures)
        ('set/', ['a.png'])
    """
    prefix = ""
    while folder := _only_folder(found, labels):
        prefix += folder
        found = found.below(folder)
    return prefix, found


def split_folders(names: Iterable[str]) -> dict[str, str]:
    """The folders at the top that are splits, and which: those called train or test, in any case.

    Example:
        >>> split_folders(["Train/1.png", "test/1.png", "more/1.png"])
        {'Train': 'train', 'test': 'test'}
    """
    return {top: top.lower() for top in natural_order(_tops(names)) if top.lower() in SPLITS}


def beside_splits(names: Collection[str], splits: Mapping[str, str]) -> list[str]:
    """Folders, and pictures, that lie beside the folders of splits and so are not read.

    Raises:
        ValueError: they leave it unclear whether train/ or test/ is a split or a class: there is but one of the two,
            and beside it other pictures than a validation split.

    Example:
        >>> beside_splits(["train/1.png", "test/1.png", "val/1.png"], {"train": "train", "test": "test"})
        ['val/']
    """
    beside = [f"{top}/" for top in natural_order(_tops(names)) if top not in splits]
    flat = natural_order(name for name in names if "/" not in name)
    whole = set(SPLITS) <= set(splits.values())
    validation = "train" in splits.values() and not flat and all(top[:-1].lower() in _VALIDATION for top in beside)
    if (beside or flat) and not whole and not validation:
        raise ValueError(
            f"{'/, '.join(splits)}/ may be a split or a class, as there is {quoted(beside + flat)} beside it: for "
            "splits move all pictures into train/ and test/, for classes give that folder another name"
        )
    return beside + flat


def folder_classes(names: Iterable[str], splits: Collection[str]) -> dict[str, str | None]:
    """The class of each picture: the first folder, that of a split not counted; None for all in a flat folder.

    Raises:
        ValueError: some pictures lie in class folders and some do not.

    Example:
        >>> folder_classes(["cat/1.png", "dog/old/1.png"], {})
        {'cat/1.png': 'cat', 'dog/old/1.png': 'dog'}
    """
    folder_of = {name: name.rpartition("/")[0] for name in names}
    # worked out once a folder, since there may be a hundred thousand pictures in ten
    class_of = {folder: _class_of(folder, bool(splits)) for folder in set(folder_of.values())}
    classes = {name: class_of[folder] for name, folder in folder_of.items()}
    flat = [name for name, label in classes.items() if label is None]
    if flat and len(flat) < len(classes):
        deep = natural_order(name for name, label in classes.items() if label is not None)
        raise ValueError(
            f"there are pictures in class folders, such as {deep[0]!r}, and {len(flat):,} outside, such as "
            f"{natural_order(flat)[0]!r}: move these into class folders, or take all pictures without classes with "
            "--data.labels none"
        )
    return classes


def empty_class_folders(found: Found, names: Iterable[str], splits: Collection[str]) -> list[str]:
    """Folders where classes lie that hold no picture, in natural order.

    Example:
        >>> empty_class_folders(Found(folders=["cat", "dog"]), ["cat/1.png"], {})
        ['dog']
    """
    depth = 2 if splits else 1
    folders = {name.rpartition("/")[0] for name in names}
    filled = {"/".join(folder.split("/")[:depth]) for folder in folders}
    places = [folder for folder in found.folders if folder.count("/") == depth - 1]
    return natural_order(f for f in places if f not in filled and (not splits or f.partition("/")[0] in splits))


def _class_of(folder: str, in_split: bool) -> str | None:
    parts = folder.split("/")[in_split:]
    return parts[0] if parts and parts[0] else None


def _only_folder(found: Found, labels: str) -> str:
    """The prefix of the folder that holds all there is, or ""."""
    tops = [folder for folder in found.folders if "/" not in folder]
    if len(tops) != 1 or tops[0].lower() in SPLITS:
        return ""
    if any(table in found.others for table in TABLES) or not all("/" in name for name in found.pictures):
        return ""
    if labels == "folders" and any(name.count("/") == 1 for name in found.pictures):
        return ""
    return f"{tops[0]}/"


def _tops(names: Iterable[str]) -> set[str]:
    """First folders of names that lie in one."""
    return {name[: name.index("/")] for name in names if "/" in name}
