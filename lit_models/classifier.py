"""A convolutional classifier, to judge generated images by."""

from collections.abc import Sequence

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from lit_models.checks import check_image_shape, check_images
from lit_models.classification import ClassificationModule
from lit_models.networks import EncoderCallable, PooledConvEncoder
from lit_models.networks.base import make_encoder


class LitClassifier(ClassificationModule):
    """Classifier of images; its features are a space in which samples can be compared with data.

    Images are in [0, 1], shape (N, C, H, W); labels are whole numbers, shape (N,). Logged: see `ClassificationModule`.

    Args:
        image_shape: (C, H, W).
        num_classes: K, at least 2.
        encoder: makes the network, from images to K logits.
        optimizer: see `BaseModule`; Adam with learning rate 1e-3 by default.
        lr_scheduler: see `BaseModule`.
        label_smoothing: see `ClassificationModule`.

    Raises:
        ValueError: an argument out of its range; images of another shape than `image_shape`.
        TypeError: `encoder` makes something else.

    Example:
        >>> model = LitClassifier((1, 28, 28)).eval()
        >>> model.classify(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int = 10,
        encoder: EncoderCallable = PooledConvEncoder,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(num_classes, optimizer, lr_scheduler, label_smoothing)
        self.image_shape = check_image_shape(image_shape)
        self.encoder = make_encoder("encoder", encoder, self.image_shape, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (N, K), of images (N, C, H, W) in [0, 1]."""
        check_images(x, self.image_shape)
        return self.encoder(x)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Features, (N, D), of images (N, C, H, W) in [0, 1]; `y` is ignored."""
        check_images(x, self.image_shape)
        return self.encoder.features(x)
