"""Pictures of linear Gaussian models by number of codes: samples, reconstructions, and how the fits converge."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.image_strips import image_strips
from lit_models import LitPPCA

Key = tuple[int, str]  # number of codes, and how it was fitted
_SHOWN = {"PPCA": "PPCA, closed form", "factor analysis": "factor analysis, EM"}
_SAMPLES = 5
_LEAST = 1e-3  # nats below which a curve says nothing


@torch.no_grad()
def draw_samples(models: Mapping[Key, LitPPCA], codes: Sequence[int]) -> Figure:
    """A row a number of codes; a panel a model, without and with the noise of pixels."""
    panels, titles = [], []
    for name, key in _SHOWN.items():
        for noise in (False, True):
            torch.manual_seed(0)
            rows = [models[k, key].sample(_SAMPLES, pixel_noise=noise) for k in codes]
            panels.append([torch.stack(rows)])
            titles.append(f"{name}, {'with' if noise else 'without'} pixel noise")
    return image_strips(panels, [f"K = {k}" for k in codes], titles=titles)


@torch.no_grad()
def draw_reconstructions(models: Mapping[Key, LitPPCA], codes: Sequence[int], x: Tensor) -> Figure:
    """A row an image: the original, and what each number of codes keeps of it; a panel a model."""
    panels = []
    for key in _SHOWN.values():
        columns = [models[k, key].reconstruct(x) for k in codes]
        panels.append([x.unsqueeze(1), torch.stack(columns, 1)])
    return image_strips(panels, headings=["original", *(f"K = {k}" for k in codes)], titles=list(_SHOWN))


def draw_curves(curves: Mapping[Key, Sequence[float]], optima: Mapping[Key, float], codes: Sequence[int]) -> Figure:
    """How far below the best likelihood each fit is after each epoch; a column a number of codes, a row a model.

    Args:
        curves: mean log-likelihoods of the train split after each epoch, in nats.
        optima: the same of the solution, by number of codes and model.
        codes: numbers of codes.

    Example:
        >>> curves = {(2, "PPCA, EM"): [1.0, 2.0], (2, "factor analysis, EM"): [1.0, 3.0]}
        >>> len(draw_curves(curves, {(2, "PPCA"): 2.5, (2, "factor analysis"): 3.5}, [2]).axes)
        2
    """
    figure = Figure(figsize=(2.4 * len(codes) + 0.8, 4.6), layout="constrained")
    for row, axes_of_row in enumerate(figure.subplots(2, len(codes), squeeze=False, sharex=True, sharey="row")):
        model = list(_SHOWN)[row]
        for k, axes in zip(codes, axes_of_row, strict=True):
            for color, way in enumerate(("EM", "gradient")):
                gaps = [max(optima[k, model] - value, _LEAST) for value in curves.get((k, f"{model}, {way}"), ())]
                axes.plot(range(1, len(gaps) + 1), gaps, color=f"C{color}", marker=".", label=way)
            axes.set_yscale("log")
            axes.set_title(f"{model}, K = {k}", fontsize=9)
            axes.grid(alpha=0.3)
        axes_of_row[0].legend(fontsize=8)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("nats below the optimum, train split", fontsize=9)
    return figure
