"""A progress bar that costs the same for quick steps and for slow ones."""

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

_SECONDS = 0.2


class SteadyProgressBar(TQDMProgressBar):
    """Lightning's, drawn five times a second while it trains, instead of every so many batches."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=1)
        self._due = 0.0
        self._undrawn: int | None = None  # the last batch, where it is not in the bar

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw where it is time to."""
        self._undrawn = batch_idx
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _SECONDS
            self._catch_up(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what was trained before."""
        self._catch_up(trainer, pl_module)
        super().on_validation_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw where the epoch ended."""
        self._catch_up(trainer, pl_module)
        super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the figures of the last epoch, which were logged after the bar was drawn."""
        self.train_progress_bar.set_postfix(self.get_metrics(trainer, pl_module))
        super().on_train_end(trainer, pl_module)

    def _catch_up(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._undrawn is not None:
            super().on_train_batch_end(trainer, pl_module, None, None, self._undrawn)
            self._undrawn = None
