"""One picture file's bytes to pixels of one size: what can be read (decode), what it becomes (PictureFormat)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

_RESIZES = ("crop", "pad", "stretch")

# The usual formats by their first bytes. Image.open warns of large pictures, and what becomes of a warning is a state
# that all threads share; and it takes a photo with more pictures behind it (MPO) for an animation. These classes do
# neither. All other formats, also those that another package has registered, go through Image.open.
_READERS: dict[bytes, type[ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"GIF8": GifImageFile,
    b"RIFF": WebPImageFile,
    b"BM": BmpImageFile,
    b"II*\0": TiffImageFile,
    b"MM\0*": TiffImageFile,
}

# What lies in folders of pictures and is none, by its first bytes in lower case.
_NO_PICTURES = {
    b"version https://git-lfs": "a pointer of Git LFS instead of the picture: run `git lfs pull` where it came from",
    b"<!doctype html": "a web page instead of a picture: download the picture again",
    b"<html": "a web page instead of a picture: download the picture again",
    b"<svg": "an SVG drawing, which Pillow does not read: export it as PNG",
    b"%pdf": "a PDF document: export its pages as PNG",
}
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

# EXIF's orientation (tag 274): what brings the stored rows and columns upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SWAPS = (Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90)

# What brings the samples of a PNG, by Pillow's name of their kind, to 8 bits. Pillow does so with the samples, but not
# with the one colour that is transparent.
_PNG_SCALES = {"L;2": 85.0, "L;4": 17.0, "RGB;16B": 1 / 256}

_LONGEST = 1000  # longer side over shorter
_TOO_LARGE = "Make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS"


class PictureError(ValueError):
    """A file that cannot be used as a picture; the text says why, without the file's name.

    Example:
        >>> decode(b"", PictureFormat())
        Traceback (most recent call last):
        datamodules.pictures.decoding.PictureError: empty: 0 bytes
    """


@dataclass(frozen=True)
class PictureFormat:
    """What every picture is brought to; the arguments of the same names of `ImageFolderDataModule`.

    Args:
        image_size: S, height and width in pixels, 1 .. 4096.
        channels: C, 3 for colour or 1 for grey.
        resize: "crop" takes the middle square; "pad" fits the whole picture in, with `background` beside it; "stretch"
            gives up the aspect ratio.
        background: grey level 0 .. 255 behind transparent pixels and beside padded pictures.

    Raises:
        ValueError: one of them is something else.

    Example:
        >>> PictureFormat(image_size=32, channels=1).shape
        (1, 32, 32)
    """

    image_size: int = 64
    channels: int = 3
    resize: str = "crop"
    background: int = 255

    def __post_init__(self) -> None:
        if not isinstance(self.image_size, int) or not 1 <= self.image_size <= 4096:
            raise ValueError(
                f"image_size must be a whole number from 1 to 4096, got {self.image_size!r}: "
                "use the height and width, in pixels, that the model is to see, such as 64"
            )
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 3 or 1, got {self.channels!r}: use 3 for colour, 1 for grey")
        if self.resize not in _RESIZES:
            raise ValueError(
                f"resize must be one of {', '.join(_RESIZES)}, got {self.resize!r}: use 'crop' for the middle square, "
                "'pad' for the whole picture, 'stretch' to give up the aspect ratio"
            )
        if not isinstance(self.background, int) or not 0 <= self.background <= 255:
            raise ValueError(
                f"background must be a whole number from 0 to 255, got {self.background!r}: "
                "use 255 for white, 0 for black"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, S, S)."""
        return self.channels, self.image_size, self.image_size

    @property
    def mode(self) -> str:
        """Pillow's name of the channels, "L" or "RGB"."""
        return "L" if self.channels == 1 else "RGB"

    @property
    def resampling(self) -> Image.Resampling:
        """Pillow's filter for resizing."""
        return Image.Resampling.BICUBIC

    @property
    def fill(self) -> tuple[int, ...]:
        """What lies beside padded pictures."""
        return (self.background,) * self.channels

    def pixels(self, data: bytes) -> np.ndarray:
        """The pixels of a picture file, see `decode`."""
        return decode(data, self)


