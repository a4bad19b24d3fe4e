"""Callbacks for tests of several processes, and of processes that are stopped."""

import os
import signal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks import run_folder
from lit_models.functional import rbm


class StillChains(Callback):
    """Takes the noise out of RBM chains, for the length of a fit: units go where they most likely are."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Replace the draws."""
        self.draws = (rbm.draw_hidden, rbm.draw_visible, rbm.draw_logits)
        rbm.draw_hidden = lambda logits, generator=None: (logits > 0).to(logits.dtype)
        rbm.draw_visible = lambda mean, sigma: mean
        rbm.draw_logits = lambda mean, root: mean

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put them back."""
        rbm.draw_hidden, rbm.draw_visible, rbm.draw_logits = self.draws


class WeightsPerRank(Callback):
    """Writes each process's final weights and running statistics to `<run folder>/weights_rank<r>.pt`."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Note where this process's random numbers are after its first batch."""
        self.noise = getattr(self, "noise", torch.get_rng_state()[:64])

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them; the folder is a collective, and every process is here."""
        path = run_folder(trainer) / f"weights_rank{trainer.global_rank}.pt"
        torch.save(self.noise, path.with_name(f"noise_rank{trainer.global_rank}.pt"))
        torch.save(torch.cat([value.detach().flatten() for value in pl_module.state_dict().values()]), path)


class StopInValidation(Callback):
    """Sends this process SIGTERM in the middle of its second validation."""

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """Send it."""
        if trainer.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
