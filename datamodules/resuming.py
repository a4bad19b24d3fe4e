"""What Lightning's training loop must be told where a run is resumed with another batch size."""

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_warn


def count_batches(trainer: Trainer, over: int) -> None:
    """Set how many batches of the epoch the training loop takes for done.

    A checkpoint counts batches of the size they had. With another batch size the loop would end the epoch too early or
    too late, and its validation with it. The loop's counters are no documented API: where they have other names, this
    warns and leaves them alone.

    See https://github.com/Lightning-AI/pytorch-lightning/issues/19367.

    Args:
        trainer: its fit loop has loaded the checkpoint, and no batch has been trained yet.
        over: batches of the new size, at least 0.

    Example:
        >>> trainer = Trainer(logger=False, enable_checkpointing=False, enable_model_summary=False)
        >>> count_batches(trainer, 3)
        >>> trainer.fit_loop.epoch_loop.batch_progress.current.ready
        3
    """
    try:
        progress = trainer.fit_loop.epoch_loop.batch_progress
        if progress.is_last_batch:  # the epoch is over
            return
        change = over - progress.current.ready
        for count in ("ready", "started", "processed", "completed"):
            setattr(progress.current, count, getattr(progress.current, count) + change)
    except AttributeError as error:
        rank_zero_warn(f"resumed within an epoch: its number of batches may be wrong with this Lightning ({error})")
