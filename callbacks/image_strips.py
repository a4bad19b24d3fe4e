"""Rows of images in groups that are set apart, with headings above the columns."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import pad

from callbacks.picture import new_figure

_INCHES = 0.5  # of an image's width


def image_strips(
    panels: Sequence[Sequence[Tensor]],
    labels: Sequence[str] = (),
    headings: Sequence[str] = (),
    titles: Sequence[str] = (),
) -> Figure:
    """A figure with R rows of images; white space sets the groups of a row apart.

    Args:
        panels: at least one, side by side; each a sequence of groups (R, n, C, H, W) in [0, 1], C = 1 (grey) or 3
            (colour). R, C, H and W are those of all groups, and n may differ between the groups of a panel.
        labels: R texts at the left of the rows; none by default.
        headings: texts above the columns of each panel, over all its groups; none by default.
        titles: a text above each panel; none by default.

    Example:
        >>> rows = torch.rand(2, 5, 1, 8, 8)
        >>> figure = image_strips([(rows[:, :1], rows[:, 1:])], ["first", "second"], ["image", "a", "b", "c", "d"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['first', 'second']
    """
    pictures = [_picture(groups) for groups in panels]
    height, width = pictures[0].shape[1:]
    scale = _INCHES / (panels[0][0].shape[-1] + 1)
    left = 0.1 + 0.07 * max((len(line) for label in labels for line in label.split("\n")), default=0)
    above = 0.1 + 0.2 * bool(headings) + 0.2 * max((title.count("\n") + 1 for title in titles), default=0)
    between = 0.6 * (len(panels) - 1)
    figure = new_figure(left + between + len(panels) * width * scale + 0.1, above + height * scale)
    beside = figure.subplots(1, len(panels), squeeze=False, gridspec_kw={"wspace": 0.6 / (width * scale)})[0]
    for number, axes in enumerate(beside):
        # vmin and vmax keep the scale [0, 1]: a dim picture must look dim
        axes.imshow(pictures[number].permute(1, 2, 0).squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_title(titles[number] if titles else "", fontsize=9)
        _write(axes, labels if number == 0 else (), headings, _centers(panels[number]), height)
    return figure


def _write(axes: Axes, labels: Sequence[str], headings: Sequence[str], centers: list[float], height: int) -> None:
    """Labels at the left of the rows, headings above the columns, and no axes."""
    step = height / max(1, len(labels))
    axes.set_yticks([step * (row + 0.5) for row in range(len(labels))], labels)
    axes.set_xticks(centers[: len(headings)], headings)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8)
    axes.tick_params(axis="x", labelsize=7, pad=1)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _picture(groups: Sequence[Tensor]) -> Tensor:
    """One image of all rows, (C, R*(H+1), width)."""
    gap = _gap(groups[0])
    # numpy, which draws, knows no bfloat16; white lines below and right of each image
    framed = [pad(group.float().cpu(), (0, 1, 0, 1), value=1.0) for group in groups]
    blocks = [block.permute(2, 0, 3, 1, 4).flatten(1, 2).flatten(2) for block in framed]  # (C, R*(H+1), n*(W+1))
    apart = [pad(block, (gap if number else 0, 0), value=1.0) for number, block in enumerate(blocks)]
    return torch.cat(apart, dim=2)


def _centers(groups: Sequence[Tensor]) -> list[float]:
    """Where the middle of each column lies, in pixels of the picture."""
    step = groups[0].shape[-1] + 1
    gaps = [number for number, group in enumerate(groups) for _ in range(group.shape[1])]  # to the left of each column
    return [column * step + gaps[column] * _gap(groups[0]) + step / 2 - 1 for column in range(len(gaps))]


def _gap(group: Tensor) -> int:
    """Pixels between two groups."""
    return group.shape[-1] // 2 + 1
