"""What models that tell classes apart keep of a split: the confusion matrix."""

from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from lit_models.base import BaseModule
from lit_models.metrics import reset


class ConfusionModule(BaseModule):
    """BaseModule that keeps the confusion matrix of the last finished val or test split, as `confusion`.

    A subclass calls `count_classes` in its `__init__` and `count` in each step.

    Example:
        >>> import torch
        >>> class Model(ConfusionModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.count_classes(2)
        >>> model = Model()
        >>> model.count(torch.eye(2), torch.tensor([0, 1]), "val")
        >>> model.keep_confusion()
        >>> model.confusion
        tensor([[1, 0],
                [0, 1]])
    """

    confusion: Tensor | None = None
    """(K, K) counts of examples by class (row) and by the class they were taken for (column)."""
    _confusion: MulticlassConfusionMatrix | None

    def count_classes(self, num_classes: int) -> None:
        """Say how many classes there are; 0 for none, where nothing is counted."""
        self._confusion = MulticlassConfusionMatrix(num_classes) if num_classes else None

    def count(self, logits: Tensor, y: Tensor | None, stage: str) -> None:
        """Count a batch of logits (N, K) and labels (N,), but of training."""
        if stage != "train" and self._confusion is not None:
            self._confusion.update(logits, y)  # type: ignore[arg-type]

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures and keep the confusion matrix."""
        super().on_validation_epoch_end()
        self.keep_confusion()

    def on_test_epoch_end(self) -> None:
        """Log the test figures and keep the confusion matrix."""
        super().on_test_epoch_end()
        self.keep_confusion()

    def keep_confusion(self) -> None:
        """Take the counts of the split that ends, and begin anew."""
        if self._confusion is not None:
            self.confusion = self._confusion.compute()
            reset(self._confusion)
