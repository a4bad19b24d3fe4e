"""Seconds of training epochs and steps inside the Trainer, and how they are printed."""

import time
from statistics import median

from lightning.pytorch import Callback, LightningModule, Trainer


class EpochTimer(Callback):
    """Times the training batches of each epoch, with everything that the run does between them.

    The clock starts before the first batch and stops after the last, before validation and end-of-epoch pictures:
    what a hand-written training loop times too.
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
            self.seconds.append(time.perf_counter() - self._start)


class StepTimer(Callback):
    """Times each step, from the start of one batch to the start of the next, with all that the Trainer does between."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start: float | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Stop the clock of the step before and start it anew."""
        now = time.perf_counter()
        if self._start is not None:
            self.seconds.append(now - self._start)
        self._start = now


def print_comparison(seconds: dict[str, list[float]]) -> None:
    """Print median and spread of each way's epochs, and how many times faster the last way is than the first."""
    for way, times in seconds.items():
        print(f"{way:16} median {median(times):.2f} s an epoch ({min(times):.2f} to {max(times):.2f}, n={len(times)})")
    first, *_, last = seconds.values()
    print(f"ratio            {median(first) / median(last):.2f}")
