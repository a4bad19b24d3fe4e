"""A small convolutional classifier, to judge generated images by."""

from collections.abc import Sequence

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from lit_models.checks import check_at_least, check_image_shape, check_images, check_share
from lit_models.classification import ClassificationModel
from lit_models.networks.convnet import ConvNet


class LitClassifier(ClassificationModel):
    """Tells the classes of a data set apart; its features are a space in which samples can be compared with data.

    Images are in [0, 1], shape (N, C, H, W); labels are int64, shape (N,). Logged: see `ClassificationModel`.

    Args:
        image_shape: (C, H, W), H and W at least 8.
        num_classes: K, at least 2.
        num_features: D, width of the last hidden layer.
        dropout: share of the features dropped in training, in [0, 1).
        optimizer: makes an optimizer of the parameters; Adam with learning rate 1e-3 by default.
        lr_scheduler: makes a scheduler of the optimizer, stepped each epoch; none by default.

    Raises:
        ValueError: an argument out of its range; images of another shape than `image_shape`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int = 10,
        num_features: int = 128,
        dropout: float = 0.3,
        optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, lr=1e-3),
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        image_shape = check_image_shape(image_shape)
        if min(image_shape[1:]) < 8:
            raise ValueError(f"image_shape must have height and width of at least 8, got {image_shape}")
        check_at_least("num_features", num_features, 1)
        check_share("dropout", dropout)
        super().__init__(num_classes, optimizer, lr_scheduler)
        self.save_hyperparameters(ignore=["optimizer", "lr_scheduler"])
        self.image_shape = image_shape
        self.network = ConvNet(image_shape, num_classes, num_features, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (N, K), of images (N, C, H, W) in [0, 1]."""
        check_images(x, self.image_shape)
        return self.network(x)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Features, (N, D), at least 0, of images (N, C, H, W) in [0, 1]; `y` is ignored."""
        check_images(x, self.image_shape)
        return self.network.features(x)