def decode(data: bytes, target: PictureFormat) -> np.ndarray:
    """The pixels of a picture file, uint8, (C, S, S), contiguous and writable.

    The file is decoded in full, turned upright as its EXIF data say, brought to 8 bits (of 12 or 16, the upper 8), laid
    over the background where it is transparent, and resized once by Pillow's bicubic filter with antialiasing; a
    picture that has the size keeps its pixels. Bicubic, since Lanczos rings more at the hard edges of icons, and since
    Frechet inception distances are computed with it (Parmar et al., 2022, "On Aliased Resizing and Surprising
    Subtleties in GAN Evaluation"). JPEG files are decoded at the smallest of 1, 1/2, 1/4, 1/8 of their size that is
    still twice the target's. Of a photo with more pictures behind it (MPO, as phones write them) it is the first.
    Colour profiles and gamma are ignored. Threads may call this at the same time.

    Args:
        data: the file's content.
        target: size and channels.

    Raises:
        PictureError: the file is empty, no picture, damaged, cut off, animated or of several pages, has more pixels
            than PIL.Image.MAX_IMAGE_PIXELS, sides of more than 1000 to 1, or pixels of an unknown range. Where
            warnings are errors, it is raised for Pillow's warnings of odd metadata too.

    Example:
        >>> file = BytesIO()
        >>> Image.new("RGB", (40, 30), (255, 128, 0)).save(file, "PNG")
        >>> decode(file.getvalue(), PictureFormat(image_size=8))[:, 0, 0]
        array([255, 128,   0], dtype=uint8)
    """
    with reasons():
        image = _load(data, target)
        resized = resize(upright(image, _flatten(_to_8_bits(image), target)), target)
    pixels = np.asarray(resized).reshape(target.image_size, target.image_size, target.channels)
    return np.array(pixels.transpose(2, 0, 1), order="C")


@contextmanager
def reasons() -> Iterator[None]:
    """Turn what Pillow's readers raise into a `PictureError`.

    Example:
        >>> with reasons():
        ...     raise KeyError("tag")
        Traceback (most recent call last):
        datamodules.pictures.decoding.PictureError: damaged, or of an unknown kind (KeyError: 'tag')
    """
    try:
        yield
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # of formats that look themselves
        raise PictureError(f"{error} {_TOO_LARGE}") from error
    except Exception as error:  # what a damaged file brings Pillow's readers to raise is of many types
        raise PictureError(f"damaged, or of an unknown kind ({type(error).__name__}: {error})") from error


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height of a picture that is turned upright as its EXIF data say; its pixels are not decoded.

    Raises:
        PictureError: see `decode`.

    Example:
        >>> file = BytesIO()
        >>> Image.new("RGB", (40, 30)).save(file, "PNG")
        >>> picture_size(file.getvalue())
        (40, 30)
    """
    with reasons():
        image = open_picture(data)
        width, height = image.size
        lies = _TURNS.get(_orientation(image)) in _SWAPS
    return (height, width) if lies else (width, height)


def upright(image: Image.Image, pixels: Image.Image) -> Image.Image:
    """Pixels turned as the EXIF data of their picture say.

    Example:
        >>> image = Image.new("RGB", (40, 30))
        >>> upright(image, image).size
        (40, 30)
    """
    turn = _TURNS.get(_orientation(image))
    return pixels if turn is None else pixels.transpose(turn)


def _load(data: bytes, target: PictureFormat) -> ImageFile:
    image = open_picture(data)
    if isinstance(image, JpegImageFile):
        image.draft(target.mode, _twice(image.size, target))
    kind = image.tile[0].args if isinstance(image, PngImageFile) and image.tile else None
    image.load()
    if kind in _PNG_SCALES and "transparency" in image.info:
        transparent = np.multiply(image.info["transparency"], _PNG_SCALES[str(kind)]).astype(int).tolist()
        image.info["transparency"] = tuple(transparent) if isinstance(transparent, list) else transparent
    return image


def open_picture(data: bytes) -> ImageFile:
    """A picture file whose pixels are not decoded yet, of a sensible size.

    Raises:
        PictureError: see `decode`.

    Example:
        >>> open_picture(b"")
        Traceback (most recent call last):
        datamodules.pictures.decoding.PictureError: empty: 0 bytes
    """
    image = _open(data)
    _check(image)
    return image


def _open(data: bytes) -> ImageFile:
    if not data:
        raise PictureError("empty: 0 bytes")
    for beginning, reader in _READERS.items():
        if data.startswith(beginning):
            return reader(BytesIO(data))
    try:
        return Image.open(BytesIO(data))
    except UnidentifiedImageError:
        raise PictureError(_no_picture(data)) from None


def _no_picture(data: bytes) -> str:
    """What a file is that no reader knows."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC:
        return (
            "HEIC, which Pillow does not read: convert it to JPEG, or install pillow-heif and call "
            "pillow_heif.register_heif_opener() first"
        )
    text = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    known = (words for beginning, words in _NO_PICTURES.items() if text.startswith(beginning))
    return next(known, f"not a picture that Pillow reads: it begins with {data[:12]!r}")


