"""SteadyProgressBar draws by the clock."""

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from callbacks import SteadyProgressBar
from datamodules import DigitsDataModule
from tests.callbacks.test_callbacks import Mute

_QUIET: dict = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, "accelerator": "cpu"}


@pytest.mark.parametrize(("seconds", "drawn"), [(0.01, 2), (0.06, 5), (1.0, 15)])
def test_draws_five_times_a_second_and_at_the_end(seconds: float, drawn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen batches of so many seconds."""
    batches: list[int] = []
    now = 100.0

    def clock() -> float:
        nonlocal now
        now += seconds
        return now

    def draw(self: object, trainer: object, module: object, outputs: object, batch: object, batch_idx: int) -> None:
        batches.append(batch_idx)

    monkeypatch.setattr("callbacks.progress_bar.time.monotonic", clock)
    monkeypatch.setattr(TQDMProgressBar, "on_train_batch_end", draw)
    trainer = Trainer(
        max_epochs=1, limit_train_batches=15, limit_val_batches=0, callbacks=[SteadyProgressBar()], **_QUIET
    )
    trainer.fit(Mute(), datamodule=DigitsDataModule(batch_size=50))
    assert trainer.global_step == 15
    assert batches[0] == 0
    assert batches[-1] == 14
    assert len(batches) == drawn


class Logs(Mute):
    """Logs the epoch's number at its end."""

    def on_train_epoch_end(self) -> None:
        self.log("epoch_logged", float(self.current_epoch), prog_bar=True)


def test_the_bar_ends_where_training_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callbacks.progress_bar.time.monotonic", lambda: 100.0)  # so that only the first is due
    bar = SteadyProgressBar()
    trainer = Trainer(
        max_steps=7, limit_train_batches=5, limit_val_batches=1, val_check_interval=3, callbacks=[bar], **_QUIET
    )
    trainer.fit(Logs(), datamodule=DigitsDataModule(batch_size=50))
    assert trainer.global_step == 7
    assert bar.train_progress_bar.n == 2
    assert "epoch_logged=1" in bar.train_progress_bar.postfix


def test_the_bar_has_what_was_trained_before_a_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callbacks.progress_bar.time.monotonic", lambda: 100.0)
    bar, seen = SteadyProgressBar(), []

    class Looks(Mute):
        def on_validation_epoch_start(self) -> None:
            seen.append(bar.train_progress_bar.n)

    trainer = Trainer(max_epochs=1, limit_train_batches=7, val_check_interval=3, callbacks=[bar], **_QUIET)
    trainer.fit(Looks(), datamodule=DigitsDataModule(batch_size=50))
    assert seen[-2:] == [3, 6]
