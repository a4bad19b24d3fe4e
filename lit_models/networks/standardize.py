"""Images in [0, 1] to standardized vectors and back, by the scale of the train split."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """One mean and one standard deviation for all pixels, kept as buffers; the identity until `fit` was called.

    Args:
        image_shape: (C, H, W); D is the number of values of an image.
    """

    mean: Tensor
    std: Tensor
    mean_image: Tensor  # (D,), standardized
    fitted: Tensor

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(1.0))
        self.register_buffer("mean_image", torch.zeros(math.prod(image_shape)))
        self.register_buffer("fitted", torch.tensor(False))

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Set the scale from all training images: (N, C, H, W) in [0, 1], batch by batch.

        Raises:
            ValueError: there are none, all pixels have one value, or one is not a number.
        """
        count, total, square = 0, torch.zeros_like(self.mean_image, dtype=torch.float64), 0.0
        for x in batches:
            pixels = x.detach().to(total).flatten(1)  # (N, C, H, W) -> (N, D)
            count, total, square = count + len(pixels), total + pixels.sum(0), square + float(pixels.square().sum())
        if count == 0:
            raise ValueError("there are no training images to take a scale from")
        mean = float(total.mean()) / count
        variance = square / (count * len(total)) - mean**2
        if not variance > 1e-12:
            raise ValueError(f"the training images have no contrast: mean {mean:.3g}, variance {variance:.3g}")
        self.mean.fill_(mean)
        self.std.fill_(math.sqrt(variance))
        self.mean_image.copy_((total / count - mean) / math.sqrt(variance))
        self.fitted.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to (N, D), standardized."""
        return (x.flatten(1) - self.mean) / self.std  # (N, C, H, W) -> (N, D)

    def inverse(self, v: Tensor) -> Tensor:
        """(N, D) to images (N, C, H, W) on the scale of [0, 1], which a Gaussian's mean may leave."""
        return (v * self.std + self.mean).unflatten(1, self.image_shape)

    def log_volume(self) -> Tensor:
        """Nats that a density over standardized images loses as one over [0, 1] pixels: D log std, a scalar."""
        return len(self.mean_image) * self.std.log()
