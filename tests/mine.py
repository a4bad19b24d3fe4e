"""A user's own network and model, in a module that load_model does not know."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lit_models import LitVAE
from lit_models.networks import Encoder


class MyEncoder(Encoder):
    """A linear encoder with a width of its own."""

    def __init__(self, image_shape: Sequence[int], out_dim: int, condition_dim: int = 0, width: int = 4) -> None:
        super().__init__()
        self.hidden = nn.Linear(image_shape[0] * image_shape[1] * image_shape[2], width)
        self.head = nn.Linear(width, out_dim)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, width)."""
        return self.hidden(x.flatten(1))


class MyVAE(LitVAE):
    """A subclass with an argument of its own."""

    def __init__(self, image_shape: Sequence[int], flavour: str, **kwargs: Any) -> None:
        super().__init__(image_shape, **kwargs)
        self.flavour = flavour


class PlainModule(torch.nn.Module):
    """No LightningModule."""
