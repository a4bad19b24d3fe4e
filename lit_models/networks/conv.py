"""Convolutional encoder and decoder: each layer halves, or doubles, height and width."""

from collections.abc import Sequence

from torch import Tensor, nn

from lit_models.networks.base import (
    ActivationCallable,
    Decoder,
    Encoder,
    NormCallable,
    PlaneOfCondition,
    join,
)
from lit_models.networks.mlp import check_sizes


class ConvEncoder(Encoder):
    """Strided convolutions (kernel 4, stride 2), then one linear layer; a condition joins the image as a channel.

    Args:
        image_shape: (C, H, W), H and W divisible by 2 to the number of layers.
        out_dim: width of the output.
        condition_dim: width of the condition; 0 for none.
        channels: of each layer, from the image on.
        norm: makes a normalization of the channels of each layer but the first; None for none.
        activation: makes what follows each layer.

    Raises:
        ValueError: a size that the strides do not divide; the message names sizes that fit.

    Example:
        >>> ConvEncoder((3, 32, 32), 40, channels=[16, 32, 128])(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 40])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_dim: int,
        condition_dim: int = 0,
        channels: Sequence[int] = (32, 64),
        norm: NormCallable | None = None,
        activation: ActivationCallable = nn.ReLU,
    ) -> None:
        super().__init__()
        height, width = smallest_size(image_shape, channels)
        self.join = PlaneOfCondition(image_shape, condition_dim)
        layers: list[nn.Module] = []
        fan_in = self.join.channels
        for fan_out in channels:
            layers.append(nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1))
            layers += [norm(fan_out)] if norm is not None and len(layers) > 1 else []
            layers.append(activation())
            fan_in = fan_out
        self.body = nn.Sequential(*layers, nn.Flatten())  # (N, C, h, w) -> (N, C*h*w)
        self.head = nn.Linear(fan_in * height * width, out_dim)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Encoder.features`."""
        return self.body(self.join(x, condition))


class ConvDecoder(Decoder):
    """One linear layer, then transposed convolutions (kernel 4, stride 2); a condition is joined to the code.

    Args:
        in_dim: width of the code.
        image_shape: (C, H, W), H and W divisible by 2 to the number of layers.
        condition_dim: width of the condition; 0 for none.
        channels: of the input of each layer, from the code on; the last layer's output are the image's.
        norm: makes a normalization of the channels of each layer's input; None for none.
        activation: makes what stands before each layer.

    Raises:
        ValueError: a size that the strides do not divide; the message names sizes that fit.

    Example:
        >>> ConvDecoder(20, (3, 32, 32), channels=[128, 64, 32])(torch.rand(2, 20)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        in_dim: int,
        image_shape: Sequence[int],
        condition_dim: int = 0,
        channels: Sequence[int] = (64, 32),
        norm: NormCallable | None = None,
        activation: ActivationCallable = nn.ReLU,
    ) -> None:
        super().__init__()
        height, width = smallest_size(image_shape, channels)
        self.maps = (channels[0], height, width)
        self.start = nn.Linear(in_dim + condition_dim, self.maps[0] * self.maps[1] * self.maps[2])
        layers: list[nn.Module] = []
        for fan_in, fan_out in zip(channels, [*channels[1:], image_shape[0]], strict=True):
            layers += [] if norm is None else [norm(fan_in)]
            layers += [activation(), nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1)]
        self.body = nn.Sequential(*layers)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Decoder.forward`."""
        return self.body(self.start(join(z, condition)).unflatten(1, self.maps))  # (N, C*h*w) -> (N, C, h, w)


def smallest_size(image_shape: Sequence[int], channels: Sequence[int]) -> tuple[int, int]:
    """Height and width after halving once a layer.

    Raises:
        ValueError: there is no layer, or a size is not divisible; the message names the nearest sizes that are.

    Example:
        >>> smallest_size((1, 28, 28), [32, 64])
        (7, 7)
    """
    layers = check_layers(channels)
    who, remedy = f"{len(layers)} layers of stride 2", f"give fewer channels than {layers}"
    return divided_size(image_shape, 2 ** len(layers), who, remedy)


def divided_size(image_shape: Sequence[int], factor: int, who: str, remedy: str) -> tuple[int, int]:
    """Height and width divided by `factor`.

    Raises:
        ValueError: one is not divisible; the message says who needs it and names the nearest sizes that are.

    Example:
        >>> divided_size((3, 32, 32), 8, "strides [2, 4]", "give smaller strides")
        (4, 4)
    """
    _, height, width = image_shape
    if height % factor or width % factor:
        fitting = [max(1, round(size / factor)) * factor for size in (height, width)]
        raise ValueError(
            f"{who} need height and width divisible by {factor}, got {height} x {width}: resize the images to "
            f"{fitting[0]} x {fitting[1]}, or {remedy}"
        )
    return height // factor, width // factor


def check_layers(channels: Sequence[int]) -> list[int]:
    """`channels` as a list; a ValueError where it is empty, or no list of whole numbers of at least 1.

    Example:
        >>> check_layers((32, 48))
        [32, 48]
    """
    if not check_sizes("channels", channels):
        raise ValueError("channels must name at least one layer, got an empty list")
    return list(channels)
