"""A callback for tests of several processes."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class WeightsPerRank(Callback):
    """Writes each process's final weights and running statistics to `<run folder>/weights_rank<r>.pt`."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Note where this process's random numbers are after its first batch."""
        self.noise = getattr(self, "noise", torch.get_rng_state()[:64])

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them; log_dir is a collective, and every process is here."""
        path = Path(trainer.log_dir or ".") / f"weights_rank{trainer.global_rank}.pt"
        torch.save(self.noise, path.with_name(f"noise_rank{trainer.global_rank}.pt"))
        torch.save(torch.cat([value.detach().flatten() for value in pl_module.state_dict().values()]), path)
