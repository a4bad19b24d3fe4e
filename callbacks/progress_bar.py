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

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Draw where it is time to, and at the end of an epoch."""
        now = time.monotonic()
        if now >= self._due or trainer.is_last_batch:
            self._due = now + _SECONDS
            super().on_train_batch_end(trainer, pl_module, *args, **kwargs)
