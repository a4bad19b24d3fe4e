"""Picture of curves over epochs, a panel a figure, train and validation together."""

import re
from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from callbacks.picture import new_figure

MAX_PANELS = 12
_FIRST = ("loss", "d_loss", "g_loss", "reconstruction", "kl", "active_units", "log_likelihood", "accuracy", "mse")
_NATS, _PIXEL = "nats per image", "per pixel, of [0, 1]"
_COLORS = {"train": "C0", "val": "C1", "": "C2"}
_WORDS = {"train": "train", "val": "validation", "": "neither"}
_MANY = 40  # points of a line, from which on dots would hide it

Points = Mapping[float, float]


class Panel(NamedTuple):
    """What one panel shows: its figure's name, and its lines by split.

    Example:
        >>> Panel("kl", {"train": {1.0: 20.5}}).figure
        'kl'
    """

    figure: str
    lines: dict[str, Points]


def split_and_figure(name: str) -> tuple[str, str]:
    """The split, "train", "val" or "" for neither, and the figure that a logged name names.

    Example:
        >>> split_and_figure("train/loss"), split_and_figure("val_loss"), split_and_figure("samples/entropy")
        (('train', 'loss'), ('val', 'loss'), ('', 'samples/entropy'))
    """
    match = re.fullmatch(r"(train|val)[/_](.+)", name)
    return (match[1], match[2]) if match else ("", name)


def panels(curves: Mapping[str, Points], figures: Sequence[str] | None = None) -> list[Panel]:
    """Curves by figure, in the order in which they are drawn.

    Args:
        curves: points, {epoch: value}, by logged name.
        figures: what is wanted, in this order, as "kl" or "samples/entropy"; what is not there is left out. None for
            all that was logged for train or validation, the well-known first and the others as they were logged.

    Example:
        >>> curves = {"train/kl": {1.0: 3.0}, "train/loss": {1.0: 9.0}, "val/loss": {1.0: 8.0}, "norm": {1.0: 1.0}}
        >>> [(panel.figure, list(panel.lines)) for panel in panels(curves)]
        [('loss', ['train', 'val']), ('kl', ['train'])]
        >>> [panel.figure for panel in panels(curves, ["norm", "loss"])]
        ['norm', 'loss']
    """
    found: dict[str, dict[str, Points]] = {}
    for name, points in curves.items():
        split, figure = split_and_figure(name)
        found.setdefault(figure, {})[split] = points
    if figures is None:
        known = [figure for figure, lines in found.items() if set(lines) != {""}]
        figures = sorted(known, key=lambda figure: _FIRST.index(figure) if figure in _FIRST else len(_FIRST))
    return [Panel(figure, found[figure]) for figure in figures if figure in found]


def draw_panels(shown: Sequence[Panel]) -> Figure:
    """Picture of at least one panel; axes are linear, and `train` and `val` have the same colours in all.

    Args:
        shown: at least one panel; those after the 12th are named below the picture and not drawn.

    Example:
        >>> figure = draw_panels([Panel("kl", {"train": {1.0: 3.0, 2.0: 5.0}, "val": {1.0: 4.0, 2.0: 6.0}})])
        >>> figure.axes[0].get_ylabel().splitlines()
        ['kl', '(nats per image)']
    """
    drawn, left_out = shown[:MAX_PANELS], shown[MAX_PANELS:]
    columns = len(drawn) if len(drawn) < 4 else ceil(sqrt(len(drawn)))
    rows = ceil(len(drawn) / columns)
    figure = new_figure(max(4.0, 3.2 * columns), 2.5 * rows + 0.5)
    has_kl = any(panel.figure == "kl" for panel in shown)
    for position, panel in enumerate(drawn):
        axes = figure.add_subplot(rows, columns, position + 1, sharex=figure.axes[0] if figure.axes else None)
        _draw_lines(axes, panel)
        axes.set_ylabel(_with_unit(panel.figure, has_kl), fontsize=8)
        if position + columns >= len(drawn):  # nothing stands below
            axes.set_xlabel("epoch", fontsize=8)
    _add_legend(figure)
    if left_out:
        figure.supxlabel(f"not drawn: {', '.join(panel.figure for panel in left_out)}", fontsize=8)
    return figure


def _draw_lines(axes: Axes, panel: Panel) -> None:
    for split, points in sorted(panel.lines.items(), key=lambda line: list(_WORDS).index(line[0])):
        epochs = sorted(points)
        marker = "." if len(epochs) < _MANY else ""  # a single point would have no line
        values, color, label = [points[x] for x in epochs], _COLORS[split], _WORDS[split]
        axes.plot(epochs, values, marker=marker, linewidth=1, color=color, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.ticklabel_format(axis="y", useOffset=False)  # or 0.0270137 would read as 3.7, with a small 1e-6 + 0.027 above
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)


def _with_unit(figure: str, has_kl: bool) -> str:
    # a loss that has a KL term is in its unit; other losses may be anything
    nats = figure in ("reconstruction", "kl", "log_likelihood") or (figure == "loss" and has_kl)
    unit = _NATS if nats else _PIXEL if f"_{figure}".endswith("_mse") else ""
    name = figure.replace("_", " ")
    return f"{name}\n({unit})" if unit else name


def _add_legend(figure: Figure) -> None:
    """One legend for all panels."""
    found: dict[str, Artist] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=len(found), fontsize=8, frameon=False)
