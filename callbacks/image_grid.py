"""Images in rows, each with a label at its left."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import pad

from callbacks.picture import new_figure


def image_grid(rows: Sequence[Tensor], labels: Sequence[str] = (), title: str = "", inches: float = 0.5) -> Figure:
    """A figure with one row of images for each entry; rows that are shorter than the longest end in white.

    Args:
        rows: at least one, each (N, C, H, W) in [0, 1], C = 1 (grey) or 3 (colour), all of one C, H and W.
        labels: text at the left of each row; none by default.
        title: text above.
        inches: width of an image.

    Example:
        >>> figure = image_grid([torch.rand(4, 1, 8, 8), torch.rand(3, 1, 8, 8)], ["first", "second"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['first', 'second']
    """
    columns = max(map(len, rows))
    strips = [torch.cat(list(_framed(row, columns)), dim=2) for row in rows]  # N x (C, H, W) -> (C, H, N*W)
    picture = torch.cat(strips, dim=1)  # (C, rows*H, N*W)
    height, width = picture.shape[1:]
    scale = inches * columns / width
    figure = new_figure(width * scale + (1.2 if any(labels) else 0.1), height * scale + (0.35 if title else 0.1))
    axes = figure.add_subplot()
    # vmin and vmax keep the scale [0, 1]: a dim picture must look dim
    axes.imshow(picture.permute(1, 2, 0).squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    step = height / len(rows)
    axes.set_yticks([step * (i + 0.5) for i in range(len(labels))], labels)
    axes.tick_params(length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def in_groups(shown: dict[str, Tensor], columns: int) -> tuple[list[Tensor], list[str]]:
    """Rows and labels for `image_grid`: below each row of the first entry's images, those that belong to them.

    Args:
        shown: images (N, C, H, W) by their label, one N for all.
        columns: images a row.

    Example:
        >>> rows, labels = in_groups({"original": torch.rand(5, 1, 8, 8), "seen": torch.rand(5, 1, 8, 8)}, columns=3)
        >>> [len(row) for row in rows], labels
        ([3, 3, 2, 2], ['original', 'seen', 'original', 'seen'])
    """
    parts = [images.split(columns) for images in shown.values()]
    rows = [row for group in zip(*parts, strict=True) for row in group]
    return rows, list(shown) * (len(rows) // len(shown))


def _framed(images: Tensor, columns: int) -> Tensor:
    """A white line below and right of each image, and white images after the last: (columns, C, H+1, W+1)."""
    # numpy, which draws, knows no bfloat16
    return pad(images.float().cpu(), (0, 1, 0, 1, 0, 0, 0, columns - len(images)), value=1.0)
