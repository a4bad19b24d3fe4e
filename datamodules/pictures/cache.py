"""Decoded pictures, kept on disk: decoded once, mapped into memory by every process after that."""

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import PIL
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from datamodules.pictures.decoding import PictureFormat
from datamodules.pictures.listing import PictureListing
from datamodules.pictures.mapping import mapped
from datamodules.pictures.new_folder import new_folder, remove_folder
from datamodules.pictures.scanning import is_hidden
from datamodules.pictures.threads import BadPicture, decode_in_order

_FORMAT = 2  # goes up where the files of an entry, or the pixels that this code makes of a picture, change
_MB = 1e6

OnError = Literal["raise", "skip"]


@dataclass(frozen=True)
class CachedPictures:
    """Decoded pictures in a file that is mapped into memory.

    Args:
        images: (N, C, S, S) uint8. Pages are read from the file when they are used, and the system may drop them again.
            Writing to the tensor changes this process's copy alone.
        kept: (N,) int64, ascending: positions in `listing.files`, all of them but those that were skipped.
        folder: where the files lie.

    Example:
        >>> images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
        >>> pictures = CachedPictures(images, torch.tensor([0, 2]), Path("somewhere"))
        >>> pictures.kept.tolist()
        [0, 2]
    """

    images: Tensor
    kept: Tensor
    folder: Path


def cached_pictures(
    listing: PictureListing,
    target: PictureFormat,
    on_error: OnError = "raise",
    workers: int | None = None,
    cache_dir: str | Path | None = None,
    remedy: str | None = None,
) -> CachedPictures:
    """The pixels of all listed pictures: from the cache, or decoded now and put there.

    An entry of the cache is a folder whose name is a hash of the source, of the name, size and time of each file, of
    the arguments that decide pixels, and of Pillow's version. So changed files or arguments make another entry, and the
    old one stays until somebody deletes it, which is safe at any time. It holds `pictures.u8` (N*C*S*S bytes),
    `about.json` and, where files were skipped, `skipped.txt`.

    Args:
        listing: which files.
        target: size and form of the pixels.
        on_error: with "raise", files that are no pictures are an error that lists all of them, and nothing is kept.
            With "skip", they are left out, unless they are more than one file and more than 1% of all.
        workers: threads that decode, at least 1; as many as this process may use cores where it is None.
        cache_dir: the folder that holds the entries; where it is None, `lit-generative/pictures` in `$XDG_CACHE_HOME`
            or `~/.cache`.
        remedy: what to do about files that cannot be used, for the error; None for what `on_error` allows.

    Raises:
        ValueError: the listing is empty, an argument is out of range, `cache_dir` lies in the listed folder, or files
            are no pictures.
        OSError: the cache cannot be written, or the disk is too small.

    Example:
        >>> import io, tempfile
        >>> from PIL import Image
        >>> from datamodules.pictures.listing import list_pictures
        >>> folder, cache = Path(tempfile.mkdtemp()), tempfile.mkdtemp()
        >>> Image.new("RGB", (40, 30), "red").save(folder / "red.png")
        >>> pictures = cached_pictures(list_pictures(folder), PictureFormat(image_size=8), cache_dir=cache)
        >>> pictures.images.shape, pictures.images[0, :, 0, 0].tolist()
        (torch.Size([1, 3, 8, 8]), [255, 0, 0])
    """
    workers = _checked(listing, on_error, workers)
    entry = _cache_folder(cache_dir, listing.source) / cache_key(listing, target, on_error)
    pictures = _opened(entry, len(listing.files), target.shape)
    if pictures is None:
        _build(entry, listing, target, on_error, workers, remedy)
        pictures = _opened(entry, len(listing.files), target.shape)
    if pictures is None:
        raise OSError(f"{printable(str(entry))} was removed or damaged while it was being opened: start again")
    skipped = len(listing.files) - len(pictures.kept)
    if skipped:
        rank_zero_info(
            f"{skipped} of {len(listing.files)} files are left out: see {printable(str(entry / 'skipped.txt'))}, and "
            "delete that folder to try them again"
        )
    return pictures


def cache_key(listing: PictureListing, target: PictureFormat, on_error: str) -> str:
    """The name of an entry: 32 hexadecimal digits of a SHA-256 over everything that its pixels depend on.

    Example:
        >>> from datamodules.pictures.files import PictureFile, PictureFiles
        >>> files = PictureFiles.of(PictureFile("a.jpg", 100, 1, None, None))
        >>> listing = PictureListing(Path("/photos"), "", files, ())
        >>> one, other = (cache_key(listing, PictureFormat(image_size=size), "raise") for size in (32, 64))
        >>> len(one), one == other
        (32, False)
    """
    archive = listing.source.stat() if listing.source.is_file() else None
    settings = {
        "format": _FORMAT,
        "pillow": PIL.__version__,
        "source": str(listing.source),
        "archive": archive and (archive.st_size, archive.st_mtime_ns),
        "prefix": listing.prefix,
        "target": asdict(target),
        "on_error": on_error,
    }
    # no name of a file holds a zero byte; surrogates stand for the bytes of names that are not UTF-8
    columns = zip(listing.files.names, listing.files.known, strict=True)
    files = "\0".join([f"{name}\0{size}\0{time}" for name, (size, time) in columns])
    text = json.dumps(settings, sort_keys=True) + "\0" + files
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _checked(listing: PictureListing, on_error: str, workers: int | None) -> int:
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error must be "raise" or "skip", got {on_error!r}')
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}: leave it out for one thread a core")
    if not listing.files:
        raise ValueError(f"{printable(str(listing.source))} holds no pictures: name another folder as --data.data_dir")
    return workers or _usable_cores()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cache_folder(cache_dir: str | Path | None, source: Path) -> Path:
    folder = Path(cache_dir or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "lit-generative", "pictures"))
    try:
        place = folder.expanduser().absolute()
    except RuntimeError as error:  # there is no home folder
        raise ValueError(
            f"{folder} cannot hold decoded pictures ({error}): name another folder as --data.cache_dir"
        ) from error
    inside = place.resolve() / "entry"
    if inside.is_relative_to(source) and not is_hidden(inside.relative_to(source).as_posix()):
        raise ValueError(
            f"cache_dir={str(folder)!r} lies among the pictures of {printable(str(source))}, where the next run would "
            "take it for a folder of a class: name a folder outside as --data.cache_dir"
        )
    return place


