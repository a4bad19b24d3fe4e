"""Small pictures, and folders and zips of them, for tests."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image


def write_picture(
    path: Path,
    size: tuple[int, int] = (8, 8),
    colour: float | tuple[int, ...] = (200, 100, 50),
    mode: str = "RGB",
    **save: Any,
) -> Path:
    """A picture of one colour, in the format of its suffix; folders are made.

    `size` is (width, height); `colour` is one of `mode`, or an RGB colour to be converted; `save` is for Pillow.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(colour, tuple) and len(colour) == 3 and mode not in ("RGB", "HSV", "LAB", "YCbCr"):
        picture = Image.new("RGB", size, colour).convert(mode)
    else:
        picture = Image.new(mode, size, colour)
    picture.save(path, **save)
    return path


def write_files(root: Path, names: Iterable[str], content: bytes | None = None) -> Path:
    """Files that are not to be opened, by default each with its name as content; one that ends in "/" is a folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode("utf-8", "surrogateescape") if content is None else content)
    return root


def pack(folder: Path, path: Path, wrapper: str = "", compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip of all that lies in a folder, empty folders too; `wrapper` goes before each name."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for inner in sorted(folder.rglob("*")):
            archive.write(inner, wrapper + inner.relative_to(folder).as_posix())
    return path
