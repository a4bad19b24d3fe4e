"""Which files lie in a folder: pictures by their suffix, and what else there is."""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

# fmt: off
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif",
})
# fmt: on
TABLES = ("metadata.csv", "dataset.json")  # files that say which pictures there are, or their classes
_HIDDEN = re.compile(r"(?:^|/)(?:\.|__|/)")


@dataclass
class Found:
    """What lies in a folder or a zip; names are relative to it, with "/" between folders, hidden ones left out.

    Attributes:
        pictures: (size in bytes, modification time in ns or a zip's CRC-32) of each file with a picture's suffix.
        others: files that are no pictures.
        folders: all folders, empty ones too.
        broken: links that lead nowhere.

    Example:
        >>> Found({"set/cat/1.jpg": (10, 0), "set/2.jpg": (11, 0)}, folders=["set", "set/cat"]).below("set/")
        Found(pictures={'cat/1.jpg': (10, 0), '2.jpg': (11, 0)}, others=[], folders=['cat'], broken=[])
    """

    pictures: dict[str, tuple[int, int]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def below(self, prefix: str) -> "Found":
        """The same, seen from the inner folder `prefix`, "" or "folder/"."""
        if not prefix:
            return self
        cut = len(prefix)
        others, folders, broken = (
            [name[cut:] for name in names if name.startswith(prefix)]
            for names in (self.others, self.folders, self.broken)
        )
        pictures = {name[cut:]: known for name, known in self.pictures.items() if name.startswith(prefix)}
        return Found(pictures, others, folders, broken)


def is_picture(name: str) -> bool:
    """Whether a name has the suffix of a picture, in any case.

    Example:
        >>> is_picture("a/IMG_1.JPG"), is_picture("jpg"), is_picture("a.zip")
        (True, False, False)
    """
    return name[name.rfind(".") :].lower() in SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether the name of a file, or of a folder on its path, begins with "." or "__"; empty names are hidden too.

    Example:
        >>> is_hidden("a/.git/b.png"), is_hidden("__MACOSX/b.png"), is_hidden("a/b.c__.png")
        (True, True, False)
    """
    return _HIDDEN.search(name) is not None


def scan_folder(root: Path) -> Found:
    """Everything below a folder. Links are followed, but not back into a folder on the path that leads to them.

    Raises:
        OSError: a folder may not be read; the error names it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     size = Path(folder, "a.JPG").write_bytes(b"123")
        ...     scan_folder(Path(folder)).pictures["a.JPG"][0]
        3
    """
    found = Found()
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(str(root), "", frozenset())]
    while waiting:
        path, prefix, above = waiting.pop()
        status = os.stat(path)
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            continue
        if prefix:
            found.folders.append(prefix[:-1])
        waiting += [(inner, f"{name}/", above | {identity}) for inner, name in _scan_one(path, prefix, found)]
    return found


def _scan_one(path: str, prefix: str, found: Found) -> list[tuple[str, str]]:
    """Add the files of one folder to `found`; returns path and name of the folders in it."""
    folders = []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith((".", "__")):
                continue
            try:
                if entry.is_dir():
                    folders.append((entry.path, prefix + name))
                elif is_picture(name) and stat.S_ISREG((status := entry.stat()).st_mode):
                    found.pictures[prefix + name] = (status.st_size, status.st_mtime_ns)
                elif entry.is_symlink() and not os.path.exists(entry.path):
                    found.broken.append(prefix + name)
                else:
                    found.others.append(prefix + name)
            except OSError:  # of a picture's link that leads nowhere
                if not entry.is_symlink():
                    raise
                found.broken.append(prefix + name)
    return folders
