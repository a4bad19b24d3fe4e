"""The pictures of a listing, as columns: a hundred thousand of them make no hundred thousand objects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class PictureFile(NamedTuple):
    """A picture that has not been opened.

    Attributes:
        name: path below the listing's root, with "/" between folders.
        size: in bytes.
        time: when it was changed, in nanoseconds; for a file in a zip its CRC-32.
        label: the class name; None without classes.
        split: "train" or "test" where there are folders for both, or for the test split; else None.

    Example:
        >>> PictureFile("cat/1.png", 1234, 0, "cat", None).label
        'cat'
    """

    name: str
    size: int
    time: int
    label: str | None
    split: str | None


@dataclass(frozen=True)
class PictureFiles:
    """Pictures by their position; each attribute of `PictureFile` is a column, and all columns are of one length.

    Attributes:
        names: see `PictureFile`.
        known: (size, time) of each.
        labels: see `PictureFile`.
        splits: see `PictureFile`.

    Example:
        >>> files = PictureFiles.of(PictureFile("cat/1.png", 1234, 0, "cat", None))
        >>> len(files), files[0].size, files.names
        (1, 1234, ['cat/1.png'])
    """

    names: Sequence[str]
    known: Sequence[tuple[int, int]]
    labels: Sequence[str | None]
    splits: Sequence[str | None]

    @classmethod
    def of(cls, *files: PictureFile) -> "PictureFiles":
        """The columns of these pictures."""
        known = [(file.size, file.time) for file in files]
        return cls([f.name for f in files], known, [f.label for f in files], [f.split for f in files])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, position: int) -> PictureFile:
        return PictureFile(self.names[position], *self.known[position], self.labels[position], self.splits[position])

    def __iter__(self) -> Iterator[PictureFile]:
        return (self[position] for position in range(len(self)))
