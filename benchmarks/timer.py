"""Seconds of training epochs inside the Trainer."""

import time

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class EpochTimer(Callback):
    """Times the training batches of each epoch, with everything that the run does between them.

    The clock starts before the first batch and stops after the last, before validation, checkpoints and end-of-epoch
    pictures: what a hand-written training loop times too.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Stop the clock after the last batch."""
        if trainer.is_last_batch:
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize()
            self.seconds.append(time.perf_counter() - self._start)
