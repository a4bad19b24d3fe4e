"""The two players of a DCGAN.

Source: A. Radford, L. Metz, S. Chintala, arXiv:1511.06434: strided convolutions, batch norm, LeakyReLU 0.2, weights
from N(0, 0.02). The sizes are the coursework's.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from lit_models.networks.base import Decoder, Encoder, PlaneOfCondition, join
from lit_models.networks.dropout import ByteDropout
from lit_models.networks.mlp import check_sizes


class DCGANGenerator(Decoder):
    """Linear layer to maps of a quarter of the size, two transposed convolutions that double, two convolutions.

    Each layer but the last is followed by batch norm and ReLU.

    Args:
        in_dim: width of the noise.
        image_shape: (C, H, W), H and W divisible by 4.
        condition_dim: width of the condition, joined to the noise; 0 for none.
        channels: of the four hidden layers.
        dropout: share of values dropped after each hidden layer, in [0, 1).

    Raises:
        ValueError: an image shape that the strides do not divide; not four channels; a dropout out of its range.

    Example:
        >>> DCGANGenerator(100, (1, 28, 28))(torch.randn(2, 100)).shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        in_dim: int,
        image_shape: Sequence[int],
        condition_dim: int = 0,
        channels: Sequence[int] = (256, 128, 64, 32),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        image_channels, height, width = image_shape
        if height % 4 or width % 4:
            raise ValueError(
                f"image_shape must have height and width divisible by 4, the generator's strides, got "
                f"{tuple(image_shape)}: resize the images, or use another generator"
            )
        first, second, third, fourth = _four(channels)
        self.maps = (first, height // 4, width // 4)
        self.start = nn.Linear(in_dim + condition_dim, first * self.maps[1] * self.maps[2], bias=False)
        self.body = nn.Sequential(
            *_after(first, dropout),
            nn.ConvTranspose2d(first, second, 4, stride=2, padding=1, bias=False),
            *_after(second, dropout),
            nn.ConvTranspose2d(second, third, 4, stride=2, padding=1, bias=False),
            *_after(third, dropout),
            nn.Conv2d(third, fourth, 3, padding=1, bias=False),
            *_after(fourth, dropout),
            nn.Conv2d(fourth, image_channels, 3, padding=1),
        )
        self.apply(_initialize)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Decoder.forward`."""
        return self.body(self.start(join(z, condition)).unflatten(1, self.maps))  # (N, C*h*w) -> (N, C, h, w)


class DCGANDiscriminator(Encoder):
    """Three convolutions that halve and one that does not, each with LeakyReLU 0.2 and dropout, then a linear layer.

    Args:
        image_shape: (C, H, W).
        out_dim: width of the output.
        condition_dim: width of the condition, joined to the image as a channel; 0 for none.
        channels: of the four convolutions.
        kernels: of the four convolutions; the padding is 1.
        dropout: share of values dropped after each convolution, in [0, 1).
        first_norm: batch norm after the first convolution too, as after the others.
        pool: height and width to which the last maps are averaged; None leaves them as they are.

    Raises:
        ValueError: not four channels or kernels; images too small for them; a dropout out of its range.

    Example:
        >>> DCGANDiscriminator((1, 28, 28)).features(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 8192])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_dim: int = 1,
        condition_dim: int = 0,
        channels: Sequence[int] = (64, 128, 256, 512),
        kernels: Sequence[int] = (4, 4, 3, 3),
        dropout: float = 0.3,
        first_norm: bool = False,
        pool: int | None = None,
    ) -> None:
        super().__init__()
        self.join = PlaneOfCondition(image_shape, condition_dim)
        height, width = image_shape[1:]
        layers: list[nn.Module] = []
        sizes = pairwise([self.join.channels, *_four(channels)])
        for (fan_in, fan_out), kernel, stride in zip(sizes, _four(kernels), (2, 2, 2, 1), strict=True):
            has_norm = first_norm or bool(layers)
            # a bias before batch norm would be taken away by it
            layers.append(nn.Conv2d(fan_in, fan_out, kernel, stride=stride, padding=1, bias=not has_norm))
            layers += [nn.BatchNorm2d(fan_out)] if has_norm else []
            layers += [nn.LeakyReLU(0.2), ByteDropout(dropout)]
            height, width = ((size + 2 - kernel) // stride + 1 for size in (height, width))
        if min(height, width) < 1:
            raise ValueError(f"images of {tuple(image_shape)} are too small for four convolutions: use another network")
        if pool is not None:
            layers.append(nn.AdaptiveAvgPool2d(pool))
            height = width = pool
        self.body = nn.Sequential(*layers)
        self.num_features = channels[-1] * height * width
        self.head = nn.Linear(self.num_features, out_dim)
        self.apply(_initialize)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to (N, num_features)."""
        return self.body(self.join(x, condition)).flatten(1)  # (N, C, h, w) -> (N, C*h*w)


def _after(channels: int, dropout: float) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(), *([ByteDropout(dropout)] if dropout else [])]


def _four(sizes: Sequence[int]) -> list[int]:
    if len(check_sizes("channels and kernels", sizes)) != 4:
        raise ValueError(f"channels and kernels must be lists of four, one a layer, got {list(sizes)}")
    return list(sizes)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
