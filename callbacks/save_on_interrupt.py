"""Ctrl-C and SIGTERM end a run in good order."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import distributed


class SaveOnInterrupt(Callback):
    """Ends a fit after the batch at hand, with a checkpoint, when SIGTERM comes or Ctrl-C is pressed.

    A validation that has begun is finished, and its epoch with it. The checkpoint,
    `<run folder>/checkpoints/interrupted.ckpt`, is of the moment between two batches, so that the resumed run ends as
    the uninterrupted one would have. A second Ctrl-C stops at once, without it. The process ends with the exit status
    that shells give to the signal, 143 or 130.
    """

    def __init__(self) -> None:
        self._signal = 0  # what came to this process, or, after the processes agreed, to any
        self._before: dict[int, Any] = {}
        self._held = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over both signals: a handler only notes them, since nothing else may happen just anywhere."""
        self._folder = Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"
        if threading.current_thread() is not threading.main_thread():  # where no signal arrives
            return

        def note(signum: int, frame: FrameType | None) -> None:
            rank_zero_info("\nStopping after this batch; Ctrl-C again stops at once and saves nothing.")
            self._signal = signum
            signal.signal(signal.SIGINT, self._before[signal.SIGINT])

        self._before = {signum: signal.signal(signum, note) for signum in (signal.SIGINT, signal.SIGTERM)}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Stop after this batch where a signal has come, to whichever process: all of them stop after the same one."""
        self._agree(trainer)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Let the validation go on: Lightning would stop here, and a resumed run would do without its figures."""
        if trainer.state.fn == "fit" and trainer.received_sigterm:
            self._held, _signals(trainer).received_sigterm = True, False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Within an epoch, stop now."""
        if not trainer.is_last_batch:
            self._release(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """At its end, stop after the checkpoints that judge by the figures; also where the signal came meanwhile."""
        self._release(trainer)
        self._agree(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back."""
        self._give_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save, where the exception is the orderly one, and say how to go on."""
        self._give_back()
        if isinstance(exception, SIGTERMException) and trainer.state.fn == "fit":
            path = self._folder / "interrupted.ckpt"
            trainer.save_checkpoint(path)
            rank_zero_info(f"Interrupted at batch {trainer.global_step}. Go on with: --ckpt_path {path}")
            exception.code = 128 + (self._signal or signal.SIGTERM)

    def _agree(self, trainer: Trainer) -> None:
        if trainer.world_size > 1:
            came = torch.tensor(self._signal, device=trainer.strategy.root_device)
            distributed.all_reduce(came, distributed.ReduceOp.MAX)
            self._signal = int(came)
        if self._signal:
            _signals(trainer).received_sigterm = True

    def _release(self, trainer: Trainer) -> None:
        if self._held:
            self._held, _signals(trainer).received_sigterm = False, True

    def _give_back(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}


def _signals(trainer: Trainer) -> Any:
    return vars(trainer)["_signal_connector"]
