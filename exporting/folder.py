"""Folders that are there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Context with an empty folder, whose files are at `path` at the end; after an error nothing is left.

    Args:
        path: is not there, or an empty folder.

    Raises:
        ValueError: it is a file, a folder with something in it, or a place that may not be written to.

    Example:
        >>> with new_folder(Path(tempfile.mkdtemp(), "new")) as folder:
        ...     (folder / "a.txt").write_text("a")
        1
    """
    check_new(path)
    path = path.resolve()  # a link stays one
    is_there = path.exists()  # then it stays: it may be where a shell stands, or a disk of its own
    missing = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=path if is_there else path.parent, prefix=".export."))
    try:
        yield made
        if is_there:
            for part in made.iterdir():
                part.rename(path / part.name)
        else:
            made.chmod(0o777 & ~_umask())  # mkdtemp's is the owner's alone
            made.rename(path)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        with suppress(OSError):  # somebody else's files are in it meanwhile
            for parent in missing:
                parent.rmdir()
        raise
    shutil.rmtree(made, ignore_errors=True)


def check_new(path: Path) -> None:
    """Raise a ValueError where a folder cannot be made at `path`, see `new_folder`.

    Example:
        >>> check_new(Path("configs"))
        Traceback (most recent call last):
        ValueError: --to must be a new or empty folder, and configs holds files: pass another
    """
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise ValueError(f"--to must be a new or empty folder, and {nearest} is a file: pass another")
    if nearest == path and any(path.iterdir()):
        raise ValueError(f"--to must be a new or empty folder, and {path} holds files: pass another")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"--to {path} cannot be made, {nearest} may not be written to: pass another")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
