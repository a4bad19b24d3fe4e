"""Checkpoints on disk: a whole file or none."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH


class WholeFileCheckpointIO(TorchCheckpointIO):
    """Writes beside the file's place and then puts the finished file there in one step.

    Whoever kills the process, or fills the disk, leaves the checkpoint that was there before. Half a file has a name
    that starts with a dot and ends in `.tmp`; the next write replaces it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None) -> None:
        """Write the file.

        Raises:
            OSError: it could not be written; the message says what is left.
        """
        place = Path(path)
        half = place.with_name(f".{place.name}.tmp")
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with half.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            half.replace(place)
        # torch.save reports a full disk as a RuntimeError
        except (OSError, RuntimeError) as error:
            half.unlink(missing_ok=True)
            left = "the checkpoint written before it is untouched" if place.exists() else "there was none before it"
            raise OSError(
                f"{place} could not be written ({_reason(error)}); {left}. Make room, or pass another folder as "
                "--trainer.default_root_dir, and go on from the newest checkpoint with --ckpt_path"
            ) from error

    def load_checkpoint(self, path: _PATH, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read tensors and plain values; a file that asks for more, to run code on loading, is refused."""
        return super().load_checkpoint(path, *args, **(kwargs | {"weights_only": True}))


def _reason(error: BaseException) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).split("\n")[0]
