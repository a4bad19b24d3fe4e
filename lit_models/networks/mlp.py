"""Fully connected encoder and decoder for images."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn


def mlp(dims: Sequence[int]) -> nn.Sequential:
    """Linear layers between consecutive `dims`, each followed by a ReLU; nothing for a single one."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(dims):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers)


class GaussianEncoder(nn.Module):
    """Image, and a condition joined to it, to the mean and log-variance of a diagonal Gaussian.

    Args:
        image_shape: (C, H, W).
        hidden_dims: widths of the hidden layers, from the image to the code.
        latent_dim: D.
        condition_dim: width of the condition; 0 for none.
    """

    def __init__(
        self, image_shape: Sequence[int], hidden_dims: Sequence[int], latent_dim: int, condition_dim: int = 0
    ) -> None:
        super().__init__()
        dims = [prod(image_shape) + condition_dim, *hidden_dims]
        self.body = mlp(dims)
        self.mu = nn.Linear(dims[-1], latent_dim)
        self.log_variance = nn.Linear(dims[-1], latent_dim)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) and (N, condition_dim) to mean and log-variance, (N, D) each."""
        features = self.body(_join(x.flatten(1), condition))
        return self.mu(features), self.log_variance(features)


class LogitDecoder(nn.Module):
    """Code, and a condition joined to it, to an image of logits: sigmoid brings them to [0, 1].

    Args:
        image_shape: (C, H, W).
        hidden_dims: widths of the hidden layers, from the code to the image.
        latent_dim: D.
        condition_dim: width of the condition; 0 for none.
    """

    def __init__(
        self, image_shape: Sequence[int], hidden_dims: Sequence[int], latent_dim: int, condition_dim: int = 0
    ) -> None:
        super().__init__()
        dims = [latent_dim + condition_dim, *hidden_dims]
        self.image_shape = tuple(image_shape)
        self.body = mlp(dims)
        self.logits = nn.Linear(dims[-1], prod(image_shape))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, D) and (N, condition_dim) to (N, C, H, W) logits."""
        logits = self.logits(self.body(_join(z, condition)))
        return logits.unflatten(1, self.image_shape)  # (N, C*H*W) -> (N, C, H, W)


def _join(x: Tensor, condition: Tensor | None) -> Tensor:
    return x if condition is None else torch.cat([x, condition], dim=1)
