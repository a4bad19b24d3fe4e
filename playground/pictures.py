"""Pictures in and out of the page: a file's bytes to a model's images, and images to a picture large enough to see."""

from io import BytesIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate, pad

# raster formats of Pillow's own that start no other program
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_NAMES = "JPEG, PNG, WebP, BMP, GIF or TIFF"
_GAP = 128  # grey level of the lines between images: seen on white and on black
_GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R 601-2, which Pillow uses too


class PictureError(ValueError):
    """An upload that cannot be used as a picture; the text says why and what to do.

    Example:
        >>> read_picture(b"", (1, 8, 8))
        Traceback (most recent call last):
        playground.pictures.PictureError: the file is empty (0 bytes): choose a JPEG, PNG, WebP, BMP, GIF or TIFF file
    """


def read_picture(data: bytes, image_shape: tuple[int, ...], background: int = 255, negative: bool = False) -> Tensor:
    """A picture file as one image for a model, (1, C, H, W) in [0, 1].

    It is turned upright as its EXIF data say, laid over the background where it is transparent, cut to the middle part
    of the model's aspect ratio, and resized once by Pillow's bicubic filter with antialiasing. Of 16 bits the upper 8
    count; of an animation, the first frame. A picture of the very size keeps its pixels.

    Args:
        data: the file's content.
        image_shape: (C, H, W) of the model; C is 1 (grey) or 3 (colour).
        background: grey level 0 .. 255 behind transparent pixels.
        negative: turn light into dark, for a dark drawing shown to a model of light ones.

    Raises:
        PictureError: the file is empty, no picture, damaged, an SVG drawing, has more pixels than
            PIL.Image.MAX_IMAGE_PIXELS, or pixels of an unknown range.
        ValueError: `image_shape` is neither of grey nor of colour images.

    Example:
        >>> file = BytesIO()
        >>> Image.new("RGB", (40, 30), (255, 0, 0)).save(file, "PNG")
        >>> read_picture(file.getvalue(), (3, 8, 8))[0, :, 0, 0]
        tensor([1., 0., 0.])
    """
    check_shown(image_shape)
    channels, height, width = image_shape
    try:
        image = _flat(_open(data, 2 * max(height, width)), background).convert("L" if channels == 1 else "RGB")
        box = _middle(image.size, width / height)
        # large pictures are first averaged to three times the size or more, which is not seen and takes less time
        image = image.resize((width, height), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(_too_large()) from None
    except Exception as error:  # what a damaged file brings Pillow's readers to raise is of many types
        raise PictureError(
            f"the file is damaged or cut off ({type(error).__name__}: {error}): save the picture again as PNG or JPEG"
        ) from error
    pixels = torch.from_numpy(np.array(image).reshape(height, width, channels)).permute(2, 0, 1)  # (C, H, W)
    return ((255 - pixels if negative else pixels) / 255).unsqueeze(0)


def fit(images: Tensor, image_shape: tuple[int, ...]) -> Tensor:
    """Images brought to another model's shape, (N, C, H, W) in [0, 1]: grey or colour, middle part, resized.

    Example:
        >>> fit(torch.full((1, 3, 20, 30), 0.5), (1, 8, 8)).shape
        torch.Size([1, 1, 8, 8])
        >>> images = torch.rand(2, 1, 8, 8)
        >>> fit(images, (1, 8, 8)) is images
        True
    """
    channels, height, width = image_shape
    if images.shape[1] == 3 and channels == 1:
        images = (images * images.new_tensor(_GREY_WEIGHTS).view(3, 1, 1)).sum(1, keepdim=True)
    elif images.shape[1] == 1 and channels == 3:
        images = images.expand(-1, 3, -1, -1)
    if images.shape[2:] == (height, width):
        return images
    left, top, right, bottom = map(round, _middle((images.shape[3], images.shape[2]), width / height))
    part = images[:, :, top:bottom, left:right]
    return interpolate(part, (height, width), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def to_picture(images: Tensor, columns: int = 1, width: int = 280) -> Image.Image:
    """Images in rows, enlarged by a whole number, each pixel a square; grey lines stand between them.

    Args:
        images: (N, C, H, W) in [0, 1], C = 1 (grey) or 3 (colour); row by row.
        columns: images a row, at least 1.
        width: the least width in pixels; an image of more keeps its size.

    Raises:
        ValueError: images that are neither grey nor colour, or hold a value that is not a number.

    Example:
        >>> to_picture(torch.rand(6, 1, 8, 8), columns=3, width=100).size
        (104, 68)
    """
    check_shown(images.shape[1:])
    images = images.detach().float().cpu()
    if not images.isfinite().all():
        raise ValueError(
            "the model's images hold values that are not finite numbers, so there is no picture of them: its training "
            "may have diverged, take an earlier checkpoint"
        )
    missing = -len(images) % columns
    framed = pad(images.clamp(0, 1) * 255, (0, 1, 0, 1), value=_GAP)  # lines right of each image and below
    framed = torch.cat([framed, torch.full((missing, *framed.shape[1:]), float(_GAP))])
    rows = framed.unflatten(0, (-1, columns)).permute(0, 3, 1, 4, 2)  # (R, H+1, columns, W+1, C)
    grid = rows.flatten(2, 3).flatten(0, 1)[:-1, :-1]  # (R*(H+1)-1, columns*(W+1)-1, C)
    pixels = grid.round().byte().numpy()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    factor = max(1, -(-width // picture.width))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def check_shown(image_shape: tuple[int, ...]) -> None:
    """Raise a ValueError where images of a shape (C, H, W) are neither grey nor colour.

    Example:
        >>> check_shown((2, 8, 8))
        Traceback (most recent call last):
        ValueError: image_shape must be (1, H, W) or (3, H, W), grey or colour, to be seen, got (2, 8, 8)
    """
    if len(image_shape) != 3 or image_shape[0] not in (1, 3):
        raise ValueError(
            f"image_shape must be (1, H, W) or (3, H, W), grey or colour, to be seen, got {tuple(image_shape)}"
        )


def _open(data: bytes, size: int) -> Image.Image:
    """The picture in a file, upright; a JPEG is decoded no larger than it takes for `size` pixels a side."""
    if not data:
        raise PictureError(f"the file is empty (0 bytes): choose a {_NAMES} file")
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        raise PictureError(_no_picture(data)) from None
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise PictureError(_too_large())
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):  # older Pillow has 16-bit PNG as "I" too
        raise PictureError("the picture has 32-bit pixels of unknown range: save it with 8 or 16 bits a channel")
    image.draft(None, (size, size))
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data; the pixels are there all the same
        return image


def _no_picture(data: bytes) -> str:
    """What a file is that no reader knows."""
    text = data[:1000].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!doctype svg", b"<!--")) and b"<svg" in text):
        return "the file is an SVG drawing, which has no pixels: export it as PNG"
    if data[4:8] == b"ftyp":
        return "the file is a HEIC, AVIF or video file, which this page does not read: save the picture as JPEG or PNG"
    kind = "text" if _is_text(data[:1000]) else "of a kind that this page does not read"
    return f"the file is no picture, whatever its name: it is {kind}. Choose a {_NAMES} file"


def _is_text(data: bytes) -> bool:
    return b"\0" not in data and data.decode("utf-8", errors="replace").count("\ufffd") * 10 <= len(data)


def _too_large() -> str:
    return f"the picture has more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller, 1,000 a side are plenty"


def _flat(image: Image.Image, background: int) -> Image.Image:
    """In 8 bits, without transparency."""
    if image.mode.startswith("I"):  # of 16 bits; convert("L") would make all above 255 white
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:  # before resizing, which would mix hidden colours in
        above = image.convert("RGBA")
        image = Image.new("RGB", above.size, (background,) * 3)
        image.paste(above, mask=above)
    return image


def _middle(size: tuple[int, int], aspect: float) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the largest middle part with an aspect ratio of width to height."""
    width, height = size
    if width > height * aspect:
        part = max(1.0, height * aspect)
        left = float(int((width - part) / 2))  # whole pixels, so that the right size stays as it is
        return left, 0.0, left + part, float(height)
    part = max(1.0, width / aspect)
    top = float(int((height - part) / 2))
    return 0.0, top, float(width), top + part
