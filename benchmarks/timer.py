"""The clock of a benchmark, read inside the Trainer."""

from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.turns import Clock


class EpochTimer(Callback):
    """Times the training batches of each epoch, with everything that the run does between them.

    The clock starts before the first batch and stops after the last, before validation, checkpoints and end-of-epoch
    pictures: what a hand-written training loop times too.
    """

    clock: Clock  # set on the class, since the command line makes the callback; so below

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.clock.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Stop the clock after the last batch."""
        if trainer.is_last_batch:
            self.clock.stop()


class TestEndStart(Callback):
    """Starts the clock before the callbacks that stand after it in the list act at the end of a test."""

    clock: Clock

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.clock.start()


class TestEndStop(Callback):
    """Stops the clock after those that stand before it."""

    clock: Clock

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self.clock.stop()
