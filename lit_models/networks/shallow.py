"""One convolution with pooling, and a linear layer: the smallest convolutional classifier."""

from collections.abc import Sequence

from torch import Tensor, nn

from lit_models.networks.base import Encoder, PlaneOfCondition


class ShallowConvEncoder(Encoder):
    """One convolution of stride 1 without padding, ReLU, max-pooling by 2, and one linear layer.

    Args:
        image_shape: (C, H, W), H and W at least `kernel_size` + 1.
        out_dim: width of the output.
        condition_dim: width of the condition, joined to the image as a channel; 0 for none.
        channels: of the convolution, at least 1.
        kernel_size: of the convolution, at least 1.
        mean: what is subtracted from pixels first, such as the train split's mean pixel.
        std: what they are divided by then, above 0, such as the deviation of the train split's pixels.

    Raises:
        ValueError: an argument out of its range; images that are too small.

    Example:
        >>> ShallowConvEncoder((1, 28, 28), 10).features(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 1352])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_dim: int,
        condition_dim: int = 0,
        channels: int = 8,
        kernel_size: int = 2,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> None:
        super().__init__()
        if min(channels, kernel_size) < 1:
            raise ValueError(f"channels and kernel_size must be at least 1, got {channels} and {kernel_size}")
        if not std > 0:
            raise ValueError(f"std must be above 0, got {std}")
        height, width = ((size - kernel_size + 1) // 2 for size in image_shape[1:])
        if min(height, width) < 1:
            raise ValueError(
                f"image_shape must have height and width of at least {kernel_size + 1}, kernel_size + 1, got "
                f"{tuple(image_shape)}"
            )
        self.mean, self.std = mean, std
        self.join = PlaneOfCondition(image_shape, condition_dim)
        convolution = nn.Conv2d(self.join.channels, channels, kernel_size)
        self.body = nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())  # (N, C, h, w) -> (N, C*h*w)
        self.head = nn.Linear(channels * height * width, out_dim)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Encoder.features`."""
        return self.body(self.join((x - self.mean) / self.std, condition))
