"""Grid of generated samples."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.batches import class_names
from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid
from callbacks.picture import PictureCallback
from callbacks.verbs import Samples, is_conditional


class SampleGrid(PictureCallback):
    """Grid of generated samples, from the same noise each time, so that pictures show the model's progress.

    A conditional model gets one row a class, labelled, and each row the same noise: what changes down a column is the
    class, what changes along a row is everything else. It says how many by its `num_classes`.

    Args:
        rows: rows of a plain model's grid, at least 1; a conditional model has one a class.
        columns: images a row, at least 1.
        every_n_epochs: see `PictureCallback`.
        seed: of the noise.
        name: of the picture, where a run draws more than one grid.

    Raises:
        ValueError: a count is below 1.

    Example:
        >>> trainer = Trainer(callbacks=[SampleGrid(rows=4, columns=16, every_n_epochs=5)], accelerator="cpu")
    """

    verb = Samples

    def __init__(
        self, rows: int = 8, columns: int = 8, every_n_epochs: int = 1, seed: int = 0, name: str = "samples"
    ) -> None:
        super().__init__(every_n_epochs)
        if rows < 1 or columns < 1:
            raise ValueError(f"rows and columns must be at least 1, got {rows} and {columns}")
        self.rows = rows
        self.columns = columns
        self.seed = seed
        self.name = name

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        if is_conditional(module):
            names = class_names(trainer, int(module.num_classes))  # type: ignore[arg-type]
            labels = [torch.full((self.columns,), label, device=module.device) for label in range(len(names))]
            rows = [self._sample(module, self.columns, y) for y in labels]
        else:
            names = []
            rows = list(self._sample(module, self.rows * self.columns).split(self.columns))
        self.save(trainer, image_grid(rows, names), self.name, when)

    def _sample(self, module: LightningModule, n: int, y: Tensor | None = None) -> Tensor:
        with evaluation_mode(module, self.seed):
            return module.sample(n, y)  # type: ignore[operator]
