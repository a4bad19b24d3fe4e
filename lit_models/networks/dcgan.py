"""The two players of a DCGAN.

Source: A. Radford, L. Metz, S. Chintala, arXiv:1511.06434: strided convolutions, batch norm, LeakyReLU 0.2, weights
from N(0, 0.02). The sizes are the coursework's.
"""

from math import ceil

from torch import Tensor, nn

from lit_models.networks.dropout import ByteDropout


class Generator(nn.Module):
    """Noise to images in [-1, 1]: linear to 256 maps, two transposed convolutions that double, two convolutions.

    Args:
        image_shape: (C, H, W), H and W divisible by 4.
        latent_dim: width of the noise.
    """

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.maps = (256, height // 4, width // 4)
        self.start = nn.Linear(latent_dim, 256 * self.maps[1] * self.maps[2], bias=False)
        self.body = nn.Sequential(
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.ConvTranspose2d(256, 128, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Conv2d(64, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, channels, 3, padding=1),
            nn.Tanh(),
        )
        self.apply(_initialize)

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent_dim) to (N, C, H, W) in [-1, 1]."""
        return self.body(self.start(z).unflatten(1, self.maps))  # (N, 256*h*w) -> (N, 256, h, w)


class Discriminator(nn.Module):
    """Images in [-1, 1] to one logit, by way of `num_features` features.

    Args:
        image_shape: (C, H, W).
        dropout: share of values dropped after each convolution, in [0, 1).
    """

    def __init__(self, image_shape: tuple[int, int, int], dropout: float) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.body = nn.Sequential(
            nn.Conv2d(channels, 64, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            ByteDropout(dropout),
            *_block(64, 128, kernel=4, stride=2, dropout=dropout),
            *_block(128, 256, kernel=3, stride=2, dropout=dropout),
            *_block(256, 512, kernel=3, stride=1, dropout=dropout),
        )
        self.num_features = 512 * ceil(height / 8) * ceil(width / 8)
        self.head = nn.Linear(self.num_features, 1)
        self.apply(_initialize)

    def features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] to (N, num_features)."""
        return self.body(x).flatten(1)  # (N, 512, h, w) -> (N, 512*h*w)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] to logits, (N,)."""
        return self.head(self.features(x)).squeeze(1)


def _block(fan_in: int, fan_out: int, kernel: int, stride: int, dropout: float) -> list[nn.Module]:
    return [
        nn.Conv2d(fan_in, fan_out, kernel, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(fan_out),
        nn.LeakyReLU(0.2),
        ByteDropout(dropout),
    ]


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