def _opened(entry: Path, number: int, shape: tuple[int, int, int]) -> CachedPictures | None:
    """The entry for `number` files; None where it is missing or damaged."""
    pixels = entry / "pictures.u8"
    kept = torch.ones(number, dtype=torch.bool)
    try:
        about = json.loads((entry / "about.json").read_bytes())
        kept[torch.tensor(about["skipped"], dtype=torch.int64)] = False
        size = int(kept.sum()) * math.prod(shape)
        if size == 0 or pixels.stat().st_size != size:
            return None
        return CachedPictures(mapped(pixels).view(-1, *shape), kept.nonzero().squeeze(1), entry)
    except (FileNotFoundError, ValueError, KeyError, TypeError, IndexError, RuntimeError):
        return None
    except OSError as error:
        raise _in_words(error, entry, "read") from error


def _build(
    entry: Path, listing: PictureListing, target: PictureFormat, on_error: OnError, workers: int, remedy: str | None
) -> None:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        if entry.exists():
            if _opened(entry, len(listing.files), target.shape) is not None:
                return  # another run has put it there since it was looked for
            rank_zero_info(f"{printable(str(entry))} is damaged, and made anew")
            remove_folder(entry)
        _announce(entry, listing, target)
        with new_folder(entry) as folder:
            bad = _write_pixels(folder / "pictures.u8", listing, target, workers)
            _refuse(bad, listing, on_error, remedy)
            _write_notes(folder, bad, listing, target, on_error)
    except OSError as error:
        raise _in_words(error, entry, "written") from error


def _announce(entry: Path, listing: PictureListing, target: PictureFormat) -> None:
    """Say what is going to be done; stop where the disk is too small for it."""
    size = len(listing.files) * math.prod(target.shape)
    free = shutil.disk_usage(entry.parent).free
    if free < size:
        raise OSError(errno.ENOSPC, f"{size / _MB:,.0f} MB are needed, {free / _MB:,.0f} MB are free")
    shape = " x ".join(map(str, target.shape))
    rank_zero_info(
        f"Decoding {len(listing.files):,} pictures of {printable(str(listing.source))} to {shape}, once: "
        f"{size / _MB:,.1f} MB in {printable(str(entry))}, which may be deleted at any time"
    )


def _write_pixels(path: Path, listing: PictureListing, target: PictureFormat, workers: int) -> list[BadPicture]:
    bad: list[BadPicture] = []
    with path.open("wb") as file:
        for part in decode_in_order(listing, target, workers):
            file.write(part.pixels.data)
            bad += part.bad
    return bad


def _refuse(bad: Sequence[BadPicture], listing: PictureListing, on_error: OnError, remedy: str | None) -> None:
    """Raise where files that are no pictures are not to be skipped, or too many for that."""
    number = len(listing.files)
    if not bad or (on_error == "skip" and len(bad) < number and len(bad) <= max(1, number // 100)):
        return
    allowed = "delete or repair them"
    allowed += ", or leave them out with --data.on_error skip" if on_error == "raise" else "; only 1% may be skipped"
    lines = "\n".join(_lines(bad, listing))
    source = printable(str(listing.source))
    raise ValueError(
        f"{len(bad)} of {number} files in {source} cannot be used as pictures: {remedy or allowed}\n{lines}"
    )


def _write_notes(
    folder: Path, bad: Sequence[BadPicture], listing: PictureListing, target: PictureFormat, on_error: OnError
) -> None:
    about = {
        "source": str(listing.source),
        "number": len(listing.files) - len(bad),
        "shape": target.shape,
        "dtype": "uint8",
        "arguments": asdict(target) | {"on_error": on_error},
        "versions": {"format": _FORMAT, "pillow": PIL.__version__},
        "skipped": [position for position, _ in bad],
    }
    (folder / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    if bad:
        (folder / "skipped.txt").write_text("\n".join([*_lines(bad, listing), ""]), encoding="utf-8")


def _lines(bad: Sequence[BadPicture], listing: PictureListing) -> Iterator[str]:
    return (f"{printable(listing.files.names[position])}: {reason}" for position, reason in bad)


def _in_words(error: OSError, entry: Path, verb: str) -> OSError:
    remedy = "name a folder on another disk as --data.cache_dir"
    if error.errno == errno.ENOSPC:
        remedy += ", or make the pictures smaller with --data.image_size"
    return OSError(
        error.errno,
        f"decoded pictures could not be {verb} at {printable(str(entry))} ({error.strerror or error}): {remedy}",
    )


def printable(name: str) -> str:
    r"""A file's name on one line of text: line ends, control characters and bytes that are not UTF-8 escaped.

    Example:
        >>> print(printable("Grüße\n.jpg"))
        Grüße\n.jpg
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)