def _check(image: ImageFile) -> None:
    """Refuse, before any pixel is decoded, what is no single picture of a sensible size."""
    width, height = image.size
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise PictureError(
            f"{width} x {height} pixels exceed Pillow's limit of {limit:,}, against files made to fill the memory. "
            f"{_TOO_LARGE}"
        )
    if max(width, height) > _LONGEST * min(width, height):
        raise PictureError(f"{width} x {height} pixels, one side more than {_LONGEST} times the other: leave it out")
    if image.format == "EPS":  # loading it would start Ghostscript
        raise PictureError("an EPS drawing: export it as PNG")
    # the layers of a Photoshop file count as frames too, but the first frame is all of them together
    if image.format != "PSD" and getattr(image, "is_animated", False):
        raise PictureError(
            f"{getattr(image, 'n_frames', 'several')} frames or pages, not one picture: save those to be used as "
            "files of their own"
        )


def _twice(size: tuple[int, int], target: PictureFormat) -> tuple[int, int]:
    """The least (width, height) to decode at: both sides, for "pad" the longer side, twice the target's."""
    wanted = 2 * target.image_size
    if target.resize != "pad":
        return wanted, wanted
    longer = max(size)
    return max(1, size[0] * wanted // longer), max(1, size[1] * wanted // longer)


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation of a picture, 1 .. 8; 1, upright, where its EXIF data are damaged."""
    try:
        return int(image.getexif().get(Base.Orientation, 1))
    except Warning:
        raise
    except Exception:  # see decode; the pixels are there all the same
        return 1


def _to_8_bits(image: ImageFile) -> Image.Image:
    """A grey picture of more bits as one of 8; others as they are, since Pillow has cut their channels to 8."""
    # these two say what their largest value is, and older Pillow has 16-bit PNG as "I" as well
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        kind = "floating-point" if image.mode == "F" else "32-bit"
        raise PictureError(f"{kind} pixels, of unknown range: save it with 8 or 16 bits a channel")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    bits = tags.get(Base.BitsPerSample, (16,))[0]
    upper = (values >> (bits - 8)).astype(np.uint8)  # convert("L") would make all above 255 white
    white_is_0 = tags.get(Base.PhotometricInterpretation) == 0  # Pillow heeds it for fewer bits alone
    grey = Image.fromarray(255 - upper if white_is_0 else upper)
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)))
    return grey


def _flatten(image: Image.Image, target: PictureFormat) -> Image.Image:
    """In the target's mode, transparent pixels laid over the background; before resizing, which would mix them in."""
    if image.has_transparency_data:
        above = image.convert("RGBA")
        image = Image.new("RGB", above.size, (target.background,) * 3)
        image.paste(above, mask=above)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")  # by way of which all modes come to "L"
    return image if image.mode == target.mode else image.convert(target.mode)


def resize(image: Image.Image, target: PictureFormat) -> Image.Image:
    """A picture brought to the target's size.

    Example:
        >>> resize(Image.new("RGB", (40, 30)), PictureFormat(image_size=8)).size
        (8, 8)
    """
    width, height = image.size
    size = target.image_size
    if target.resize == "pad":
        return _pad(image, target)
    if target.resize == "stretch":
        return _scale(image, (size, size), (0, 0, width, height), target)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2  # whole pixels, so that the right size stays as it is
    return _scale(image, (size, size), (left, top, left + side, top + side), target)


def _pad(image: Image.Image, target: PictureFormat) -> Image.Image:
    size, longer = target.image_size, max(image.size)
    width, height = (max(1, round(side * size / longer)) for side in image.size)
    whole = Image.new(image.mode, (size, size), target.fill)
    whole.paste(
        _scale(image, (width, height), (0, 0, *image.size), target), ((size - width) // 2, (size - height) // 2)
    )
    return whole


def _scale(
    image: Image.Image, size: tuple[int, int], box: tuple[int, int, int, int], target: PictureFormat
) -> Image.Image:
    # large pictures are first averaged to three times the size or more, which is not seen and takes less time
    return image.resize(size, target.resampling, box, reducing_gap=3.0)
