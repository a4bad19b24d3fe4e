"""Rate-distortion picture: the KL term across, the reconstruction term up, a dot a model, images beside the dots."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import FixedLocator
from torch import Tensor
from torch.nn.functional import pad


class Dot(NamedTuple):
    """A model in the picture.

    Example:
        >>> Dot("beta 1", 25.0, 80.0).kl
        25.0
    """

    words: str
    kl: float  # nats per image
    reconstruction: float  # nats per image
    strips: tuple[Tensor, Tensor] | None = None  # reconstructions and samples, (N, 1, H, W) in [0, 1] each


def draw(dots: Sequence[Dot], originals: Tensor) -> Figure:
    """Dots at the left, and a row of images for each dot that has some, joined to it by a line.

    The axis of the KL is linear up to 1 nat and logarithmic from there on, and says so.

    Args:
        dots: at least one.
        originals: what the reconstructions are of, (N, 1, H, W) in [0, 1].

    Example:
        >>> strips = torch.rand(5, 1, 28, 28), torch.rand(8, 1, 28, 28)
        >>> figure = draw([Dot("beta 1", 25.0, 80.0, strips), Dot("beta 2", 15.0, 90.0)], torch.rand(5, 1, 28, 28))
        >>> len(figure.axes)
        3
    """
    shown = sorted((dot for dot in dots if dot.strips), key=lambda dot: -dot.reconstruction)
    figure = Figure(figsize=(12, max(4.0, 0.8 * len(shown) + 1)), layout="constrained")
    rows = GridSpec(len(shown) + 1, 2, figure, width_ratios=[1, 1])
    plane = figure.add_subplot(rows[:, 0])
    _draw_plane(plane, dots)
    white = torch.ones_like(shown[0].strips[1]) if shown and shown[0].strips else None  # in the place of samples
    _draw_strip(figure.add_subplot(rows[0, 1]), "originals", originals, white)
    for number, dot in enumerate(shown):
        axes = figure.add_subplot(rows[number + 1, 1])
        reconstructions, samples = dot.strips or (None, None)
        _draw_strip(axes, f"{dot.words}: reconstructions, samples", reconstructions, samples)
        line = ConnectionPatch(
            (dot.kl, dot.reconstruction), (0, 0.5), plane.transData, axes.transAxes, color="0.7", linewidth=0.8
        )
        figure.add_artist(line)
    return figure


def _draw_plane(axes: Axes, dots: Sequence[Dot]) -> None:
    points = sorted((dot.kl, dot.reconstruction) for dot in dots)
    axes.plot(*zip(*points, strict=True), color="0.8", linewidth=1, zorder=1)
    for dot in dots:
        color = "C3" if "chosen" in dot.words else "C0"
        axes.scatter(dot.kl, dot.reconstruction, s=30, color=color, zorder=3)
    for place, words in _labels(dots).items():
        axes.annotate(words, place, (-4, -4), textcoords="offset points", ha="right", va="top", fontsize=8, zorder=4)
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xlim(left=-0.8)
    axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1, 3, 10, 30, 100, 300, 1000]))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("KL (rate), nats per image; logarithmic above 1")
    axes.set_ylabel("reconstruction (distortion), nats per image")
    axes.set_title("a dot a beta", fontsize=10)
    axes.grid(alpha=0.3)


def _labels(dots: Sequence[Dot]) -> dict[tuple[float, float], str]:
    """What stands beside each dot, by its place; dots on one another, as where the code is not used, share it."""
    labels: dict[tuple[float, float], str] = {}
    for dot in sorted(dots, key=lambda dot: (dot.kl, dot.reconstruction)):
        word = dot.words.removeprefix("beta ").split(",")[0]
        near = [place for place in labels if max(abs(place[0] - dot.kl), abs(place[1] - dot.reconstruction)) < 0.1]
        place = near[0] if near else (dot.kl, dot.reconstruction)
        labels[place] = f"{labels[place]}, {word}" if near else word
    return labels


def _draw_strip(axes: Axes, words: str, first: Tensor | None, second: Tensor | None) -> None:
    """Two groups of images in a row, with a gap between them."""
    groups = [_row(group) for group in (first, second) if group is not None]
    axes.imshow(torch.cat(groups, 1).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(words, fontsize=8, loc="left", pad=2)
    axes.set_axis_off()
    axes.set_anchor("W")


def _row(images: Tensor) -> Tensor:
    """(N, 1, H, W) to (H, N * (W + 1) + 12), white between them and after the last."""
    spaced = pad(images, (0, 1), value=1.0)
    return pad(torch.cat(list(spaced[:, 0]), 1), (0, 12), value=1.0)
