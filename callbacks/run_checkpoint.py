"""Checkpoints in the run's folder, and their best score when a run is resumed."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.run_folder import run_folder


class RunCheckpoint(ModelCheckpoint):
    """ModelCheckpoint that writes to `<run folder>/checkpoints` and keeps the best score of the run it goes on from.

    Lightning's own follows the first logger's folder, and forgets the best score where a resumed run has another
    folder. The files of the earlier run stay where they are; its best checkpoint stays the best until it is beaten.
    The arguments are those of ModelCheckpoint.

    Example:
        >>> RunCheckpoint(filename="best", monitor="val/loss").filename
        'best'
    """

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint: Lightning's and the file name, so that two may watch the same figure."""
        return f"{super().state_key}{{filename: {self.filename!r}}}"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Settle the folder; with several processes a collective."""
        folder = run_folder(trainer) / "checkpoints"
        self.dirpath = self.dirpath or str(folder)
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state, though it comes from another folder (where Lightning would drop the best score)."""
        super().load_state_dict({**state_dict, "dirpath": self.dirpath})
