"""Small models that answer some of the verbs."""

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule
from torch import Tensor


class OnlySamples(LightningModule):
    """A user's own model that says nothing of itself."""

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        return torch.rand(n, 3, 6, 8)


class Mirror(LightningModule):
    """Codes are the pixels, so that every result is known."""

    image_shape = (1, 2, 2)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x.flatten(1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z.unflatten(1, self.image_shape)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x * 0.5


class Finder(LightningModule):
    """Finds the same box everywhere, and that dark pixels are of class 1."""

    image_shape = (1, 2, 2)

    def locate(self, x: Tensor) -> Tensor:
        return torch.tensor([[0.5, 0.5, 1.0, x.flatten()[0]]])

    def segment(self, x: Tensor) -> Tensor:
        return torch.cat([x, 1 - x], 1)


class PriorMirror(Mirror):
    """A mirror with a prior of mean 0.5 and deviation 0.1, which uses its last pixel most."""

    def unit_kl(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.arange(4.0).expand(len(x), 4)

    def prior_moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.full((4,), 0.5), torch.full((4,), 0.1)


class Labelled(LightningModule):
    """A conditional model whose images are as bright as their label."""

    image_shape = (1, 2, 2)
    conditional = True

    def __init__(self, num_classes: int | None = 4) -> None:
        super().__init__()
        if num_classes is not None:
            self.num_classes = num_classes

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        assert y is not None
        return (y.float() / 10).view(n, 1, 1, 1).expand(n, 1, 2, 2)


class Chain(LightningModule):
    """A random walk."""

    def run_chains(self, n: int, at: Sequence[int]) -> Tensor:
        steps = torch.stack([torch.randn(n, 1, 2, 2) for _ in range(max(at))]).cumsum(0)  # (T, n, C, H, W)
        return torch.stack([steps[step - 1] for step in at], 1).sigmoid()


class Regression(LightningModule):
    """Has `classify`, and refuses it."""

    image_shape = (1, 2, 2)

    def classify(self, x: Tensor) -> Tensor:
        raise TypeError("no classes")
