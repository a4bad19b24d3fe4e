"""Picture of a confusion matrix."""

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.batches import class_names
from callbacks.picture import PictureCallback, new_figure
from callbacks.verbs import Confuses


class ConfusionMatrix(PictureCallback):
    """The confusion matrix of the last validation, or of the test: rows are classes, columns what they were taken for.

    The diagonal holds each class's accuracy. Nothing is drawn while nothing was validated or tested.

    Args:
        every_n_epochs: see `PictureCallback`.

    Example:
        >>> trainer = Trainer(callbacks=[ConfusionMatrix()], accelerator="cpu")
    """

    verb = Confuses

    def __init__(self, every_n_epochs: int = 0) -> None:
        super().__init__(every_n_epochs)

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        counts = module.confusion
        if not isinstance(counts, Tensor):
            return
        shares = (counts / counts.sum(1, keepdim=True).clamp(min=1)).cpu()  # (K, K), rows sum to 1
        names = class_names(trainer, len(counts))
        figure = new_figure(1.5 + 0.55 * len(names), 1.5 + 0.5 * len(names))
        axes = figure.add_subplot()
        axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
        for row in range(len(names)):
            for column in range(len(names)):
                if counts[row, column] > 0:
                    color = "white" if shares[row, column] > 0.5 else "black"
                    text = f"{100 * shares[row, column]:.1f}"
                    axes.text(column, row, text, ha="center", va="center", fontsize=7, color=color)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_xlabel("taken for")
        axes.set_ylabel("class")
        axes.set_title("percent of each class", fontsize=9)
        self.save(trainer, figure, "confusion", when)
