"""A regressor of one box an image, on a pretrained backbone that is frozen or trained with it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, Self

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.base import BaseModule
from lit_models.batch import split_batch
from lit_models.checks import check_choice, check_count, check_image_shape, check_images, check_share, check_unit_range
from lit_models.functional.boxes import BOX_LOSSES, box_loss, paired_iou, to_corners
from lit_models.functional.precision import wide
from lit_models.metrics import EpochMeans
from lit_models.networks import EncoderCallable
from lit_models.networks.backbone import Backbone
from lit_models.networks.mlp import check_sizes
from lit_models.pretrained import load_pretrained

_DEAD = 1e-3  # mean IoU of an epoch; boxes in the middle of the image have a hundred times that
_HALVES = (torch.bfloat16, torch.float16)
_TOLERANCE, _TOLERANCE_16 = 1e-3, 1e-2  # by which rounding may leave [0, 1], in 32 bits and in 16


class LitBoxRegressor(BaseModule):
    """Finds the one box of an image: a backbone's maps, fully connected layers with layer norm, and a sigmoid.

    A box is (cx, cy, w, h), its centre and size as fractions of the image's width and height, in [0, 1]. So its corners
    cannot cross, and it has the same values at every resolution. Images are in [0, 1], (N, C, H, W); torchvision's
    networks see them on ImageNet's scale. Batches are `(images, boxes)`, boxes (N, 4).

    A frozen backbone is not trained and stays in eval mode, so that its batch norms keep the statistics that they were
    trained with. The weights that it was started from are in the checkpoint: nothing is downloaded again to load it.

    Logged for each of train, val and test: `loss`, see `functional.boxes.box_loss`, and `iou`, the mean over images of
    the intersection of the predicted and the true box over their union. `train.py predict` writes boxes.

    Args:
        image_shape: (C, H, W).
        backbone: see `lit_models.networks.backbone.Backbone`: the name of a classifier of torchvision, or a factory of
            one of this project's encoders.
        weights: what the backbone starts from: the name of weights that torchvision offers, such as "IMAGENET1K_V2",
            which it downloads; the path of a state dict, or of a checkpoint of `LitClassifier` with that encoder; None
            for random weights.
        frozen: keep the backbone as it is.
        pool: the backbone's maps are averaged over a grid of so many rows and columns, at least 1. With 1, as in the
            coursework, over the whole image, by which much of where things are is lost.
        hidden_dims: widths of the layers between the maps and the box; none for a single linear layer.
        dropout: share of the hidden values dropped in training, in [0, 1).
        loss: "smooth_l1", in pixels, or "giou".
        optimizer: see `BaseModule`; Adam with learning rate 1e-3 by default.
        lr_scheduler: see `BaseModule`.

    Raises:
        ValueError: an argument out of its range; an unknown network; weights of another network; images or boxes of
            another shape, or boxes that leave the image.
        FileNotFoundError: the weights are not there, or could not be downloaded.
        TypeError: `backbone` makes something else than an encoder.

    Source: R. Girshick, "Fast R-CNN", arXiv:1504.08083, for the loss; the coursework's experiment regressed corners in
    pixels without a sigmoid.

    Example:
        >>> model = LitBoxRegressor((3, 64, 64), backbone="resnet18").eval()
        >>> model.locate(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 4])
    """

    needs_labels = True
    predicts = "boxes"
    pretrained: Tensor

    def __init__(
        self,
        image_shape: Sequence[int],
        backbone: str | EncoderCallable = "resnet50",
        weights: str | None = None,
        frozen: bool = True,
        pool: int = 1,
        hidden_dims: Sequence[int] = (512,),
        dropout: float = 0.0,
        loss: Literal["smooth_l1", "giou"] = "smooth_l1",
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        check_count("pool", pool)
        check_share("dropout", dropout)
        check_choice("loss", loss, BOX_LOSSES)
        self.image_shape = check_image_shape(image_shape)
        self.backbone = Backbone(self.image_shape, backbone)
        self.frozen = frozen
        self.loss = loss
        self.register_buffer("pretrained", torch.tensor(weights is not None))  # travels in the checkpoint
        if weights is not None:
            load_pretrained(self.backbone.body, weights, self.backbone.torchvision_name)
            self.init_args["weights"] = None  # they are in the model, and from now on in its checkpoints
        if frozen:
            self.backbone.requires_grad_(False)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(pool), nn.Flatten())  # (N, F, h, w) -> (N, F*pool*pool)
        widths = [self.backbone.maps[0] * pool**2, *check_sizes("hidden_dims", hidden_dims)]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU(), nn.Dropout(dropout)]
        last = nn.Linear(widths[-1], 4)
        # boxes begin at the centre, and no step is large, whatever the maps' scale: the sigmoid would hardly come back
        # from large values, where its gradient is nothing
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        self.head = nn.Sequential(nn.LayerNorm(widths[0]), *layers, last)
        self.add_figures(means=EpochMeans(["loss", "iou"]))
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Train mode, for all but a frozen backbone."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Whether parameters are trained; those of a frozen backbone never are."""
        super().requires_grad_(requires_grad)
        if self.frozen:
            self.backbone.requires_grad_(False)
        return self

    def unfreeze(self) -> Self:
        """Train parameters again, but for those of a frozen backbone."""
        return self.requires_grad_().train()

    # -- verbs --------------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The backbone's maps, averaged and flattened, (N, D), of images (N, C, H, W) in [0, 1]; `y` is ignored."""
        check_images(x, self.image_shape)
        return self.pool(self.backbone(x))

    def forward(self, x: Tensor) -> Tensor:
        """See `locate`."""
        return wide(self.head(self.encode(x))).sigmoid()

    def locate(self, x: Tensor) -> Tensor:
        """Boxes (cx, cy, w, h) in [0, 1], (N, 4), of images (N, C, H, W) in [0, 1]."""
        return self(x)

    # -- batches ------------------------------------------------------------------------------------------------------

    def read_batch(self, batch: Any, needs_labels: bool | None = None) -> tuple[Tensor, Tensor | None]:
        """Images, and boxes (N, 4) in 32 bits or more; see `BaseModule.read_batch`.

        With `--trainer.precision bf16-true` the Trainer rounds a batch's numbers before it comes here, boxes by up to
        0.002 of the image; bf16-mixed leaves them.
        """
        x, y = split_batch(batch)
        self.check_input(x)
        if needs_labels is False and not isinstance(y, Tensor):
            return x.to(self.dtype), None
        return x.to(self.dtype), _as_boxes(y, len(x))

    def check_values(self, x: Tensor, y: Tensor | None) -> None:
        """Raise a ValueError where pixels or boxes leave [0, 1]; asked of an epoch's first batch."""
        check_unit_range(x)
        if y is not None:
            _check_boxes(y, _TOLERANCE_16 if self.dtype in _HALVES else _TOLERANCE)

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> tuple[Tensor, Tensor | None]:
        """Predicted boxes and true ones, (N, 4) each, of a batch."""
        x, y = self.read_batch(batch, needs_labels=False)
        if batch_idx == 0:
            check_unit_range(x)
        return self.locate(x), y

    # -- steps --------------------------------------------------------------------------------------------------------

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean loss of a batch."""
        assert y is not None
        boxes = self(x)
        loss = box_loss(boxes, y, self.loss, self.image_shape[1:])
        iou = paired_iou(boxes.detach(), y).mean()
        self.figures(stage)["means"].update([loss.detach(), iou], len(x))
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the train figures; warn where boxes have shrunk to nothing, from which no gradient leads back."""
        super().on_train_epoch_end()
        if self.trainer.callback_metrics.get("train/iou", torch.ones(())) < _DEAD:
            rank_zero_warn(
                f"train/iou is {float(self.trainer.callback_metrics['train/iou']):.4f} in epoch {self.current_epoch}: "
                "the predicted boxes have no area, and the sigmoid no gradient there. Start anew with a lower "
                "--model.optimizer.lr"
            )

    def build_optimizer(self) -> Optimizer:
        """The optimizer of all parameters, without those of a frozen backbone."""
        return self.make_optimizer(self.head.parameters() if self.frozen else self.parameters())

    def on_fit_start(self) -> None:
        """See `BaseModule.on_fit_start`; warns where a backbone of random weights is kept as it is."""
        super().on_fit_start()
        if self.frozen and not self.pretrained and not self._resumes:
            rank_zero_warn(
                "the frozen backbone has random weights, and is never trained: name pretrained ones with "
                "--model.weights, or train it too with --model.frozen false"
            )


def _as_boxes(y: Any, n: int) -> Tensor:
    if not isinstance(y, Tensor) or tuple(y.shape) != (n, 4) or y.is_complex():
        got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(
            f"this model needs one box (cx, cy, w, h) an image, numbers of shape ({n}, 4), got {got}: "
            "datamodules.BoxDataModule gives them"
        )
    return y.to(torch.promote_types(y.dtype, torch.float32))


def _check_boxes(y: Tensor, tolerance: float) -> None:
    low, high, smallest = float(to_corners(y).min()), float(to_corners(y).max()), float(y[:, 2:].min())
    if not (low >= -tolerance and high <= 1 + tolerance and smallest > 0):
        raise ValueError(
            "boxes must be (cx, cy, w, h) as fractions of the image, inside it and with w and h above 0, got "
            f"edges from {low:.4g} to {high:.4g} and sizes from {smallest:.4g}: divide pixels by the image's width and "
            "height, and turn corners into centres and sizes with torchvision.ops.box_convert"
        )
