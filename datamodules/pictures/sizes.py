"""Original sizes of decoded pictures, and where a box of the original lies in the decoded picture."""

import os
from contextlib import suppress

import numpy as np

from datamodules.pictures.cache import CachedPictures, printable
from datamodules.pictures.decoding import PictureError, picture_size
from datamodules.pictures.listing import PictureListing


def picture_sizes(listing: PictureListing, cached: CachedPictures) -> np.ndarray:
    """(width, height) of each picture kept, upright, (N, 2), int64; kept beside the decoded pictures.

    Args:
        listing: which files.
        cached: the same, decoded.

    Raises:
        ValueError: a file is no picture any more.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from datamodules.pictures.cache import cached_pictures
        >>> from datamodules.pictures.decoding import PictureFormat
        >>> from datamodules.pictures.listing import list_pictures
        >>> folder, cache = Path(tempfile.mkdtemp()), tempfile.mkdtemp()
        >>> Image.new("RGB", (40, 30), "red").save(folder / "red.png")
        >>> listing = list_pictures(folder)
        >>> picture_sizes(listing, cached_pictures(listing, PictureFormat(image_size=8), cache_dir=cache)).tolist()
        [[40, 30]]
    """
    path = cached.folder / "sizes.npy"
    with suppress(OSError, ValueError, EOFError):  # it is not there yet, or damaged
        sizes = np.load(path)
        if sizes.shape == (len(cached.kept), 2):
            return sizes
    sizes = np.array([_size(listing, position) for position in cached.kept.tolist()], np.int64).reshape(-1, 2)
    part = path.with_name(f".sizes.{os.getpid()}.npy")  # a kill half way leaves nothing that looks whole
    with suppress(OSError):  # a cache that may not be written to costs the time again
        np.save(part, sizes)
        part.replace(path)
    return sizes


def _size(listing: PictureListing, position: int) -> tuple[int, int]:
    file = listing.files[position]
    try:
        return picture_size(listing.read(file))
    except PictureError as error:
        raise ValueError(f"{printable(file.name)} cannot be used as a picture any more: {error}") from error


def as_fractions(corners: np.ndarray, sizes: np.ndarray, resize: str) -> np.ndarray:
    """Boxes in pixels of the original, (N, 4) as (x0, y0, x1, y1), as (cx, cy, w, h) of the square picture, in [0, 1].

    What a crop cuts off is cut off the box; of a box that lies outside, w or h is 0.

    Args:
        corners: in pixels, from the upper left corner.
        sizes: (width, height) of each original.
        resize: see `PictureFormat`.

    Example:
        >>> as_fractions(np.array([[10.0, 0, 30, 20]]), np.array([[40, 20]]), "crop").tolist()
        [[0.5, 0.5, 1.0, 1.0]]
        >>> as_fractions(np.array([[10.0, 0, 30, 20]]), np.array([[40, 20]]), "pad").tolist()
        [[0.5, 0.5, 0.5, 0.5]]
    """
    start, side = _shown(sizes, resize)
    shown = (corners.reshape(-1, 2, 2) - start[:, None]) / side[:, None]  # (N, 4) -> (N, corner, x and y)
    shown = shown.clip(0, 1)
    return np.concatenate([shown.mean(1), shown[:, 1] - shown[:, 0]], 1)


def as_corners(boxes: np.ndarray, sizes: np.ndarray, resize: str) -> np.ndarray:
    """The way back: boxes (cx, cy, w, h) of the square picture as (x0, y0, x1, y1) in pixels of the original, (N, 4).

    Args:
        boxes: fractions, (N, 4).
        sizes: (width, height) of each original.
        resize: see `PictureFormat`.

    Example:
        >>> as_corners(np.array([[0.5, 0.5, 0.5, 0.5]]), np.array([[40, 20]]), "pad").tolist()
        [[10.0, 0.0, 30.0, 20.0]]
    """
    start, side = _shown(sizes, resize)
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([start + (centre - half) * side, start + (centre + half) * side], 1)


def _shown(sizes: np.ndarray, resize: str) -> tuple[np.ndarray, np.ndarray]:
    """Upper left corner and sides, in pixels of the original, (N, 2) each, of what the square picture shows."""
    sizes = sizes.astype(np.float64)
    side = {"crop": sizes.min(1, keepdims=True), "pad": sizes.max(1, keepdims=True)}.get(resize, sizes)
    side = np.broadcast_to(side, sizes.shape)
    return (sizes - side) / 2, side
