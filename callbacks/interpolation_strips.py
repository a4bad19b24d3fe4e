"""Strips of images from one image to another, for one model or for several side by side."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.image_strips import image_strips


def interpolation_strips(
    starts: Tensor,
    walks: Sequence[Tensor],
    ends: Tensor,
    labels: Sequence[str] = (),
    titles: Sequence[str] = (),
) -> Figure:
    """A figure with R strips, `original | n decoded images | original`, for each of K models side by side.

    Above each decoded image stands its share of the way, from 0 to 1.

    Args:
        starts: (R, C, H, W) in [0, 1], the originals at the left ends.
        walks: K tensors, (R, n, C, H, W) in [0, 1]: what each model decodes on the way, both ends included.
        ends: (R, C, H, W) in [0, 1], the originals at the right ends.
        labels: R texts at the left of the strips; none by default.
        titles: K texts, one above each model's strips; none by default.

    Example:
        >>> starts, ends, t = torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8), torch.linspace(0, 1, 5)
        >>> walk = t.view(1, 5, 1, 1, 1).expand(2, 5, 1, 8, 8)
        >>> figure = interpolation_strips(starts, [walk, walk], ends, titles=["one model", "another"])
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['original', '0', '0.25', '0.5', '0.75', '1', 'original']
    """
    shares = torch.linspace(0, 1, walks[0].shape[1]).tolist()
    headings = ["original", *(f"{share:.2g}" for share in shares), "original"]
    panels = [(starts.unsqueeze(1), walk, ends.unsqueeze(1)) for walk in walks]
    return image_strips(panels, labels, headings, titles)
