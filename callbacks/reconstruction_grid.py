"""Grid of images and their reconstructions."""

from lightning.pytorch import LightningModule, Trainer

from callbacks.batches import first_images, held_out_split
from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid
from callbacks.picture import PictureCallback
from callbacks.verbs import HasUntrained, Reconstructs, require


class ReconstructionGrid(PictureCallback):
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

    def __init__(self, columns: int = 8, rows: int = 2, every_n_epochs: int = 1, untrained: bool = False) -> None:
        super().__init__(every_n_epochs)
        if rows < 1 or columns < 1:
            raise ValueError(f"rows and columns must be at least 1, got {rows} and {columns}")
        self.columns = columns
        self.rows = rows
        self.untrained = untrained

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See `PictureCallback.setup`."""
        super().setup(trainer, pl_module, stage)
        if self.untrained:
            require(pl_module, HasUntrained, self)

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        held_out = held_out_split(trainer, when)
        models = {"reconstruction": module}
        if self.untrained:
            fresh = module.untrained().to(module.device, module.dtype)  # type: ignore[operator]
            models = {"untrained": fresh, **models}
        for split in ("train", held_out):
            x, y = first_images(trainer, module, split, self.rows * self.columns)
            if x is None:
                continue
            shown = {"original": x}
            for name, model in models.items():
                with evaluation_mode(model):
                    shown[name] = model.reconstruct(x, y)  # type: ignore[operator]
            parts = [images.split(self.columns) for images in shown.values()]
            rows = [row for group in zip(*parts, strict=True) for row in group]
            labels = list(shown) * (len(rows) // len(shown))
            self.save(trainer, image_grid(rows, labels, f"{split} split"), f"reconstructions_{split}", when)
