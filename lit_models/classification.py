"""What systems that tell classes apart share: cross-entropy, accuracy, confusion matrix."""

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from lit_models.base import Batch, LitModel
from lit_models.checks import check_at_least, check_share
from lit_models.metrics import EpochMeans


class ClassificationModel(LitModel):
    """A LitModel whose `forward` gives logits (N, K).

    Logged for each of train, val and test: `loss`, the cross-entropy in nats per image, and `accuracy`, the share of
    images whose most probable class is theirs. `confusion` holds the matrix of the last finished val or test split.

    Args:
        num_classes: K.
        optimizer: see `LitModel`.
        lr_scheduler: see `LitModel`.
        label_smoothing: share of each target that is spread over all classes while training, in [0, 1); the losses
            logged for val and test are without it.

    Raises:
        ValueError: `num_classes` is below 2, `label_smoothing` out of its range.
    """

    confusion: Tensor | None = None
    """(K, K) counts of images by class (row) and by the class they were taken for (column)."""

    def __init__(
        self,
        num_classes: int,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None,
        label_smoothing: float = 0.0,
    ) -> None:
        check_at_least("num_classes", num_classes, 2)
        check_share("label_smoothing", label_smoothing)
        figures = {
            "means": EpochMeans(["loss"]),
            # micro: each image counts the same, as in the accuracies that papers report
            "accuracy": MulticlassAccuracy(num_classes, average="micro"),
        }
        super().__init__(figures, optimizer, lr_scheduler)
        self.label_smoothing = label_smoothing
        self._confusion = MulticlassConfusionMatrix(num_classes)

    def classify(self, x: Tensor) -> Tensor:
        """Probability of each class, (N, K)."""
        return self(x).softmax(1)

    def step(self, batch: Batch, stage: str) -> Tensor:
        """Mean cross-entropy of a batch, in nats."""
        x, y = batch
        return self.measure(self(x), y, stage)

    def measure(self, logits: Tensor, y: Tensor, stage: str) -> Tensor:
        """Mean cross-entropy of logits (N, K) for labels (N,), in nats; updates the figures of `stage`."""
        logits = logits.to(self.dtype)
        loss = self.cross_entropy(logits, y, stage)
        figures = self.figures(stage)
        figures["means"].update([loss], len(y))
        figures["accuracy"].update(logits.detach(), y)
        if stage != "train":
            self._confusion.update(logits, y)
        return loss

    def cross_entropy(self, logits: Tensor, y: Tensor, stage: str) -> Tensor:
        """Mean cross-entropy in nats; smoothed where it trains."""
        return cross_entropy(logits, y, label_smoothing=self.label_smoothing if stage == "train" else 0.0)

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures and keep the confusion matrix."""
        super().on_validation_epoch_end()
        self._keep_confusion()

    def on_test_epoch_end(self) -> None:
        """Log the test figures and keep the confusion matrix."""
        super().on_test_epoch_end()
        self._keep_confusion()

    def _keep_confusion(self) -> None:
        self.confusion = self._confusion.compute()
        self._confusion.reset()
