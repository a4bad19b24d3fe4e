"""LitVAE with an encoder and data of one's own: `uv run python -m docs.examples.own_encoder`."""

import torch
from lightning import Trainer
from torch import nn

from datamodules import ImageDataModule
from lit_models import LitVAE
from lit_models.networks import Encoder


class Discs(ImageDataModule):
    """Grey images of a soft disc, 16 x 16, each with a place and a radius of its own."""

    input_shape = (1, 16, 16)

    def load(self, train):
        y, x, radius = torch.rand(3, 2000 if train else 500, 1, 1, 1, generator=torch.manual_seed(train))
        row, column = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
        distance = ((row - 4 - 8 * y).square() + (column - 4 - 8 * x).square()).sqrt()  # (N, 1, 16, 16)
        images = 255 * torch.sigmoid(2 + 3 * radius - distance)
        return images.to(torch.uint8), torch.zeros(len(images), dtype=torch.int64)


class TwoConvolutions(Encoder):
    """Two convolutions of stride 2, of `width` channels."""

    def __init__(self, image_shape, out_dim, condition_dim=0, width: int = 16):
        super().__init__()
        self.body = nn.Sequential(nn.LazyConv2d(width, 4, 2, 1), nn.GELU(), nn.LazyConv2d(width, 4, 2, 1), nn.Flatten())
        self.head = nn.Linear(self.features(torch.zeros(1, *image_shape)).shape[1], out_dim)

    def features(self, x, condition=None):
        return self.body(x)


if __name__ == "__main__":
    model = LitVAE(Discs.input_shape, latent_dim=4, encoder=TwoConvolutions)
    Trainer(max_epochs=10).fit(model, datamodule=Discs(batch_size=32))
