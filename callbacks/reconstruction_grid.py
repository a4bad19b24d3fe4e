"""Grid of images and their reconstructions."""

from lightning.pytorch import LightningModule, Trainer

from callbacks.batches import first_images, held_out_split
from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid
from callbacks.picture import PictureCallback
from callbacks.verbs import Reconstructs


class ReconstructionGrid(PictureCallback):
    """Originals above their reconstructions: one picture of the train split, one of a split not trained on.

    The other split is validation, or test where there is no validation split and in `test` itself. A split that is not
    there has no picture, a split of fewer images a smaller one.

    Args:
        columns: images a row, at least 1.
        rows: pairs of rows, at least 1.
        every_n_epochs: see `PictureCallback`.

    Raises:
        ValueError: a count is below 1.

    Example:
        >>> trainer = Trainer(callbacks=[ReconstructionGrid(columns=16, rows=1)], accelerator="cpu")
    """

    verb = Reconstructs

    def __init__(self, columns: int = 8, rows: int = 2, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        if rows < 1 or columns < 1:
            raise ValueError(f"rows and columns must be at least 1, got {rows} and {columns}")
        self.columns = columns
        self.rows = rows

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        held_out = held_out_split(trainer, when)
        for split in ("train", held_out):
            x, y = first_images(trainer, module, split, self.rows * self.columns)
            if x is None:
                continue
            with evaluation_mode(module):
                seen = module.reconstruct(x, y)  # type: ignore[operator]
            pairs = [row for pair in zip(x.split(self.columns), seen.split(self.columns), strict=True) for row in pair]
            labels = ["original", "reconstruction"] * (len(pairs) // 2)
            self.save(trainer, image_grid(pairs, labels, f"{split} split"), f"reconstructions_{split}", when)
