"""Grid of images, the same with noise, and what a denoising model makes of these."""

from lightning.pytorch import LightningModule, Trainer

from callbacks.batches import first_images, held_out_split
from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid
from callbacks.picture import PictureCallback
from callbacks.verbs import Corrupts


class DenoisingGrid(PictureCallback):
    """Originals, the same images with the model's own noise, and the denoised ones: three rows.

    The images are of validation, or of test where there is no validation split and in `test` itself. A noisy image may
    leave [0, 1], and is cut to it for the picture alone; the model is given it as it is. The noise is the same each
    time.

    Args:
        columns: images a row, at least 1.
        every_n_epochs: see `PictureCallback`.
        seed: of the noise.

    Raises:
        ValueError: `columns` is below 1.

    Example:
        >>> trainer = Trainer(callbacks=[DenoisingGrid(columns=8)], accelerator="cpu")
    """

    verb = Corrupts

    def __init__(self, columns: int = 5, every_n_epochs: int = 1, seed: int = 0) -> None:
        super().__init__(every_n_epochs)
        if columns < 1:
            raise ValueError(f"columns must be at least 1, got {columns}")
        self.columns = columns
        self.seed = seed

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        held_out = held_out_split(trainer, when)
        x, y = first_images(trainer, module, held_out, self.columns)
        if x is None:
            return
        with evaluation_mode(module, self.seed):
            noisy = module.corrupt(x)  # type: ignore[operator]
            denoised = module.reconstruct(noisy, y)  # type: ignore[operator]
        rows, labels = [x, noisy.clamp(0, 1), denoised], ["original", "noisy", "denoised"]
        self.save(trainer, image_grid(rows, labels, f"{held_out} split"), "denoising", when)
