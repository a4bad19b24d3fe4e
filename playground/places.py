"""What a model finds in a picture, drawn into it: a box, or the class of each pixel."""

import colorsys
import html
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from playground.pictures import to_picture

_BOX = (255, 0, 0)
_SQUARE = "display: inline-block; width: 0.8em; height: 0.8em; border: 1px solid gray; margin-right: 0.4em"
_GOLDEN = 0.618  # of the colour circle, from one class to the next: neighbours differ


def with_box(x: Tensor, box: Sequence[float], width: int = 280) -> Image.Image:
    """A picture with a red box.

    Args:
        x: the picture, (1, C, H, W) in [0, 1].
        box: (cx, cy, w, h) as fractions of the picture's width and height, in [0, 1].
        width: see `playground.pictures.to_picture`.

    Example:
        >>> picture = with_box(torch.zeros(1, 1, 8, 8), (0.5, 0.5, 0.5, 0.5), width=80)
        >>> picture.getpixel((20, 20)), picture.getpixel((40, 40))
        ((255, 0, 0), (0, 0, 0))
    """
    picture = to_picture(x, width=width).convert("RGB")
    cx, cy, w, h = box
    left, right = ((cx + side * w / 2) * picture.width for side in (-1, 1))
    top, bottom = ((cy + side * h / 2) * picture.height for side in (-1, 1))
    corners = left, top, max(left, right - 1), max(top, bottom - 1)  # a box of no size is a point
    ImageDraw.Draw(picture).rectangle(corners, outline=_BOX, width=2)
    return picture


def with_classes(x: Tensor, classes: Tensor, width: int = 280) -> Image.Image:
    """A picture in grey, whose pixels have the colour of their class; class 0 has none.

    Args:
        x: the picture, (1, C, H, W) in [0, 1].
        classes: of each pixel, (H, W), whole numbers.
        width: see `playground.pictures.to_picture`.

    Example:
        >>> picture = with_classes(torch.zeros(1, 1, 1, 2), torch.tensor([[0, 1]]), width=2)
        >>> picture.getpixel((0, 0)), picture.getpixel((1, 0))
        ((0, 0, 0), (32, 60, 128))
    """
    colors = torch.tensor([_color(number) for number in range(int(classes.max()) + 1)])
    grey = x.mean(1, keepdim=True)
    return to_picture((grey + colors[classes].permute(2, 0, 1)) / 2, width=width)


def legend(classes: Tensor, names: Sequence[str]) -> str:
    """HTML that says which class has which colour and how much of the picture, of those that are in it.

    Args:
        classes: of each pixel, (H, W), whole numbers.
        names: of the classes.

    Example:
        >>> legend(torch.tensor([[0, 1, 1, 1]]), ["sky", "road"])  # doctest: +ELLIPSIS
        '<span style="background: #4078ff; ..."></span>road 75.0% ...<span style="background: #000000; ...sky 25.0% ...'
    """
    shares = classes.flatten().bincount(minlength=len(names)).double() / classes.numel()
    parts = []
    for number in shares.argsort(descending=True, stable=True).tolist():
        if shares[number]:
            color = "#" + "".join(f"{round(255 * part):02x}" for part in _color(number))
            square = f'<span style="background: {color}; {_SQUARE}"></span>'
            parts.append(f"{square}{html.escape(names[number])} {100 * shares[number]:.1f}% &nbsp; ")
    return "".join(parts)


def _color(number: int) -> tuple[float, float, float]:
    """(R, G, B) in [0, 1]."""
    return colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.75, 1.0) if number else (0.0, 0.0, 0.0)
