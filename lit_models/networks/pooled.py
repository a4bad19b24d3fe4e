"""A small convolutional network with pooling, to tell small images apart."""

from collections.abc import Sequence

from torch import Tensor, nn

from lit_models.networks.base import Encoder, PlaneOfCondition
from lit_models.networks.dropout import ByteDropout


class PooledConvEncoder(Encoder):
    """Three convolutions with batch norm, ReLU and pooling, a layer of features with dropout, and a linear layer.

    Args:
        image_shape: (C, H, W), H and W at least 8.
        out_dim: width of the output.
        condition_dim: width of the condition, joined to the image as a channel; 0 for none.
        num_features: D, width of the features, at least 1.
        dropout: share of the features dropped in training, in [0, 1).

    Raises:
        ValueError: an image shape below 8 x 8; `num_features` below 1; a dropout out of its range.

    Example:
        >>> PooledConvEncoder((1, 28, 28), 10)(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_dim: int,
        condition_dim: int = 0,
        num_features: int = 128,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        height, width = image_shape[1:]
        if min(height, width) < 8:
            raise ValueError(f"image_shape must have height and width of at least 8, got {tuple(image_shape)}")
        if num_features < 1:
            raise ValueError(f"num_features must be at least 1, got {num_features}")
        self.join = PlaneOfCondition(image_shape, condition_dim)
        self.body = nn.Sequential(
            *_block(self.join.channels, 32),
            *_block(32, 64),
            *_block(64, 128),
            nn.Flatten(),  # (N, 128, H/8, W/8) -> (N, 128*(H/8)*(W/8))
            nn.Linear(128 * (height // 8) * (width // 8), num_features, bias=False),
            nn.BatchNorm1d(num_features),
            nn.ReLU(),
        )
        self.head = nn.Sequential(ByteDropout(dropout), nn.Linear(num_features, out_dim))

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to (N, D), at least 0."""
        return self.body(self.join(x, condition))


def _block(fan_in: int, fan_out: int) -> list[nn.Module]:
    convolution = nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(fan_out), nn.ReLU(), nn.MaxPool2d(2)]
