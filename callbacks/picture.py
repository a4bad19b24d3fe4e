"""When pictures are drawn and where they go."""

from pathlib import Path
from typing import BinaryIO

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from callbacks.picture_loggers import log_picture
from callbacks.run_folder import run_folder
from callbacks.verbs import require


def check_every_n_epochs(every_n_epochs: int) -> int:
    """`every_n_epochs`, or a ValueError where it is negative.

    Example:
        >>> check_every_n_epochs(5)
        5
    """
    if every_n_epochs < 0:
        raise ValueError(f"every_n_epochs must be at least 0, got {every_n_epochs}: 0 draws at the end of the run only")
    return every_n_epochs


class PictureCallback(Callback):
    """Draws every n epochs and at the end of a fit, and at the end of a test; process 0 alone, with no collective.

    Each picture goes to the loggers that can show it and to `<run folder>/pictures/<name>_<when>.png`. Where drawing
    fails, this warns and the run goes on. A subclass names the `verb` it needs and writes `draw`.

    Args:
        every_n_epochs: epochs between pictures; 0 draws at the end of the run only.

    Raises:
        TypeError: before training starts, where the model lacks the verb.
        ValueError: `every_n_epochs` is negative.

    Example:
        >>> from callbacks.verbs import Samples
        >>> class Brightness(PictureCallback):
        ...     verb = Samples
        ...
        ...     def draw(self, trainer, module, when):
        ...         figure = new_figure(4, 3)
        ...         figure.add_subplot().hist(module.sample(64).mean((1, 2, 3)).tolist())
        ...         self.save(trainer, figure, "brightness", when)
        >>> Brightness(every_n_epochs=5).every_n_epochs
        5
    """

    verb: type

    def __init__(self, every_n_epochs: int = 1) -> None:
        self.every_n_epochs = check_every_n_epochs(every_n_epochs)
        self._drawn_at = -1

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """Make the pictures and hand each to `save`; `when` is "epoch005" or "test"."""
        raise NotImplementedError

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what cannot work, before anything is trained, and agree on the folder."""
        require(pl_module, self.verb, self)
        self._drawn_at = -1  # what another run drew does not count
        # a collective: every process does it, here, once
        self.folder = run_folder(trainer) / "pictures"

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw where the epoch is due."""
        if self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._draw_epoch(trainer, pl_module, trainer.current_epoch + 1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what the run ended with, unless its last epoch was drawn already."""
        if trainer.current_epoch != self._drawn_at:
            self._draw_epoch(trainer, pl_module, trainer.current_epoch)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the tested model."""
        self._draw(trainer, pl_module, "test")

    def save(self, trainer: Trainer, figure: Figure, name: str, when: str) -> Path:
        """Write a figure to a PNG and show it in the loggers; returns the PNG's path."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}_{when}.png"
        write_png(figure, path)
        for logger in trainer.loggers:
            log_picture(logger, f"pictures/{name}", path, trainer.global_step)
        return path

    def _draw_epoch(self, trainer: Trainer, module: LightningModule, epoch: int) -> None:
        self._drawn_at = epoch
        self._draw(trainer, module, f"epoch{epoch:03d}")

    def _draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        trial = trainer.fast_dev_run or trainer.barebones  # type: ignore[attr-defined]
        if trial or not trainer.is_global_zero:
            return
        try:
            self.draw(trainer, module, when)
        except Exception as error:  # a picture is not worth a run
            rank_zero_warn(f"{type(self).__name__} left out a picture of {when}: {type(error).__name__}: {error}")


def write_png(figure: Figure, to: Path | BinaryIO) -> None:
    """Write a figure as a PNG, with little margin; its texts are no formulas.

    Example:
        >>> from io import BytesIO
        >>> content = BytesIO()
        >>> write_png(new_figure(1, 1), content)
        >>> content.getvalue()[1:4]
        b'PNG'
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # "$" in the name of a class is a dollar
    figure.savefig(to, format="png", bbox_inches="tight", pad_inches=0.05)


def new_figure(width: float, height: float) -> Figure:
    """A figure of that size in inches, outside pyplot: garbage collection closes it.

    Example:
        >>> new_figure(6, 4).get_size_inches().tolist()
        [6.0, 4.0]
    """
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
