"""Convolutional encoder and decoder whose code is the encoder's last maps, flattened."""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from lit_models.networks.base import ActivationCallable, Decoder, Encoder, PlaneOfCondition
from lit_models.networks.conv import check_layers, divided_size
from lit_models.networks.mlp import check_sizes


class MapEncoder(Encoder):
    """Convolutions (kernel 3), the last of whose maps are the code: there is no linear layer.

    A map keeps its place in the image, so that a network after this one can go on with convolutions. A condition joins
    the image as a channel.

    Args:
        image_shape: (C, H, W), H and W divisible by the product of the strides.
        out_dim: width of the output, which must be the number of values in the last maps.
        condition_dim: width of the condition; 0 for none.
        channels: of each layer, from the image on.
        strides: of each layer; 2 halves height and width.
        activation: makes what follows each layer, the last one too.

    Raises:
        ValueError: `out_dim` is another number than the maps have; a size that the strides do not divide; lists of
            different lengths.

    Example:
        >>> MapEncoder((3, 32, 32), 2016)(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 2016])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_dim: int,
        condition_dim: int = 0,
        channels: Sequence[int] = (32, 48, 96, 126),
        strides: Sequence[int] = (1, 2, 2, 2),
        activation: ActivationCallable = nn.ReLU,
    ) -> None:
        super().__init__()
        self.maps = map_shape(image_shape, check_layers(channels), strides)
        check_width("out_dim", out_dim, self.maps)
        self.join = PlaneOfCondition(image_shape, condition_dim)
        self.body = convolutions(self.join.channels, channels, strides, activation)
        self.head = nn.Identity()

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Encoder.features`; here they are the output."""
        return self.body(self.join(x, condition)).flatten(1)  # (N, C, h, w) -> (N, C*h*w)


class MapDecoder(Decoder):
    """Transposed convolutions (kernel 3) from a code that is flattened maps: the mirror of `MapEncoder`.

    A condition joins the maps as a channel.

    Args:
        in_dim: width of the code, which must be the number of values in the first maps.
        image_shape: (C, H, W), H and W divisible by the product of the strides.
        condition_dim: width of the condition; 0 for none.
        channels: of the input of each layer, from the code on; the last layer's output are the image's.
        strides: of each layer; 2 doubles height and width.
        activation: makes what follows each layer but the last.

    Raises:
        ValueError: `in_dim` is another number than the maps have; a size that the strides do not divide; lists of
            different lengths.

    Example:
        >>> MapDecoder(2016, (3, 32, 32))(torch.rand(2, 2016)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        in_dim: int,
        image_shape: Sequence[int],
        condition_dim: int = 0,
        channels: Sequence[int] = (126, 96, 48, 32),
        strides: Sequence[int] = (2, 2, 2, 1),
        activation: ActivationCallable = nn.ReLU,
    ) -> None:
        super().__init__()
        _, height, width = map_shape(image_shape, check_layers(channels), strides)
        self.maps = (channels[0], height, width)
        check_width("in_dim", in_dim, self.maps)
        self.join = PlaneOfCondition(self.maps, condition_dim)
        layers: list[nn.Module] = []
        fan_ins, fan_outs = [self.join.channels, *channels[1:]], [*channels[1:], image_shape[0]]
        for fan_in, fan_out, stride in zip(fan_ins, fan_outs, strides, strict=True):
            # output_padding: of the sizes that a convolution of this stride brings to h, the one that is stride * h
            layers.append(nn.ConvTranspose2d(fan_in, fan_out, 3, stride, padding=1, output_padding=stride - 1))
            layers.append(activation())
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Decoder.forward`."""
        return self.body(self.join(z.unflatten(1, self.maps), condition))  # (N, C*h*w) -> (N, C, h, w)


def convolutions(
    fan_in: int, channels: Sequence[int], strides: Sequence[int], activation: ActivationCallable = nn.ReLU
) -> nn.Sequential:
    """Convolutions (kernel 3, padding 1), each followed by an activation; nothing for empty lists.

    Example:
        >>> convolutions(3, [8, 16], [1, 2])(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 16, 16, 16])
    """
    layers: list[nn.Module] = []
    for fan_out, stride in zip(channels, strides, strict=True):
        layers += [nn.Conv2d(fan_in, fan_out, 3, stride, padding=1), activation()]
        fan_in = fan_out
    return nn.Sequential(*layers)


def map_shape(image_shape: Sequence[int], channels: Sequence[int], strides: Sequence[int]) -> tuple[int, int, int]:
    """Shape (C, h, w) of the maps after layers of these channels and strides; without layers the image's own.

    Raises:
        ValueError: the lists have different lengths, or a size is not divisible; the message names sizes that are.

    Example:
        >>> map_shape((3, 32, 32), [32, 48, 96, 126], [1, 2, 2, 2])
        (126, 4, 4)
    """
    if len(check_sizes("channels", channels)) != len(check_sizes("strides", strides)):
        raise ValueError(f"strides must be as many as channels, {len(channels)}, got {len(strides)}: {list(strides)}")
    height, width = divided_size(image_shape, prod(strides), f"strides {list(strides)}", "give smaller strides")
    return (channels[-1] if channels else image_shape[0]), height, width


def check_width(name: str, width: int, maps: tuple[int, int, int]) -> None:
    """Raise a ValueError where vectors of `width` values are not maps (C, h, w), flattened.

    Example:
        >>> check_width("out_dim", 2016, (126, 4, 4))
    """
    if width != prod(maps):
        channels, rows, columns = maps
        raise ValueError(
            f"{name} must be {prod(maps)}, the number of values in {channels} maps of {rows} x {columns}, got {width}: "
            f"set an autoencoder's latent_dim to {prod(maps)}, or choose other channels or strides"
        )
