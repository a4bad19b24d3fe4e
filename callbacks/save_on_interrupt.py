"""Ctrl-C and SIGTERM end a run in good order."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException


class SaveOnInterrupt(Callback):
    """Ends a fit after the batch at hand, with a checkpoint, when SIGTERM comes or Ctrl-C is pressed.

    A validation that has begun is finished, and its epoch with it. The checkpoint,
    `<run folder>/checkpoints/interrupted.ckpt`, is of the moment between two batches, so that the resumed run ends as
    the uninterrupted one would have. A second Ctrl-C stops at once, without it. The process ends with the exit status
    that shells give to the signal, 143 or 130.
    """

    def __init__(self) -> None:
        self._signal = signal.SIGTERM
        self._before: Any = None
        self._held = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over Ctrl-C; SIGTERM is Lightning's already."""
        self._folder = Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"
        if threading.current_thread() is not threading.main_thread():  # where no signal arrives
            return

        def stop(signum: int, frame: FrameType | None) -> None:
            rank_zero_info("\nStopping after this batch; Ctrl-C again stops at once and saves nothing.")
            self._signal = signal.SIGINT
            _signals(trainer).received_sigterm = True
            self._give_back()

        self._before = signal.signal(signal.SIGINT, stop)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Let the validation go on: Lightning would stop here, and a resumed run would do without its figures."""
        if trainer.state.fn == "fit" and trainer.received_sigterm:
            self._held, _signals(trainer).received_sigterm = True, False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Within an epoch, stop now."""
        if not trainer.is_last_batch:
            self._release(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """At its end, stop after the checkpoints that judge by the figures."""
        self._release(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give Ctrl-C back."""
        self._give_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save, where the exception is the orderly one, and say how to go on."""
        self._give_back()
        if isinstance(exception, SIGTERMException) and trainer.state.fn == "fit":
            path = self._folder / "interrupted.ckpt"
            trainer.save_checkpoint(path)
            rank_zero_info(f"Interrupted at batch {trainer.global_step}. Go on with: --ckpt_path {path}")
            exception.code = 128 + self._signal

    def _release(self, trainer: Trainer) -> None:
        if self._held:
            self._held, _signals(trainer).received_sigterm = False, True

    def _give_back(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None


def _signals(trainer: Trainer) -> Any:
    return vars(trainer)["_signal_connector"]
