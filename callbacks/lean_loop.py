"""No time for what does nothing."""

import ctypes
import inspect
from contextlib import suppress
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

_EVERY_BATCH = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)


# of glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


class LeanLoop(Callback):
    """Takes out of a fit's every batch what does nothing there; docs/performance.md says what that brings.

    Lightning calls six hooks on the model and on every callback, and leaves out what is not callable: where neither
    the class nor, by the end of the other callbacks' `on_train_start`, the instance has one, the instance gets None for
    it until the fit ends. And it asks for the signature of `training_step` at every batch, which is found once here.

    On a CPU, memory that a batch has freed is kept for the next one, where glibc would give it back to the system and
    take it again, page by page; this lasts as long as the process.
    """

    def __init__(self) -> None:
        self._put: list[tuple[Any, str, Any]] = []  # owner, name and value of each attribute that is ours

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the hooks that nobody wrote, and keep what memory there is."""
        if trainer.strategy.root_device.type == "cpu":
            _keep_freed_memory()
        step = type(pl_module).training_step
        self._set(step, "__signature__", inspect.signature(step))
        found = [(pl_module, LightningModule), *((callback, Callback) for callback in vars(trainer)["callbacks"])]
        for owner, base in found:
            for hook in _EVERY_BATCH:
                if getattr(type(owner), hook) is getattr(base, hook):
                    self._set(owner, hook, None)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the objects as they were."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the objects as they were, where a fit ends without a teardown."""
        self._restore()

    def _set(self, owner: Any, name: str, value: Any) -> None:
        if name not in vars(owner):
            setattr(owner, name, value)
            self._put.append((owner, name, value))

    def _restore(self) -> None:
        while self._put:
            owner, name, value = self._put.pop()
            if name in vars(owner) and vars(owner)[name] is value:  # else it is somebody else's by now
                delattr(owner, name)


def _keep_freed_memory() -> None:
    """Up to 2 GiB of blocks of up to 32 MiB, the most that can be asked for; other C libraries are left alone."""
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_MMAP_THRESHOLD, 2**25)
