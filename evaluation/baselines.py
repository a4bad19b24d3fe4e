"""Images that are no model's: real ones, copies, and Gaussians. What a report's figures have to be read beside."""

import torch
from torch import Tensor

from evaluation.estimate import random_rows
from evaluation.reference import Reference


def baselines(reference: Reference, n: int, seed: int = 0) -> dict[str, tuple[Tensor, Reference]]:
    """Four sets of `n` images, (n, C, H, W) in [0, 1], by name, each with the data that it is measured against.

    "real" is half of the test images (at most `n` of it), measured against the other half: what a perfect model would
    reach. "training images" are what a model that only remembers would give; a test of memory has to find them.
    "Gaussian" draws from one Gaussian with the mean and covariance of the training pixels, "Gaussian a class" from one
    for each class; both are cut to [0, 1].

    Args:
        reference: the data.
        n: images of each, at most the training images.
        seed: of all draws.

    Raises:
        ValueError: fewer training images than `n`.

    Example:
        >>> data = Reference(torch.rand(40, 1, 2, 2), torch.arange(40) % 2, torch.rand(8, 1, 2, 2), torch.arange(8) % 2)
        >>> {name: len(images) for name, (images, _) in baselines(data, 5).items()}
        {'real': 4, 'training images': 5, 'Gaussian': 5, 'Gaussian a class': 5}
    """
    one, other = random_rows(len(reference.test), len(reference.test), seed).tensor_split(2)
    unseen = reference.with_test(other)
    copies, labels = reference.draw("train", n, seed)
    everything, of_each = reference.floats("train"), reference.train_labels
    generator = torch.Generator().manual_seed(seed)
    parts = [(everything[of_each == label], int((labels == label).sum())) for label in of_each.unique()]
    return {
        "real": (reference.floats("test", one[:n]), unseen),
        "training images": (copies, reference),
        "Gaussian": (_gaussian(everything, n, generator), reference),
        "Gaussian a class": (torch.cat([_gaussian(x, count, generator) for x, count in parts if count]), reference),
    }


def _gaussian(images: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draws from the Gaussian of the pixels' mean and covariance, cut to [0, 1]."""
    pixels = images.flatten(1).double()
    mean = pixels.mean(0)
    values, vectors = torch.linalg.eigh((pixels - mean).T.cov()) if len(pixels) > 1 else (mean * 0, mean.diag())
    noise = torch.randn(n, len(mean), generator=generator, dtype=torch.float64)
    drawn = mean + (noise * values.clamp(min=0).sqrt()) @ vectors.T
    return drawn.clamp(0, 1).float().unflatten(1, images.shape[1:])
