"""A segmenter: a class for each pixel of an image, by torchvision's segmentation networks or a U-Net."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torchmetrics.classification import MulticlassJaccardIndex
from torchvision.models import segmentation

from lit_models.base import BaseModule
from lit_models.batch import split_batch
from lit_models.checks import check_count, check_image_shape, check_images, check_unit_range
from lit_models.functional.precision import wide
from lit_models.metrics import EpochMeans
from lit_models.networks.backbone import ImageNetScale, own_network, torchvision_model
from lit_models.networks.base import make_network
from lit_models.networks.unet import SegmenterCallable
from lit_models.pretrained import load_pretrained

_HEADS = {"fcn": "classifier.4", "deeplabv3": "classifier.4", "lraspp": "classifier."}  # what depends on the classes


class LitSegmenter(BaseModule):
    """Gives each pixel of an image a class.

    Images are in [0, 1], (N, C, H, W); torchvision's networks see them on ImageNet's scale. Batches are
    `(images, masks)`, masks (N, H, W) of class indices, where `ignore_index` marks pixels that count neither in the
    loss nor in the figures.

    Logged for each of train, val and test: `loss`, the cross-entropy in nats, a mean over the pixels of an image and
    then over images; `iou`, the mean over classes of the pixels that a class and its prediction share over those that
    either has, counted over all images; classes that neither has are left out. `train.py predict` writes masks.

    Args:
        image_shape: (C, H, W).
        num_classes: K, at least 2, the background included.
        network: the name of a network of `torchvision.models.segmentation`; or a factory of a network from images in
            [0, 1] to logits (N, K, H, W), such as `lit_models.networks.UNet`.
        weights: what the network starts from: the name of weights that torchvision offers, which it downloads, such as
            "COCO_WITH_VOC_LABELS_V1"; the path of a state dict or a checkpoint; None for random weights. The last
            layers start from random ones where they are of other classes.
        enlarge: images are enlarged so many times before a network sees them, at least 1, and its logits brought back:
            torchvision's networks answer for patches of 8 x 8 or 16 x 16 pixels, in which small things are lost.
        ignore_index: value of pixels in masks that do not count.
        optimizer: see `BaseModule`; Adam with learning rate 1e-3 by default.
        lr_scheduler: see `BaseModule`.

    Raises:
        ValueError: an argument out of its range; an unknown network; weights of another network; images or masks of
            another shape, or masks with other classes.
        FileNotFoundError: the weights are not there, or could not be downloaded.
        TypeError: `network` makes something else.

    Source: J. Long, E. Shelhamer, T. Darrell, arXiv:1411.4038, for the task and mean IoU; A. Howard et al.,
    arXiv:1905.02244, for LR-ASPP.

    Example:
        >>> from lit_models.networks import UNet
        >>> model = LitSegmenter((3, 64, 64), num_classes=3, network=UNet).eval()
        >>> model.segment(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 3, 64, 64])
    """

    needs_labels = True
    predicts = "masks"

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int = 2,
        network: str | SegmenterCallable = "lraspp_mobilenet_v3_large",
        weights: str | None = None,
        enlarge: int = 1,
        ignore_index: int = 255,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        if num_classes in (0, 1):
            raise ValueError(
                f"num_classes must be a whole number, at least 2, got {num_classes}: use data with masks, such as "
                "datamodules.MaskDataModule, and count the background as a class"
            )
        check_count("num_classes", num_classes, 2)
        check_count("enlarge", enlarge)
        if 0 <= ignore_index < num_classes:
            raise ValueError(f"ignore_index must be no class, 0 .. {num_classes - 1}, got {ignore_index}: use 255")
        self.image_shape = check_image_shape(image_shape)
        self.num_classes = num_classes
        self.enlarge = enlarge
        self.ignore_index = ignore_index
        network = own_network(network)
        self.scale: nn.Module = ImageNetScale() if isinstance(network, str) else nn.Identity()
        self.network = _make_network(network, self.image_shape, num_classes)
        if weights is not None:
            self._load(weights, network)
        self._check_output()
        index = MulticlassJaccardIndex(num_classes, average="macro", ignore_index=ignore_index, validate_args=False)
        self.add_figures(means=EpochMeans(["loss"]), iou=index)

    # -- verbs --------------------------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (N, K, H, W), of images (N, C, H, W) in [0, 1]."""
        check_images(x, self.image_shape)
        if self.enlarge > 1:
            x = interpolate(x, scale_factor=float(self.enlarge), mode="bilinear", align_corners=False)
        logits = self.network(self.scale(x))
        logits = logits["out"] if isinstance(logits, dict) else logits  # as torchvision's networks give them
        if self.enlarge > 1:
            logits = interpolate(logits, size=self.image_shape[1:], mode="bilinear", align_corners=False)
        return logits

    def segment(self, x: Tensor) -> Tensor:
        """Probability of each class for each pixel, (N, K, H, W), of images (N, C, H, W) in [0, 1]."""
        return wide(self(x)).softmax(1)

    # -- batches ------------------------------------------------------------------------------------------------------

    def read_batch(self, batch: Any, needs_labels: bool | None = None) -> tuple[Tensor, Tensor | None]:
        """Images, and masks (N, H, W), int64; see `BaseModule.read_batch`."""
        x, y = split_batch(batch)
        self.check_input(x)
        if needs_labels is False and not isinstance(y, Tensor):
            return x.to(self.dtype), None
        return x.to(self.dtype), self._as_masks(y, len(x))

    def check_values(self, x: Tensor, y: Tensor | None) -> None:
        """Raise a ValueError where pixels leave [0, 1] or masks name no class; asked of an epoch's first batch."""
        check_unit_range(x)
        if y is None:
            return
        named = y[y != self.ignore_index]
        if named.numel() and not 0 <= int(named.min()) <= int(named.max()) < self.num_classes:
            raise ValueError(
                f"masks must hold classes 0 .. {self.num_classes - 1}, or {self.ignore_index} for pixels that do not "
                f"count, got {int(named.min())} .. {int(named.max())}: set num_classes, or map colours to classes "
                "(datamodules.MaskDataModule does)"
            )

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> tuple[Tensor, Tensor | None]:
        """Predicted masks and true ones, class indices (N, H, W), of a batch."""
        x, y = self.read_batch(batch, needs_labels=False)
        if batch_idx == 0:
            check_unit_range(x)
        return self(x).argmax(1), y

    # -- steps --------------------------------------------------------------------------------------------------------

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean loss of a batch, in nats."""
        assert y is not None
        logits = self(x)
        nats = cross_entropy(wide(logits), y, ignore_index=self.ignore_index, reduction="none")  # (N, H, W)
        # an image's pixels first: images count the same, however many pixels are ignored and batches are cut
        loss = (nats.sum((1, 2)) / (y != self.ignore_index).sum((1, 2)).clamp(min=1)).mean()
        figures = self.figures(stage)
        figures["means"].update([loss.detach()], len(x))
        figures["iou"].update(logits.detach().argmax(1), y)
        return loss

    # -- making it ----------------------------------------------------------------------------------------------------

    def _load(self, weights: str, network: str | SegmenterCallable) -> None:
        name = network if isinstance(network, str) else None
        head = _HEADS.get(str(name).split("_")[0], "head")
        kept = load_pretrained(self.network, weights, name, may_differ=head)
        if kept:
            rank_zero_info(f"{weights} is of other classes: {', '.join(kept)} start from random values")
        self.init_args["weights"] = None  # they are in the model, and from now on in its checkpoints

    @torch.no_grad()
    def _check_output(self) -> None:
        shape = tuple(self.eval()(torch.zeros(1, *self.image_shape)).shape)
        self.train()
        wanted = (1, self.num_classes, *self.image_shape[1:])
        if shape != wanted:
            raise ValueError(f"network must give {wanted} for one image, got {shape}")

    def _as_masks(self, y: Any, n: int) -> Tensor:
        wanted = (n, *self.image_shape[1:])
        if not isinstance(y, Tensor) or tuple(y.shape) != wanted or y.is_floating_point() or y.is_complex():
            got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(
                f"this model needs masks of class indices, whole numbers of shape {wanted}, got {got}: "
                "datamodules.MaskDataModule gives them"
            )
        return y.to(torch.int64)


def _make_network(network: str | SegmenterCallable, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    if isinstance(network, str):
        if image_shape[0] not in (1, 3):
            raise ValueError(f"{network} takes images of 3 channels, or of 1, got image_shape {image_shape}")
        return torchvision_model(network, segmentation, weights_backbone=None, num_classes=num_classes)
    return make_network("network", network, nn.Module, image_shape, num_classes)
