"""Grid of the weights of hidden units."""

from lightning.pytorch import LightningModule, Trainer

from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid
from callbacks.picture import PictureCallback
from callbacks.verbs import HasFilters


class FilterGrid(PictureCallback):
    """The weights of each hidden unit as an image: grey is no effect, white brightens a pixel, black darkens it.

    All units share one scale, at whose ends is the largest effect of any; it stands above the picture. Of colour images
    this holds for each channel by itself.

    Args:
        columns: images a row, at least 1.
        max_units: units drawn, the first ones, at least 1.
        every_n_epochs: see `PictureCallback`.

    Raises:
        ValueError: a count is below 1.

    Example:
        >>> trainer = Trainer(callbacks=[FilterGrid(columns=8, max_units=64)], accelerator="cpu")
    """

    verb = HasFilters

    def __init__(self, columns: int = 16, max_units: int = 256, every_n_epochs: int = 0) -> None:
        super().__init__(every_n_epochs)
        if columns < 1 or max_units < 1:
            raise ValueError(f"columns and max_units must be at least 1, got {columns} and {max_units}")
        self.columns = columns
        self.max_units = max_units

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        with evaluation_mode(module):
            filters = module.filters()[: self.max_units].float()  # type: ignore[operator]
        largest = float(filters.abs().max())
        rows = (filters / (2 * max(largest, 1e-12)) + 0.5).split(self.columns)
        title = f"{len(filters)} filters; black and white are -{largest:.2f} and +{largest:.2f} of a pixel"
        self.save(trainer, image_grid(rows, title=title), "filters", when)
