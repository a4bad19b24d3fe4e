"""A callback for tests of several processes."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn.utils import parameters_to_vector


class WeightsPerRank(Callback):
    """Writes each process's final weights to `<run folder>/weights_rank<r>.pt`."""

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them; log_dir is a collective, and every process is here."""
        path = Path(trainer.log_dir or ".") / f"weights_rank{trainer.global_rank}.pt"
        torch.save(parameters_to_vector(pl_module.parameters()).detach(), path)
