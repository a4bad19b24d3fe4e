"""SteadyProgressBar draws by the clock."""

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from callbacks import SteadyProgressBar
from datamodules import DigitsDataModule
from tests.callbacks.test_callbacks import Mute


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
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(
        max_epochs=1, limit_train_batches=15, limit_val_batches=0, callbacks=[SteadyProgressBar()], **quiet
    )
    trainer.fit(Mute(), datamodule=DigitsDataModule(batch_size=50))
    assert trainer.global_step == 15
    assert batches[0] == 0
    assert batches[-1] == 14
    assert len(batches) == drawn
