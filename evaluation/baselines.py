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
    by_class = torch.cat([_gaussian(images, count, generator) for images, count in parts if count])
    return {
        "real": (reference.floats("test", one[:n]), unseen),
        "training images": (copies, reference),
        "Gaussian": (_gaussian(everything, n, generator), reference),
        "Gaussian a class": (by_class[random_rows(n, n, seed)], reference),  # errors by blocks need a random order
    }


def _gaussian(images: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draws from the Gaussian of the pixels' mean and covariance, cut to [0, 1]."""
    pixels = images.flatten(1).double()
    mean = pixels.mean(0)
    root = (pixels - mean) / max(1, len(pixels) - 1) ** 0.5  # (N, D): root.T @ root is the covariance
    if len(root) > len(mean):  # (D, D) does, and is smaller
        values, vectors = torch.linalg.eigh(root.T @ root)
        root = values.clamp(min=0).sqrt().unsqueeze(1) * vectors.T
    drawn = mean + torch.randn(n, len(root), generator=generator, dtype=torch.float64) @ root
    return drawn.clamp(0, 1).float().unflatten(1, images.shape[1:])
