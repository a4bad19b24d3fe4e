"""Images in [0, 1] to standardized vectors and back, by the scale of the train split."""

import math

import torch
from torch import Tensor, nn

from lit_models.functional.precision import wide


class Standardize(nn.Module):
    """One mean and one standard deviation for all pixels, kept as buffers; the identity until `set_scale` was called.

    Args:
        image_shape: (C, H, W); D is the number of values of an image.

    Example:
        >>> scale = Standardize((1, 2, 2))
        >>> scale.set_scale(torch.full((4,), 0.5), torch.full((4,), 0.5))
        >>> scale(torch.ones(1, 1, 2, 2))
        tensor([[1., 1., 1., 1.]])
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

    def set_scale(self, mean: Tensor, mean_square: Tensor) -> None:
        """Set the scale from the moments of all training images, (D,) each, in [0, 1] units.

        Raises:
            ValueError: all pixels have one value, or one is not a number.
        """
        overall = float(mean.mean())
        variance = float(mean_square.mean()) - overall**2
        if not variance > 1e-12:
            raise ValueError(f"the training images have no contrast: mean {overall:.3g}, variance {variance:.3g}")
        self.mean.fill_(overall)
        self.std.fill_(math.sqrt(variance))
        self.mean_image.copy_((mean - overall) / math.sqrt(variance))
        self.fitted.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to (N, D), standardized."""
        return (wide(x).flatten(1) - wide(self.mean)) / wide(self.std)  # (N, C, H, W) -> (N, D)

    def inverse(self, v: Tensor) -> Tensor:
        """(N, D) to images (N, C, H, W) on the scale of [0, 1], which a Gaussian's mean may leave."""
        return (v * wide(self.std) + wide(self.mean)).unflatten(1, self.image_shape)

    def log_volume(self) -> Tensor:
        """Nats that a density over standardized images loses as one over [0, 1] pixels: D log std, a scalar."""
        return len(self.mean_image) * wide(self.std).log()
