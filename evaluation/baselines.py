"""Images that are no model's: real ones, copies, and Gaussians. What a report's figures have to be read beside."""

import torch
from torch import Tensor

from evaluation.reference import Reference


def baselines(reference: Reference, n: int, seed: int = 0) -> dict[str, Tensor]:
    """Four sets of `n` images, (n, C, H, W) in [0, 1], by name.

    "real" are random training images: what a perfect model would make. "copies" are others, which a test of memory has
    to find. "Gaussian" draws from one Gaussian with the mean and covariance of the training pixels, "Gaussian a class"
    from one for each class; both are cut to [0, 1].

    Args:
        reference: the data.
        n: images of each, at most half the training images.
        seed: of all draws.

    Raises:
        ValueError: fewer training images than 2n.

    Example:
        >>> data = Reference(torch.rand(40, 1, 2, 2), torch.arange(40) % 2, torch.rand(4, 1, 2, 2), torch.arange(4) % 2)
        >>> list(baselines(data, 5))
        ['real', 'copies', 'Gaussian', 'Gaussian a class']
    """
    images, labels = reference.draw("train", 2 * n, seed)
    everything, of_each = reference.floats("train"), reference.train_labels
    generator = torch.Generator().manual_seed(seed)
    made = {"real": images[:n], "copies": images[n:], "Gaussian": _gaussian(everything, n, generator)}
    parts = [(everything[of_each == label], int((labels[:n] == label).sum())) for label in of_each.unique()]
    made["Gaussian a class"] = torch.cat([_gaussian(own, count, generator) for own, count in parts if count])
    return made


def _gaussian(images: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draws from the Gaussian of the pixels' mean and covariance, cut to [0, 1]."""
    pixels = images.flatten(1).double()
    mean = pixels.mean(0)
    values, vectors = torch.linalg.eigh((pixels - mean).T.cov()) if len(pixels) > 1 else (mean * 0, mean.diag())
    noise = torch.randn(n, len(mean), generator=generator, dtype=torch.float64)
    drawn = mean + (noise * values.clamp(min=0).sqrt()) @ vectors.T
    return drawn.clamp(0, 1).float().unflatten(1, images.shape[1:])
