"""Convolutional classifier of maps: of a frozen encoder's codes, or of images through an encoder trained with it."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from lit_models.networks.base import ActivationCallable, Encoder, PlaneOfCondition
from lit_models.networks.dropout import ByteDropout
from lit_models.networks.head import Head
from lit_models.networks.maps import check_width, convolutions, map_shape
from lit_models.networks.mlp import check_sizes


class MapLayers(nn.Module):
    """Convolutions with batch norm, pooling, and fully connected layers with dropout: maps (N, C, h, w) to (N, F).

    Args:
        fan_in: C, maps of the input.
        channels: of the convolutions (kernel 3), from the input on; at least one.
        hidden_dims: widths of the fully connected layers; F is the last one.
        pool_after: the convolution after which height and width are halved, 1 for the first. The fewer come before it,
            the less there is to compute.
        dropout: share of the values dropped in training between fully connected layers, in [0, 1).

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> MapLayers(126)(torch.rand(2, 126, 4, 4)).shape
        torch.Size([2, 256])
    """

    def __init__(
        self,
        fan_in: int,
        channels: Sequence[int] = (256, 512, 512),
        hidden_dims: Sequence[int] = (512, 256),
        pool_after: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if not check_sizes("channels", channels) or not check_sizes("hidden_dims", hidden_dims):
            raise ValueError(f"channels and hidden_dims must not be empty, got {[*channels]} and {[*hidden_dims]}")
        if not 1 <= pool_after <= len(channels):
            raise ValueError(f"pool_after must be in 1 .. {len(channels)}, the number of channels, got {pool_after}")
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise([fan_in, *channels]), start=1):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.01)]
            # ceil_mode: a single pixel stays one
            layers += [nn.MaxPool2d(2, ceil_mode=True)] if number == pool_after else []
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]  # (N, C, h, w) -> (N, C)
        for before, after in pairwise([channels[-1], *hidden_dims]):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.01), ByteDropout(dropout)]
        self.body = nn.Sequential(*layers[:-1])  # the last dropout is the user's of the features

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, F)."""
        return self.body(x)


class ConvHead(Head):
    """Convolutional classifier of codes that are flattened maps, such as those of `MapEncoder`.

    Codes are standardized by one mean and one deviation for each map, so that a map keeps its shape.

    Args:
        in_dim: D, which must be the number of values in `maps`.
        num_classes: K.
        maps: (C, h, w), how codes are folded.
        channels: see `MapLayers`, as all that follow.
        hidden_dims: widths of the fully connected layers.
        pool_after: the convolution after which height and width are halved.
        dropout: share of the values dropped in training.

    Raises:
        ValueError: an argument out of its range; `in_dim` is another number than the maps have.

    Example:
        >>> ConvHead(2016, 10)(torch.rand(5, 2016)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        in_dim: int,
        num_classes: int,
        maps: Sequence[int] = (126, 4, 4),
        channels: Sequence[int] = (256, 512, 512),
        hidden_dims: Sequence[int] = (512, 256),
        pool_after: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(in_dim)
        if len(check_sizes("maps", maps)) != 3:
            raise ValueError(f"maps must be (C, h, w), got {tuple(maps)}")
        self.maps = (maps[0], maps[1], maps[2])
        check_width("in_dim", in_dim, self.maps)
        self.body = MapLayers(maps[0], channels, hidden_dims, pool_after, dropout)
        self.logits = nn.Sequential(ByteDropout(dropout), nn.Linear(hidden_dims[-1], num_classes))

    def set_scale(self, mean: Tensor, deviation: Tensor) -> None:
        """Set the scale of each map from the values' means and deviations, (D,) each."""
        mean, square = mean.view(self.maps[0], -1), (mean.square() + deviation.square()).view(self.maps[0], -1)
        own = mean.mean(1, keepdim=True)  # (C, 1), over the map's pixels
        variance = (square.mean(1, keepdim=True) - own.square()).clamp(min=0)
        super().set_scale(own.expand_as(mean).flatten(), variance.sqrt().expand_as(mean).flatten())  # (C, h*w) -> (D,)

    def forward(self, codes: Tensor) -> Tensor:
        """(N, D) to (N, K)."""
        return self.logits(self.body(self.standardize(codes).unflatten(1, self.maps)))  # (N, D) -> (N, C, h, w)


class MapClassifier(Encoder):
    """Classifier of images: the convolutions of `MapEncoder`, and on their maps the layers of `ConvHead`.

    With `patch_size` P an image is first folded into its patches of P x P pixels: C maps become C * P * P, smaller by
    P. With no convolutions, `channels=[]`, the head's layers then see pixels alone.

    Args:
        image_shape: (C, H, W), H and W divisible by `patch_size` times the strides.
        out_dim: width of the output.
        condition_dim: width of the condition, joined to the image as a channel; 0 for none.
        patch_size: P, at least 1.
        channels: of `MapEncoder`'s layers; none for an empty list.
        strides: of each of them.
        activation: makes what follows each of them.
        head_channels: channels of `MapLayers`.
        hidden_dims: see `MapLayers`.
        pool_after: see `MapLayers`.
        dropout: see `MapLayers`.

    Raises:
        ValueError: an argument out of its range; a size that patches and strides do not divide.

    Example:
        >>> MapClassifier((3, 32, 32), 10)(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 10])
        >>> pixels = MapClassifier((3, 32, 32), 10, patch_size=8, channels=[], strides=[])
        >>> pixels(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_dim: int,
        condition_dim: int = 0,
        patch_size: int = 1,
        channels: Sequence[int] = (32, 48, 96, 126),
        strides: Sequence[int] = (1, 2, 2, 2),
        activation: ActivationCallable = nn.ReLU,
        head_channels: Sequence[int] = (256, 512, 512),
        hidden_dims: Sequence[int] = (512, 256),
        pool_after: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.join = PlaneOfCondition(image_shape, condition_dim)
        patches = folded((self.join.channels, image_shape[1], image_shape[2]), patch_size)
        maps, _, _ = map_shape(patches, channels, strides)
        self.maps = nn.Sequential(
            nn.PixelUnshuffle(patch_size), convolutions(patches[0], channels, strides, activation)
        )
        self.body = MapLayers(maps, head_channels, hidden_dims, pool_after, dropout)
        self.head = nn.Sequential(ByteDropout(dropout), nn.Linear(hidden_dims[-1], out_dim))

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Encoder.features`."""
        return self.body(self.maps(self.join(x, condition)))


def folded(image_shape: Sequence[int], patch_size: int) -> tuple[int, int, int]:
    """Shape of an image (C, H, W) whose patches of P x P pixels became channels, (C * P * P, H / P, W / P).

    Raises:
        ValueError: `patch_size` is below 1, or does not divide height and width.

    Example:
        >>> folded((3, 32, 32), 8)
        (192, 4, 4)
    """
    channels, height, width = image_shape
    if patch_size < 1 or height % patch_size or width % patch_size:
        raise ValueError(
            f"patch_size must be at least 1 and divide height and width, {height} x {width}, got {patch_size}: choose "
            "another, or resize the images"
        )
    return channels * patch_size**2, height // patch_size, width // patch_size
