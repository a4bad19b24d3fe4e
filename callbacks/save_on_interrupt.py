"""A checkpoint when a run is interrupted by Ctrl-C or SIGTERM."""

import signal
import threading
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import distributed

from callbacks.run_folder import run_folder


class SaveOnInterrupt(Callback):
    """Ends a fit with a checkpoint, `interrupted.ckpt`, when Ctrl-C is pressed or SIGTERM arrives.

    The fit stops after the batch at hand. A validation at the end of an epoch that has begun is finished first, and
    its epoch with it. A run resumed from the checkpoint ends as the uninterrupted one would have. With several
    processes a signal to any of them stops all after the same batch. The process ends with SystemExit and the status
    that shells give to the signal: 130 or 143. A second Ctrl-C stops at once and saves nothing.

    Put it before callbacks that take long at the end of a fit: they are skipped when a run is interrupted.

    Example:
        >>> trainer = Trainer(callbacks=[SaveOnInterrupt()], logger=False, accelerator="cpu")
    """

    def __init__(self) -> None:
        self._signal = 0  # the one that arrived at this process
        self._handlers: dict[int, Any] = {}  # those to put back at the end

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Settle the checkpoint's path; with several processes a collective."""
        self._path = run_folder(trainer) / "checkpoints" / "interrupted.ckpt"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over both signals. The handler only notes them: it may run between any two instructions."""
        self._signal = 0
        if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
            return

        def note(signum: int, frame: FrameType | None) -> None:
            rank_zero_info("\nStopping after this batch; Ctrl-C again stops at once and saves nothing.")
            self._signal = signum
            signal.signal(signal.SIGINT, self._handlers[signal.SIGINT])

        self._handlers = {signum: signal.signal(signum, note) for signum in (signal.SIGINT, signal.SIGTERM)}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Stop here when a signal has arrived."""
        if signum := self._arrived(trainer):
            self._save_and_exit(trainer, signum)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after this epoch when a signal arrived in its validation, once its figures are logged."""
        if self._arrived(trainer):
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back, and stop when one has arrived."""
        self._restore_handlers()
        if signum := self._arrived(trainer):
            self._save_and_exit(trainer, signum)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._restore_handlers()

    def _arrived(self, trainer: Trainer) -> int:
        """Signal that has arrived at any process, or 0; with several processes a collective."""
        if trainer.world_size == 1:
            return self._signal
        # never written back to self._signal: one that arrives while the processes agree would be lost
        signum = torch.tensor(self._signal, device=trainer.strategy.root_device)
        distributed.all_reduce(signum, distributed.ReduceOp.MAX)
        return int(signum)

    def _save_and_exit(self, trainer: Trainer, signum: int) -> None:
        # said explicitly, or Lightning prints that it was not
        trainer.save_checkpoint(self._path, weights_only=False)
        rank_zero_info(f"Interrupted at batch {trainer.global_step}. Go on with: --ckpt_path {self._path}")
        raise SystemExit(128 + signum)

    def _restore_handlers(self) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._handlers = {}
