"""Grids of the first images of two splits: what callbacks that show a model's answers beside the images share."""

from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.batches import first_images, held_out_split
from callbacks.picture import PictureCallback


class SplitGrid(PictureCallback):
    """Draws the first images of the train split, and of one that is not trained on.

    The other split is validation, or test where there is no validation split and in `test` itself. A split that is not
    there has no picture, a split of fewer images a smaller one. A subclass says `name`, and writes `show`.

    Args:
        columns: images a row, at least 1.
        rows: rows of images, at least 1.
        every_n_epochs: see `PictureCallback`.

    Raises:
        ValueError: a count is below 1.

    Example:
        >>> from callbacks.image_grid import image_grid
        >>> class Inputs(SplitGrid):
        ...     name = "inputs"
        ...
        ...     def show(self, trainer, module, split, x, y):
        ...         return image_grid(x.split(self.columns), title=split)
        >>> Inputs(columns=4).rows
        2
    """

    name: str

    def __init__(self, columns: int = 8, rows: int = 2, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        if rows < 1 or columns < 1:
            raise ValueError(f"rows and columns must be at least 1, got {rows} and {columns}")
        self.columns = columns
        self.rows = rows

    def show(self, trainer: Trainer, module: LightningModule, split: str, x: Tensor, y: Tensor | None) -> Figure:
        """The picture of a split's first images, x (N, C, H, W), and their labels; N is at most `rows * columns`."""
        raise NotImplementedError

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        for split in filter(None, ("train", held_out_split(trainer, when))):
            x, y = first_images(trainer, module, split, self.rows * self.columns)
            if x is not None:
                self.save(trainer, self.show(trainer, module, split, x, y), f"{self.name}_{split}", when)
