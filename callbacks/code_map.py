"""Codes as points in a plane, coloured by class: for one model, or for several side by side."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.picture import new_figure


def tsne_plane(codes: Tensor, seed: int = 0) -> np.ndarray:
    """Codes, (N, D), laid into the plane by t-SNE, (N, 2).

    Args:
        codes: (N, D), finite, at least three.
        seed: random state.

    Source: L. van der Maaten, G. Hinton, JMLR 9, 2008, as scikit-learn's `TSNE` with its defaults (perplexity 30, or a
    third of the other points where they are few).

    Example:
        >>> import torch
        >>> tsne_plane(torch.rand(5, 3)).shape
        (5, 2)
    """
    # here, since every start of every command would wait for it
    from sklearn.manifold import TSNE

    # t-SNE needs a perplexity below the number of points, and two dimensions to begin with principal components
    perplexity = min(30.0, (len(codes) - 1) / 3)
    # with a spread; of a collapsed model's codes scikit-learn would divide by 0, and its compiled code ends the process
    init = "pca" if codes.shape[1] > 1 and codes.float().var(0).max() > 0 else "random"
    return TSNE(init=init, perplexity=perplexity, random_state=seed).fit_transform(codes.numpy())


def code_map(planes: Sequence[np.ndarray], labels: np.ndarray, names: Sequence[str], titles: Sequence[str]) -> Figure:
    """A figure with a panel for each set of points, and one legend.

    Args:
        planes: K arrays, (N, 2).
        labels: (N,) from 0 to the number of names - 1; colours repeat after ten.
        names: of the classes; [""] for points without classes, which have no legend.
        titles: a text above each panel.

    Example:
        >>> len(code_map([np.zeros((4, 2))] * 2, np.arange(4), "abcd", ["one model", "another"]).axes)
        2
    """
    figure = new_figure(1.6 + 5.6 * len(planes), 5.6)
    size = min(20.0, max(3.0, 8_000 / len(labels)))  # few points would be lost as dots, many would hide each other
    panels = figure.subplots(1, len(planes), squeeze=False)[0]
    for axes, plane, title in zip(panels, planes, titles, strict=True):
        for label, name in enumerate(names):
            points = plane[labels == label]
            axes.scatter(points[:, 0], points[:, 1], s=size, linewidths=0, color=f"C{label % 10}", label=name)
        axes.set_title(title, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    if any(names):
        scale = (50 / size) ** 0.5
        # handles by hand: matplotlib leaves names that begin with "_" out of a legend
        panels[-1].legend(
            panels[-1].collections,
            names,
            loc="center left",
            bbox_to_anchor=(1, 0.5),
            markerscale=scale,
            fontsize=8,
            frameon=False,
        )
    return figure
