"""What models that tell classes apart share: cross-entropy, accuracy, confusion matrix."""

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassAccuracy

from lit_models.checks import check_count, check_share
from lit_models.confusion import ConfusionModule
from lit_models.functional.precision import wide
from lit_models.metrics import EpochMeans


class ClassificationModule(ConfusionModule):
    """ConfusionModule whose `forward` gives logits (N, K).

    Logged for each of train, val and test: `loss`, the cross-entropy in nats per image, and `accuracy`, the share of
    images whose most probable class is theirs. `confusion` holds the matrix of the last finished val or test split.

    Args:
        num_classes: K.
        optimizer: see `BaseModule`.
        lr_scheduler: see `BaseModule`.
        label_smoothing: share of each target that is spread over all classes while training, in [0, 1); the losses
            logged for val and test are without it.

    Raises:
        ValueError: `num_classes` is below 2, `label_smoothing` out of its range.

    Example:
        >>> class Linear(ClassificationModule):
        ...     def __init__(self, image_shape, num_classes):
        ...         super().__init__(num_classes, torch.optim.Adam, None)
        ...         self.image_shape = tuple(image_shape)
        ...         self.layer = torch.nn.Linear(16, num_classes)
        ...     def forward(self, x):
        ...         return self.layer(x.flatten(1))
        >>> Linear((1, 4, 4), 3).classify(torch.rand(2, 1, 4, 4)).shape
        torch.Size([2, 3])
    """

    needs_labels = True

    def __init__(
        self,
        num_classes: int,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        if num_classes in (0, 1):
            raise ValueError(
                f"num_classes must be a whole number, at least 2, got {num_classes}: use data with classes (for "
                "pictures, a folder for each class)"
            )
        check_count("num_classes", num_classes, 2)
        check_share("label_smoothing", label_smoothing)
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        # micro: each image counts the same, as in the accuracies that papers report
        self.add_figures(means=EpochMeans(["loss"]), accuracy=MulticlassAccuracy(num_classes, average="micro"))
        self.count_classes(num_classes)

    def classify(self, x: Tensor) -> Tensor:
        """Probability of each class, (N, K)."""
        return wide(self(x)).softmax(1)

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean cross-entropy of a batch, in nats."""
        return self.measure(self(x), y, stage)

    def measure(self, logits: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean cross-entropy of logits (N, K) for labels (N,), in nats; updates the figures of `stage`."""
        loss = self.cross_entropy(logits, y, stage)
        figures = self.figures(stage)
        figures["means"].update([loss], len(logits))
        figures["accuracy"].update(logits.detach(), y)
        self.count(logits, y, stage)
        return loss

    def cross_entropy(self, logits: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean cross-entropy in nats; smoothed where it trains."""
        smoothing = self.label_smoothing if stage == "train" else 0.0
        return cross_entropy(wide(logits), y, label_smoothing=smoothing)  # type: ignore[arg-type]
