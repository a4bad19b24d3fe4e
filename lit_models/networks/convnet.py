"""A small convolutional network for small images."""

from torch import Tensor, nn

from lit_models.networks.dropout import ByteDropout


class ConvNet(nn.Module):
    """Three convolutions with batch norm, ReLU and pooling, then features, then one logit a class.

    Args:
        image_shape: (C, H, W), H and W at least 8.
        num_classes: K.
        num_features: D, width of the features.
        dropout: share of the features dropped in training, in [0, 1).
    """

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, num_features: int, dropout: float) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.body = nn.Sequential(
            *_block(channels, 32),
            *_block(32, 64),
            *_block(64, 128),
            nn.Flatten(),  # (N, 128, H/8, W/8) -> (N, 128*(H/8)*(W/8))
            nn.Linear(128 * (height // 8) * (width // 8), num_features, bias=False),
            nn.BatchNorm1d(num_features),
            nn.ReLU(),
        )
        self.head = nn.Sequential(ByteDropout(dropout), nn.Linear(num_features, num_classes))

    def features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to (N, D), at least 0."""
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to logits, (N, K)."""
        return self.head(self.features(x))


def _block(fan_in: int, fan_out: int) -> list[nn.Module]:
    convolution = nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(fan_out), nn.ReLU(), nn.MaxPool2d(2)]
