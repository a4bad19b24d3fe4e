"""What tests of listings share: rows to compare, a folder and its zip read alike, the notices."""

import logging
from pathlib import Path
from typing import Literal

import pytest

from datamodules.pictures.listing import PictureListing, list_pictures
from tests.datamodules.pictures import pack

Row = tuple[str, str | None, str | None]
Labels = Literal["auto", "folders", "none"]


def rows(listing: PictureListing) -> list[Row]:
    """Name, class and split of each picture."""
    return [(file.name, file.label, file.split) for file in listing.files]


def both(root: Path, labels: Labels = "auto") -> PictureListing:
    """The listing of a folder, which must be that of the folder's zip, and of that zip with a wrapping folder."""
    listing = list_pictures(root, labels)
    for number, wrapper in enumerate(("", "wrapper/inner/")):
        packed = list_pictures(pack(root, root.parent / f"{root.name}{number}.zip", wrapper), labels)
        assert packed.prefix == wrapper + listing.prefix
        assert rows(packed) == rows(listing)
        assert packed.class_names == listing.class_names
        for file, member in zip(listing.files, packed.files, strict=True):
            assert packed.read(member) == listing.read(file)
            assert member.size == file.size == len(listing.read(file))
    return listing


def notices(caplog: pytest.LogCaptureFixture) -> str:
    """What was said so far, one notice a line."""
    return "\n".join(record.getMessage() for record in caplog.records if record.levelno == logging.INFO)
