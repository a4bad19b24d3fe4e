"""Pictures of a listing decoded by threads, in order, a few ahead of what is used."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from tqdm import tqdm

from datamodules.pictures.decoding import PictureError, PictureFormat
from datamodules.pictures.listing import PictureListing

_FILES = 16  # decoded by one task: enough that handing it over costs nothing beside the decoding
_BYTES = 4 * 2**20  # of pixels at most that one task gives


class BadPicture(NamedTuple):
    """A file that cannot be used: its position in the listing, and why, in words.

    Example:
        >>> BadPicture(3, "it is empty").reason
        'it is empty'
    """

    position: int
    reason: str


class DecodedPart(NamedTuple):
    """Consecutive files: pixels of the good ones, (n, C, S, S) uint8, and the bad ones.

    Example:
        >>> len(DecodedPart(np.zeros((2, 3, 8, 8), np.uint8), []).pixels)
        2
    """

    pixels: np.ndarray
    bad: list[BadPicture]


def decode_in_order(listing: PictureListing, target: PictureFormat, workers: int) -> Iterator[DecodedPart]:
    """All pictures of a listing, decoded by `workers` threads, in the listing's order.

    Threads suffice, since Pillow gives up Python's lock while it decodes and resizes. They are two parts each ahead of
    what is used and no more, so that memory does not grow with the listing. A progress bar shows how far it is, on the
    first process and in a terminal alone.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from datamodules.pictures.listing import list_pictures
        >>> folder = Path(tempfile.mkdtemp())
        >>> Image.new("L", (9, 9)).save(folder / "a.png")
        >>> parts = decode_in_order(list_pictures(folder), PictureFormat(image_size=8), workers=2)
        >>> [part.pixels.shape for part in parts]
        [(1, 3, 8, 8)]
    """
    length = max(1, min(_FILES, _BYTES // int(np.prod(target.shape))))
    starts = iter(range(0, len(listing.files), length))
    hidden = None if getattr(rank_zero_only, "rank", 0) == 0 else True  # None: hidden where it is no terminal
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    with tqdm(total=len(listing.files), desc="Decoding", unit=" pictures", leave=False, disable=hidden) as bar:
        try:
            waiting = deque(pool.submit(_decoded, listing, target, s, length) for s in islice(starts, 2 * workers))
            while waiting:
                part = waiting.popleft().result()
                waiting.extend(pool.submit(_decoded, listing, target, s, length) for s in islice(starts, 1))
                yield part
                bar.update(len(part.pixels) + len(part.bad))
        finally:
            pool.shutdown(cancel_futures=True)


def _decoded(listing: PictureListing, target: PictureFormat, start: int, length: int) -> DecodedPart:
    positions = range(start, min(start + length, len(listing.files)))
    pixels = np.empty((len(positions), *target.shape), np.uint8)
    bad: list[BadPicture] = []
    for position in positions:
        try:
            pixels[position - start - len(bad)] = target.pixels(listing.read(listing.files[position]))
        except PictureError as error:
            bad.append(BadPicture(position, str(error)))
        except OSError as error:
            bad.append(BadPicture(position, f"it cannot be read: {error.strerror or error}"))
    return DecodedPart(pixels[: len(positions) - len(bad)], bad)
