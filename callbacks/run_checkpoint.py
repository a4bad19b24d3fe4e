"""Checkpoints of a run, and of its continuation."""

from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, which does not forget the best score when a resumed run gets a folder of its own.

    The files of the earlier run stay where they are; its best checkpoint stays the best until it is beaten.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state, though it comes from another folder (where Lightning would drop the best score)."""
        super().load_state_dict({**state_dict, "dirpath": self.dirpath})
