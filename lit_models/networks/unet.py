"""U-Net: an encoder and a decoder of maps, joined at each resolution."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lit_models.networks.conv import check_layers, divided_size

SegmenterCallable = Callable[[Sequence[int], int], nn.Module]
"""Makes a network of `image_shape, num_classes`, from images (N, C, H, W) in [0, 1] to logits (N, K, H, W)."""


class UNet(nn.Module):
    """U-Net for small images: logits of a class for each pixel.

    Each level is two convolutions (kernel 3, padding 1, batch norm, ReLU). Between levels height and width are halved
    by max pooling, and doubled by a transposed convolution on the way back, where the maps of the same size are joined.
    Against the paper's: padding, so that the output has the image's size; batch norm; fewer channels.

    Args:
        image_shape: (C, H, W), H and W divisible by 2 for each level after the first.
        num_classes: K.
        channels: of each level, from the image's resolution down; at least one.

    Raises:
        ValueError: an argument out of its range; a size that cannot be halved so often.

    Source: O. Ronneberger, P. Fischer, T. Brox, arXiv:1505.04597.

    Example:
        >>> UNet((3, 64, 64), 11)(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 11, 64, 64])
    """

    def __init__(
        self, image_shape: Sequence[int], num_classes: int, channels: Sequence[int] = (16, 32, 64, 128)
    ) -> None:
        super().__init__()
        check_layers(channels)
        divided_size(image_shape, 2 ** (len(channels) - 1), f"{len(channels)} levels", "give fewer channels")
        down = list(pairwise([image_shape[0], *channels]))
        up = list(pairwise(reversed(channels)))  # from the smallest maps on
        self.down = nn.ModuleList(_level(before, after) for before, after in down)
        self.halve = nn.MaxPool2d(2)
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(before, after, 2, stride=2) for before, after in up)
        self.up = nn.ModuleList(_level(2 * after, after) for _, after in up)
        self.head = nn.Conv2d(channels[0], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to logits (N, K, H, W)."""
        kept: list[Tensor] = []
        for number, level in enumerate(self.down):
            x = level(self.halve(x) if number else x)
            kept.append(x)
        for enlarge, level, beside in zip(self.enlarge, self.up, reversed(kept[:-1]), strict=True):
            x = level(torch.cat([enlarge(x), beside], 1))
        return self.head(x)


def _level(fan_in: int, fan_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (fan_in, fan_out):
        layers += [nn.Conv2d(before, fan_out, 3, padding=1, bias=False), nn.BatchNorm2d(fan_out), nn.ReLU()]
    return nn.Sequential(*layers)
