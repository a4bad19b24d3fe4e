"""Curves of what was logged, over epochs."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from callbacks.curve_panels import draw_panels, panels, split_and_figure
from callbacks.picture import PictureCallback

_KEY = "curves"  # in a checkpoint


class Curves(PictureCallback):
    """The logged figures over epochs as one picture, a panel a figure, train and validation together.

    It is for any LightningModule. The figures are those of `trainer.callback_metrics`, with loggers or without. Drawn
    are the ones that were logged for train or validation (`train/kl`, `val/kl`, also `val_loss`): first losses,
    reconstruction, KL, active units, log-likelihood, accuracy and MSE, then the others as they were logged, 12 at most.
    A run that ends with an exception or Ctrl-C is drawn too. Nothing is drawn where no figure was logged.

    A point stands where its epoch ended: 1 is after the first epoch. Figures of an epoch that `max_steps` cut short,
    and of validations within an epoch, stand at the share of its batches; where the number of batches is not known,
    the epoch's last validation counts. A figure that was not logged again has no new point. A resumed run goes on with
    the curves of the run before, which are in its checkpoint. Values are read once an epoch.

    Args:
        figures: what to draw, in this order, at least one, by the name after `train/` or `val/` (`"kl"`) or by its
            whole name (`"samples/entropy"`); None for the rule above.
        every_n_epochs: see `PictureCallback`; drawn when the next epoch starts.

    Attributes:
        points: values by logged name, {epoch: value} each, of all figures and not only of those drawn.

    Raises:
        ValueError: `figures` is empty; `every_n_epochs` is negative.

    Example:
        >>> trainer = Trainer(callbacks=[Curves(figures=["loss", "kl"])], accelerator="cpu")
    """

    verb = object  # any model

    def __init__(self, figures: Sequence[str] | None = None, every_n_epochs: int = 0) -> None:
        super().__init__(every_n_epochs)
        if figures is not None and not figures:
            raise ValueError(
                "figures must name at least one figure, got none: pass null for all that are logged for train or val"
            )
        self.figures = None if figures is None else [split_and_figure(name)[1] for name in figures]
        self.points: dict[str, dict[float, float]] = {}
        self._unread: list[tuple[str, float, Tensor]] = []
        self._seen: dict[str, Tensor] = {}
        self._end: float | None = None  # of an epoch whose figures are not all there yet
        self._runs = False  # whether a fit is on

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what a run before has drawn up to here: all where it is resumed, nothing where another one starts."""
        here = _position(trainer)
        self.points = {
            name: kept
            for name, points in self.points.items()
            if (kept := {x: y for x, y in points.items() if x <= here})
        }
        self._unread, self._seen, self._end, self._drawn_at = [], {}, None, -1
        self._runs = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the validation figures, of which there may be several in an epoch."""
        if self._runs:  # neither before a fit, as a sanity check, nor after it
            self._note(trainer, _position(trainer), within_epoch=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note where the epoch ended: this hook is called before the model's own, which logs the train figures."""
        self._end = _position(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the curves to the checkpoint, as plain data; with the epoch at whose end it is written."""
        if self._runs:
            self._close_epoch(trainer)
        checkpoint[_KEY] = {name: sorted(points.items()) for name, points in self.points.items()}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take over the curves of the run before."""
        self.points = {name: dict(points) for name, points in checkpoint.get(_KEY, {}).items()}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete the epoch before, and draw where it was due."""
        ended = self._end is not None
        self._close_epoch(trainer)
        self._end = None
        if ended and self.every_n_epochs and trainer.current_epoch % self.every_n_epochs == 0:
            self._draw_epoch(trainer, pl_module, trainer.current_epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete the last epoch, and draw."""
        self._close_epoch(trainer)
        self._runs = False
        super().on_train_end(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Draw what is known, without what the processes would have to work out together."""
        if self._runs:
            self._runs = False
            super().on_train_end(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A test has no curves."""

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        self._read()
        shown = panels(self.points, self.figures)
        missing = sorted({*(self.figures or [])} - {panel.figure for panel in shown})
        if missing:
            rank_zero_warn(f"Curves found no figures {missing}: there are {sorted(self.points)}")
        if shown:
            self.save(trainer, draw_panels(shown), "curves", when)

    def _note(self, trainer: Trainer, epoch: float, within_epoch: bool) -> None:
        """Note figures that were logged since they were last looked at; reads no value."""
        metrics = trainer.callback_metrics
        for name, value in metrics.items():
            if within_epoch and split_and_figure(name)[0] != "val":
                continue
            # Lightning keeps old values, and gives new ones memory of their own; what is seen is kept, so that its
            # memory is not used again
            if name in self._seen and self._seen[name].data_ptr() == value.data_ptr():
                continue
            self._seen[name] = value
            if not _is_copy(name, metrics):
                self._unread.append((name, epoch, value))

    def _close_epoch(self, trainer: Trainer) -> None:
        """Note the rest of an epoch that has ended, and read all values; every process calls it, as a collective."""
        if self._end is not None:
            self._note(trainer, self._end, within_epoch=False)
        self._read()

    def _read(self) -> None:
        """Bring the values noted to the CPU, all at once."""
        if not self._unread:
            return
        device = self._unread[0][2].device
        values = torch.stack([value.detach().to(device, torch.float32).reshape(()) for *_, value in self._unread])
        for (name, epoch, _), value in zip(self._unread, values.tolist(), strict=True):
            self.points.setdefault(name, {})[epoch] = value
        self._unread = []


def _position(trainer: Trainer) -> float:
    """Epochs trained so far, with the share of the running one."""
    batches = trainer.num_training_batches
    share = (trainer.fit_loop.batch_idx + 1) / batches if batches != float("inf") else 1.0
    return trainer.current_epoch + share


def _is_copy(name: str, metrics: dict[str, Tensor]) -> bool:
    """Whether it is one of the names that Lightning adds where a figure is logged both a step and an epoch."""
    return any(name.endswith(end) and name.removesuffix(end) in metrics for end in ("_step", "_epoch"))
