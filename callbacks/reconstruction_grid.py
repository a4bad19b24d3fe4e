"""Grid of images and their reconstructions."""

from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid, in_groups
from callbacks.split_grid import SplitGrid
from callbacks.verbs import HasUntrained, Reconstructs, require


class ReconstructionGrid(SplitGrid):
    """Originals above their reconstructions: one picture of the train split, one of a split not trained on.

    The other split is validation, or test where there is no validation split and in `test` itself. A split that is not
    there has no picture, a split of fewer images a smaller one.

    Args:
        columns: images a row, at least 1.
        rows: pairs of rows, at least 1.
        every_n_epochs: see `PictureCallback`.
        untrained: add, between each pair of rows, the images as the same architecture with random weights shows them.

    Raises:
        ValueError: a count is below 1.
        TypeError: `untrained` is asked for, and the model has no `untrained()`.

    Example:
        >>> trainer = Trainer(callbacks=[ReconstructionGrid(columns=16, rows=1)], accelerator="cpu")
    """

    verb = Reconstructs
    name = "reconstructions"

    def __init__(self, columns: int = 8, rows: int = 2, every_n_epochs: int = 1, untrained: bool = False) -> None:
        super().__init__(columns, rows, every_n_epochs)
        self.untrained = untrained

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See `PictureCallback.setup`."""
        super().setup(trainer, pl_module, stage)
        if self.untrained:
            require(pl_module, HasUntrained, self)

    def show(self, trainer: Trainer, module: LightningModule, split: str, x: Tensor, y: Tensor | None) -> Figure:
        """See `SplitGrid.show`."""
        models = {"reconstruction": module}
        if self.untrained:
            fresh = module.untrained().to(module.device, module.dtype)  # type: ignore[operator]
            models = {"untrained": fresh, **models}
        shown = {"original": x}
        for name, model in models.items():
            with evaluation_mode(model):
                shown[name] = model.reconstruct(x, y)  # type: ignore[operator]
        return image_grid(*in_groups(shown, self.columns), f"{split} split")
