"""Losses of a grid of trainings as one picture: rows batch sizes, columns optimizers, a line a learning rate."""

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

Lines = dict[tuple[int, str, float], list[float]]
"""By batch size, optimizer and learning rate: a loss an epoch."""

_COLOURS = ("#08306b", "#2f7fbc", "#9ecae1", "#c7a76c", "#8c510a")  # from the highest rate on


def draw(lines: Lines, title: str) -> Figure:
    """All panels on one logarithmic scale.

    Args:
        lines: what is drawn; a run without a loss is left out.
        title: of the picture, with the unit of the losses.

    Example:
        >>> len(draw({(4, "Adam", 0.1): [1.0, 0.5], (8, "Adam", 0.1): [1.0, 0.7]}, "loss").axes)
        2
    """
    sizes = sorted({size for size, _, _ in lines})
    names = list(dict.fromkeys(name for _, name, _ in lines))
    rates = list(dict.fromkeys(rate for _, _, rate in lines))
    figure = Figure(figsize=(2.6 * len(names) + 1, 2 * len(sizes) + 1), layout="constrained")
    panels = figure.subplots(len(sizes), len(names), sharex=True, sharey=True, squeeze=False)
    for (size, name, rate), losses in lines.items():
        axes = panels[sizes.index(size)][names.index(name)]
        colour = _COLOURS[rates.index(rate) % len(_COLOURS)]
        axes.plot(range(1, len(losses) + 1), losses, marker="o", markersize=3, color=colour, label=f"{rate:g}")
    for axes, name in zip(panels[0], names, strict=True):
        axes.set_title(name)
    for axes, size in zip(panels[:, 0], sizes, strict=True):
        axes.set_ylabel(f"batch size {size}")
    for axes in panels.flat:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    figure.supxlabel("epochs")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, title="learning rate", loc="outside right upper", frameon=False)
    figure.suptitle(title)
    return figure
