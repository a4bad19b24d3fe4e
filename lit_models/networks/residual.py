"""Residual encoder and decoder: stages that halve, or double, height and width, with residual blocks in each.

Activations stand inside the blocks alone, so that the skips join into one linear path through the whole network. A new
network is linear, and an autoencoder of two of them begins by learning what principal components would say.

Source: K. He, X. Zhang, S. Ren, J. Sun, arXiv:1603.05027: skips that stay identities, activation before convolution.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from lit_models.networks.base import (
    ActivationCallable,
    Decoder,
    Encoder,
    NormCallable,
    PlaneOfCondition,
    join,
)
from lit_models.networks.conv import smallest_size


class ResidualBlock(nn.Module):
    """Adds to its input what two convolutions (kernel 3), each after an activation, make of it.

    The second convolution starts at zero, so that a new block changes nothing, and deep networks train without
    normalization.

    Args:
        channels: C, of input and output.
        norm: makes a normalization before each activation; None for none.
        activation: makes what stands before each convolution.

    Source: H. Zhang, Y. Dauphin, T. Ma, "Fixup initialization", arXiv:1901.09321, for the zeros.

    Example:
        >>> import torch
        >>> x = torch.rand(2, 8, 4, 4)
        >>> torch.equal(ResidualBlock(8)(x), x)
        True
    """

    def __init__(
        self, channels: int, norm: NormCallable | None = None, activation: ActivationCallable = nn.ReLU
    ) -> None:
        super().__init__()
        second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(second.weight)
        nn.init.zeros_(second.bias)  # type: ignore[arg-type]
        self.change = nn.Sequential(
            *_activated(channels, norm, activation),
            nn.Conv2d(channels, channels, 3, padding=1),
            *_activated(channels, norm, activation),
            second,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H, W)."""
        return x + self.change(x)


class ResidualEncoder(Encoder):
    """Stages of a strided convolution (kernel 4, stride 2) and residual blocks, then one linear layer.

    A condition joins the image as a channel.

    Args:
        image_shape: (C, H, W), H and W divisible by 2 to the number of stages.
        out_dim: width of the output.
        condition_dim: width of the condition; 0 for none.
        channels: of each stage, from the image on.
        blocks: residual blocks of each stage, at least 1.
        norm: makes a normalization before each activation; None for none.
        activation: makes what stands before each convolution of a block.

    Raises:
        ValueError: a size that the strides do not divide, and the message names sizes that fit; `blocks` below 1.

    Example:
        >>> import torch
        >>> ResidualEncoder((3, 32, 32), 40, channels=[16, 32, 64])(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 40])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_dim: int,
        condition_dim: int = 0,
        channels: Sequence[int] = (32, 64),
        blocks: int = 1,
        norm: NormCallable | None = None,
        activation: ActivationCallable = nn.ReLU,
    ) -> None:
        super().__init__()
        height, width = smallest_size(image_shape, channels)
        self.join = PlaneOfCondition(image_shape, condition_dim)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([self.join.channels, *channels]):
            layers.append(nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1))
            layers += _stage(fan_out, blocks, norm, activation)
        self.body = nn.Sequential(*layers, nn.Flatten())  # (N, C, h, w) -> (N, C*h*w)
        self.head = nn.Linear(channels[-1] * height * width, out_dim)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Encoder.features`."""
        return self.body(self.join(x, condition))


class ResidualDecoder(Decoder):
    """One linear layer, then stages of residual blocks and a transposed convolution (kernel 4, stride 2).

    Each output of a transposed convolution is made of equally many inputs, because its stride divides its kernel; where
    it does not, a checkerboard shows. A condition is joined to the code.

    Args:
        in_dim: width of the code.
        image_shape: (C, H, W), H and W divisible by 2 to the number of stages.
        condition_dim: width of the condition; 0 for none.
        channels: of each stage, from the code on; the last stage's output are the image's.
        blocks: residual blocks of each stage, at least 1.
        norm: makes a normalization before each activation; None for none.
        activation: makes what stands before each convolution of a block.

    Raises:
        ValueError: a size that the strides do not divide, and the message names sizes that fit; `blocks` below 1.

    Source: A. Odena, V. Dumoulin, C. Olah, "Deconvolution and checkerboard artifacts", Distill, 2016.

    Example:
        >>> import torch
        >>> ResidualDecoder(20, (3, 32, 32), channels=[64, 32, 16])(torch.rand(2, 20)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        in_dim: int,
        image_shape: Sequence[int],
        condition_dim: int = 0,
        channels: Sequence[int] = (64, 32),
        blocks: int = 1,
        norm: NormCallable | None = None,
        activation: ActivationCallable = nn.ReLU,
    ) -> None:
        super().__init__()
        height, width = smallest_size(image_shape, channels)
        self.maps = (channels[0], height, width)
        self.start = nn.Linear(in_dim + condition_dim, channels[0] * height * width)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([*channels, image_shape[0]]):
            layers += _stage(fan_in, blocks, norm, activation)
            layers.append(nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1))
        self.body = nn.Sequential(*layers)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Decoder.forward`."""
        return self.body(self.start(join(z, condition)).unflatten(1, self.maps))  # (N, C*h*w) -> (N, C, h, w)


def _stage(channels: int, blocks: int, norm: NormCallable | None, activation: ActivationCallable) -> list[nn.Module]:
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1, got {blocks}: stages without any are ConvEncoder and ConvDecoder")
    return [ResidualBlock(channels, norm, activation) for _ in range(blocks)]


def _activated(channels: int, norm: NormCallable | None, activation: ActivationCallable) -> list[nn.Module]:
    return [activation()] if norm is None else [norm(channels), activation()]
