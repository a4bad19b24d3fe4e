"""A mask file's bytes to class indices: by a table of colours, or as the numbers that its pixels hold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from datamodules.pictures.decoding import PictureError, PictureFormat, open_picture, reasons, resize, upright

IGNORED = 255
"""In masks: a pixel that is of no class, and counts nowhere."""
_INDEX_MODES = ("P", "L", "1")


@dataclass(frozen=True)
class MaskFormat(PictureFormat):
    """What every mask is brought to: one channel of class indices, resized without mixing classes.

    Args:
        colors: (R, G, B) of each class, in the order of their indices, and as many more for pixels of no class; empty
            where pixels hold the indices themselves.
        num_classes: K.

    Raises:
        ValueError: see `PictureFormat`; a colour that is none, or that stands for two classes.

    Example:
        >>> MaskFormat(32, 1, colors=((0, 0, 0), (255, 0, 0)), num_classes=2).shape
        (1, 32, 32)
    """

    colors: tuple[tuple[int, int, int], ...] = ()
    num_classes: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for color in self.colors:
            if len(color) != 3 or any(not isinstance(part, int) or not 0 <= part <= 255 for part in color):
                raise ValueError(f"a colour of class_colors must be three whole numbers 0 .. 255, got {list(color)}")
            if self.colors.count(color) > 1:
                raise ValueError(f"class_colors gives {list(color)} to more than one class: give each its own colour")

    @property
    def resampling(self) -> Image.Resampling:
        """The nearest pixel's class: there is none between two classes."""
        return Image.Resampling.NEAREST

    @property
    def fill(self) -> tuple[int, ...]:
        """No class lies beside padded pictures."""
        return (IGNORED,)

    def pixels(self, data: bytes) -> np.ndarray:
        """Class indices, uint8, (1, S, S); 255 for pixels of no class.

        Raises:
            PictureError: see `decoding.decode`; a colour that is no class's, an index that is none, or a mask of
                colours without a table of them.
        """
        with reasons():
            image = open_picture(data)
            if image.format in ("JPEG", "MPO"):
                raise PictureError("a JPEG, which blurs the values of neighbouring pixels: save masks as PNG")
            image.load()
            indices = self._by_color(image) if self.colors else self._by_value(image)
            resized = resize(upright(image, Image.fromarray(indices)), self)
        return np.array(resized)[None]

    def _by_color(self, image: Image.Image) -> np.ndarray:
        red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(np.int64), 2, 0)
        codes = _code(red, green, blue)
        known = np.array([_code(*color) for color in self.colors])
        order = known.argsort()
        places = order[np.searchsorted(known, codes, sorter=order).clip(max=len(known) - 1)]
        self._refuse(codes != known[places], np.asarray(image.convert("RGB")))
        return np.where(places < self.num_classes, places, IGNORED).astype(np.uint8)

    def _refuse(self, unknown: np.ndarray, colors: np.ndarray) -> None:
        if not unknown.any():
            return
        row, column = np.argwhere(unknown)[0]
        raise PictureError(
            f"the colour {colors[row, column].tolist()} at column {column}, row {row} is no class's in class_colors "
            f"({unknown.mean():.2%} of its pixels have such colours): name it there"
        )

    def _by_value(self, image: Image.Image) -> np.ndarray:
        values = np.asarray(image.getchannel(0) if image.mode in ("LA", "PA") else image)
        if image.mode in ("RGB", "RGBA") and (values[..., 0] == values[..., 1]).all():
            values = values[..., 0] if (values[..., 1] == values[..., 2]).all() else values
        if image.mode not in _INDEX_MODES and not image.mode.startswith("I") and values.ndim > 2:
            raise PictureError("a mask of colours: say with class_colors which colour is which class")
        values = values.astype(np.int64)
        wrong = ((values < 0) | (values >= self.num_classes)) & (values != IGNORED)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise PictureError(
                f"the value {values[row, column]} at column {column}, row {row} is no class of 0 .. "
                f"{self.num_classes - 1}, nor 255 for no class: set num_classes, or say with class_colors which colour "
                "is which class"
            )
        return values.astype(np.uint8)


def _code(red: int | np.ndarray, green: int | np.ndarray, blue: int | np.ndarray) -> int | np.ndarray:
    return (red * 256 + green) * 256 + blue


def color_table(
    class_colors: dict[str, Sequence[int]] | Sequence[Sequence[int]],
) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...], int]:
    """Names of classes, all colours and the number of classes; colours of no class, named "ignore", come last.

    Example:
        >>> color_table({"ignore": [255, 255, 255], "sky": [0, 0, 255], "road": [90, 90, 90]})
        (('sky', 'road'), ((0, 0, 255), (90, 90, 90), (255, 255, 255)), 2)
    """
    named = class_colors if isinstance(class_colors, dict) else {str(k): color for k, color in enumerate(class_colors)}
    names = tuple(name for name in named if name != "ignore")
    colors = [tuple(named[name]) for name in (*names, *(["ignore"] if "ignore" in named else []))]
    return names, tuple(colors), len(names)  # type: ignore[arg-type]
