"""A probe: a small classifier, linear by default, on the codes of a frozen model."""

from collections.abc import Iterable, Sequence

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from lit_models.checks import check_count
from lit_models.classification import ClassificationModule
from lit_models.moments import moments
from lit_models.networks.head import HeadCallable, StandardizedLinear, make_head


class LitProbe(ClassificationModule):
    """Classifier of codes, which measures how good a frozen representation is; a linear layer unless `head` says more.

    The codes come from `datamodules.EncodedDataModule`, which computes each once. The head is given the train split's
    mean and standard deviation, to standardize codes with, which is a linear map too.

    A trained encoder's accuracy says little by itself. Where the data hold the codes of the same architecture untrained
    beside them, a second head is trained on these, and logged as `{train,val,test}/baseline_accuracy`.

    Logged further: see `ClassificationModule`. Codes are floats, (N, D) or (N, 2, D); labels are whole numbers, (N,).

    Args:
        input_shape: (D,) of the codes, or (2, D) with the baseline's as second row.
        num_classes: K, at least 2.
        head: makes the classifier of codes (N, D), such as `lit_models.networks.ConvHead`.
        optimizer: see `BaseModule`; Adam with learning rate 1e-3 by default.
        lr_scheduler: see `BaseModule`.
        label_smoothing: see `ClassificationModule`; it keeps a layer with more inputs than images from being sure.

    Raises:
        ValueError: an argument out of its range; codes of another shape.
        TypeError: `head` makes something else.

    Source: G. Alain, Y. Bengio, "Understanding intermediate layers using linear classifier probes", arXiv:1610.01644.

    Example:
        >>> LitProbe((64,))(torch.rand(5, 64)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int = 10,
        head: HeadCallable = StandardizedLinear,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(num_classes, optimizer, lr_scheduler, label_smoothing)
        if len(input_shape) not in (1, 2) or (len(input_shape) == 2 and input_shape[0] != 2):
            raise ValueError(
                f"input_shape must be (D,), or (2, D) with a baseline's codes, got {tuple(input_shape)}: give a probe "
                "codes, as datamodules.EncodedDataModule does, not images"
            )
        check_count("input_shape's D", input_shape[-1])
        self.input_shape = tuple(input_shape)
        self.heads = nn.ModuleList(make_head(head, input_shape[-1], num_classes) for _ in range(len(input_shape)))
        if len(self.heads) > 1:
            self.add_figures(baseline_accuracy=MulticlassAccuracy(num_classes, average="micro"))

    def forward(self, codes: Tensor) -> Tensor:
        """Logits, (N, K), of codes (N, D) or (N, 2, D)."""
        return self.heads[0](codes.reshape(codes.shape[0], -1, self.input_shape[-1])[:, 0])

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean cross-entropy of a batch, in nats; while training, with the baseline's added."""
        logits, *baseline = (head(part) for head, part in zip(self.heads, self._parts(x), strict=True))
        loss = self.measure(logits, y, stage)
        for other in baseline:
            self.figures(stage)["baseline_accuracy"].update(other.detach(), y)
            # two heads with nothing in common: their sum trains each as if it were alone
            loss = loss + self.cross_entropy(other, y, stage)
        return loss

    def check_input(self, x: Tensor) -> None:
        """Raise a ValueError where `x` is not a batch of codes of `input_shape`."""
        if not x.is_floating_point() or tuple(x.shape[1:]) != self.input_shape:
            raise ValueError(
                f"codes of shape {tuple(x.shape)} and {x.dtype} do not fit a probe for floats of (N, "
                f"{', '.join(map(str, self.input_shape))}): encode images with datamodules.EncodedDataModule"
            )

    def check_values(self, x: Tensor, y: Tensor | None) -> None:
        """Codes may have any value; labels must name a class."""
        self.check_labels(y, len(x))

    def on_train_start(self) -> None:
        """Take mean and deviation of the train split, before a first fit."""
        if not self.heads[0].fitted:
            self.fit_scale(self.training_batches())

    @torch.no_grad()
    def fit_scale(self, batches: Iterable[Tensor]) -> None:
        """Set each head's mean and deviation from all training codes, batch by batch."""
        known = moments(batches)
        mean, deviation = (part.view(len(self.heads), -1) for part in (known.mean, known.variance.sqrt()))
        for head, own_mean, own_deviation in zip(self.heads, mean, deviation, strict=True):
            head.set_scale(own_mean, own_deviation)  # type: ignore[operator]

    def on_test_end(self) -> None:
        """Say the result beside its baseline."""
        figures = self.trainer.callback_metrics
        if "test/baseline_accuracy" in figures:
            rank_zero_info(
                f"probe: {figures['test/accuracy']:.2%} of the test images; the same architecture untrained: "
                f"{figures['test/baseline_accuracy']:.2%}"
            )

    def _parts(self, codes: Tensor) -> Sequence[Tensor]:
        """The codes of each head, (N, D) each."""
        return codes.reshape(len(codes), -1, self.input_shape[-1]).unbind(1)
