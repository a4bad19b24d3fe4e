"""Writing and reading checkpoint files."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

PathLike = str | Path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically and reads them as data only.

    A checkpoint is written to a temporary file beside its place, `.<name>.tmp`, and then moved there in one step. A
    killed process or a full disk so leaves the checkpoint that was there before.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/last.ckpt"
        >>> AtomicCheckpointIO().save_checkpoint({"epoch": 3}, path)
        >>> AtomicCheckpointIO().load_checkpoint(path)
        {'epoch': 3}
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: PathLike, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: tensors and plain values.
            path: the file; its folder is made where it is missing.
            storage_options: has no effect; part of Lightning's interface.

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

    def load_checkpoint(self, path: PathLike, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint of tensors and plain values.

        Raises:
            pickle.UnpicklingError: the file holds anything else, such as code to be run on loading.
        """
        return super().load_checkpoint(path, *args, **(kwargs | {"weights_only": True}))


def _reason(error: BaseException) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).split("\n")[0]
