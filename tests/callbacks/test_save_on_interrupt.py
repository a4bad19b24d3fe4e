"""Signals that come at the worst moment; whole runs that are stopped are in tests/test_interrupts.py."""

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule

from callbacks import SaveOnInterrupt
from callbacks import save_on_interrupt as module


def test_a_signal_that_comes_while_the_processes_agree_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives when this process's answer has been sent already; the next batch has it."""
    answers = []

    def all_reduce(signum: torch.Tensor, op: object) -> None:
        answers.append(int(signum))
        if len(answers) == 1:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(module.distributed, "all_reduce", all_reduce)
    saved = []
    trainer = SimpleNamespace(
        world_size=2,
        global_step=7,
        strategy=SimpleNamespace(root_device="cpu"),
        save_checkpoint=lambda path, weights_only: saved.append(path),
    )
    callback, model = SaveOnInterrupt(), LightningModule()
    callback._path = tmp_path / "interrupted.ckpt"
    callback.on_train_start(trainer, model)  # type: ignore[arg-type]
    try:
        callback.on_train_batch_end(trainer, model)  # type: ignore[arg-type]
        with pytest.raises(SystemExit) as stopped:
            callback.on_train_batch_end(trainer, model)  # type: ignore[arg-type]
    finally:
        callback.on_exception(trainer, model, KeyboardInterrupt())  # type: ignore[arg-type]
    assert (answers, stopped.value.code) == ([0, signal.SIGTERM], 143)
    assert saved == [callback._path]
