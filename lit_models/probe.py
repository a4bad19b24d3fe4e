"""How good is a frozen representation: one linear layer on the codes of a trained encoder."""

from collections.abc import Sequence
from typing import Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from lit_models.base import Batch
from lit_models.checks import check_choice, check_image_shape, check_images
from lit_models.classification import ClassificationModel
from lit_models.loading import load_model


class LitProbe(ClassificationModel):
    """One linear layer from `encode(x)` of a frozen model to the classes.

    Each image is encoded once, before training, and its code is kept in memory; then the layer trains in seconds. Codes
    are standardized by the train split's mean and standard deviation, which is a linear map too. The encoder is in eval
    mode, has no gradients, and not a weight or running statistic of it moves.

    A trained encoder's accuracy says little by itself, so the same probe is trained beside it on the same architecture
    with random weights, and logged as `{train,val,test}/baseline_accuracy`.

    Logged further: see `ClassificationModel`. Images are in [0, 1], (N, C, H, W); labels int64, (N,).

    Args:
        image_shape: (C, H, W) of the images.
        num_classes: K, at least 2.
        encoder_ckpt: checkpoint of any model of this project with `encode`.
        encoder: "trained" takes the checkpoint's weights; "random" the same architecture untrained, and nothing beside
            it. From Python also a model itself, without `encoder_ckpt`; it then has no baseline.
        optimizer: makes an optimizer of the layer's parameters; Adam with learning rate 1e-3 by default.
        lr_scheduler: makes a scheduler of the optimizer, stepped each epoch; none by default.
        label_smoothing: see `ClassificationModel`; it keeps a layer with more inputs than images from being sure.

    Raises:
        FileNotFoundError: `encoder_ckpt` is not there.
        ValueError: it is no checkpoint of this project, or for images of another shape; no encoder was given, or two.
        TypeError: the model has no `encode`.

    Source: G. Alain, Y. Bengio, "Understanding intermediate layers using linear classifier probes", arXiv:1610.01644.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int = 10,
        encoder_ckpt: str | None = None,
        encoder: Literal["trained", "random"] | LightningModule = "trained",
        optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, lr=1e-3),
        lr_scheduler: LRSchedulerCallable | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        image_shape = check_image_shape(image_shape)
        super().__init__(num_classes, optimizer, lr_scheduler, label_smoothing)
        # a model given as an object cannot travel as a hyperparameter: it is given again when the probe is loaded
        self.save_hyperparameters(
            ignore=["optimizer", "lr_scheduler", *([] if isinstance(encoder, str) else ["encoder"])]
        )
        self.image_shape = image_shape
        # Kept out of the module tree: no optimizer, checkpoint, train() or DDP may reach them.
        self._encoders = [_checked(model, image_shape) for model in _encoders(encoder_ckpt, encoder)]
        dims = [model.encode(torch.zeros(1, *image_shape)).shape[1] for model in self._encoders]  # type: ignore[operator]
        self.heads = nn.ModuleList(StandardizedLinear(dim, num_classes) for dim in dims)
        for stage in ("train", "val", "test") if len(dims) > 1 else ():
            self.figures(stage)["baseline_accuracy"] = MulticlassAccuracy(num_classes, average="micro")

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (N, K), of images (N, C, H, W) in [0, 1] or of their codes, (N, sum of the encoders' D)."""
        return self._logits(x)[0]

    def codes(self, x: Tensor) -> Tensor:
        """Codes of images (N, C, H, W), those of the baseline beside them: (N, sum of the encoders' D)."""
        check_images(x, self.image_shape)
        with torch.no_grad():
            return torch.cat([model.encode(x.to(model.device)) for model in self._encoders], 1)  # type: ignore[operator]

    def step(self, batch: Batch, stage: str) -> Tensor:
        """Mean cross-entropy of a batch, in nats; while training, with the baseline's added."""
        x, y = batch
        logits, *baseline = self._logits(x)
        loss = self.measure(logits, y, stage)
        for other in baseline:
            self.figures(stage)["baseline_accuracy"].update(other.detach(), y)
            # two layers with nothing in common: their sum trains each as if it were alone
            loss = loss + self.cross_entropy(other, y, stage)
        return loss

    def setup(self, stage: str) -> None:
        """Encode the splits that this stage needs, once, on the device; when fitting, take their mean and deviation."""
        super().setup(stage)
        datamodule = vars(self.trainer)["datamodule"]
        device = self.trainer.strategy.root_device
        for model in self._encoders:
            model.to(device)
        for split in {"fit": ("train", "val"), "validate": ("val",)}.get(stage, ("test",)):
            codes = datamodule.encode_images(split, lambda x: self.codes(x).cpu(), owner=self)
            if split == "train":
                for head, part in zip(self.heads, codes.split(self._dims, 1), strict=True):
                    head.standardize(part)  # type: ignore[operator]
        for model in self._encoders:
            model.cpu()

    def on_test_end(self) -> None:
        """Say the result beside its baseline."""
        figures = self.trainer.callback_metrics
        if "test/baseline_accuracy" in figures:
            rank_zero_info(
                f"linear probe: {figures['test/accuracy']:.2%} of the test images; the same architecture untrained: "
                f"{figures['test/baseline_accuracy']:.2%}"
            )

    @property
    def _dims(self) -> list[int]:
        return [head.linear.in_features for head in self.heads]  # type: ignore[misc, union-attr]

    def _logits(self, x: Tensor) -> list[Tensor]:
        codes = self.codes(x).to(self.device) if x.ndim == 4 else x
        return [head(part) for head, part in zip(self.heads, codes.split(self._dims, 1), strict=True)]


class StandardizedLinear(nn.Module):
    """Logits, (N, K), from codes, (N, D): subtract a mean, divide by a deviation, both fixed; then one linear layer."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))
        self.linear = nn.Linear(dim, num_classes)

    def standardize(self, codes: Tensor) -> None:
        """Take mean and deviation from codes, (N, D); a code that never changes is only centred."""
        deviation = codes.std(0, correction=0)
        self.mean.copy_(codes.mean(0))
        self.deviation.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, codes: Tensor) -> Tensor:
        """(N, D) to (N, K)."""
        return self.linear((codes - self.mean) / self.deviation)


def _encoders(encoder_ckpt: str | None, encoder: str | LightningModule) -> list[LightningModule]:
    """The encoder, and after it the baseline where there is one."""
    if isinstance(encoder, LightningModule):
        if encoder_ckpt is not None:
            raise ValueError(f"two encoders: pass either encoder_ckpt={encoder_ckpt!r} or a model as encoder")
        return [encoder]
    check_choice("encoder", encoder, ["trained", "random"])
    if encoder_ckpt is None:
        raise ValueError("no encoder: pass the path of a checkpoint as encoder_ckpt (--model.encoder_ckpt PATH)")
    baseline = load_model(encoder_ckpt, trained=False)
    return [baseline] if encoder == "random" else [load_model(encoder_ckpt), baseline]


def _checked(model: LightningModule, image_shape: tuple[int, int, int]) -> LightningModule:
    name = type(model).__name__
    if not hasattr(model, "encode"):
        raise TypeError(f"a probe needs a model with encode(x), which {name} does not have")
    if getattr(model, "conditional", False):
        raise ValueError(f"this {name} is conditional: its codes need the very label that a probe is to find")
    shape = getattr(model, "image_shape", image_shape)
    if shape != image_shape:
        raise ValueError(f"the encoder, a {name}, is for images of shape {shape}, the data have {image_shape}")
    return model.eval()
