"""A classifier of codes as a classifier of pictures."""

from lightning.pytorch import LightningModule
from torch import Tensor


class EncodedClassifier(LightningModule):
    """Picture -> encoder -> classifier of codes, such as a probe or a linear model.

    Args:
        encoder: answers `encode(x)`, codes (N, D).
        head: answers `classify(codes)`, probabilities (N, K).

    Example:
        >>> class Rows(LightningModule):
        ...     image_shape = (1, 2, 2)
        ...     def encode(self, x, y=None):
        ...         return x.mean((1, 3))
        >>> class Softmax(LightningModule):
        ...     def classify(self, codes):
        ...         return codes.softmax(1)
        >>> EncodedClassifier(Rows(), Softmax()).classify(torch.zeros(1, 1, 2, 2))
        tensor([[0.5000, 0.5000]])
    """

    def __init__(self, encoder: LightningModule, head: LightningModule) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.image_shape = getattr(encoder, "image_shape", None)
        self.num_classes = getattr(head, "num_classes", 0)

    def classify(self, x: Tensor) -> Tensor:
        """Probability of each class, (N, K), of images (N, C, H, W) in [0, 1]."""
        return self.head.classify(self.encoder.encode(x))  # type: ignore[operator]
